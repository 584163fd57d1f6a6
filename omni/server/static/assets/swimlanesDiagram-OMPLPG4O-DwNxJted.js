import{r as e,t}from"./chunk-QB3YPZ4I-DyzUCvjT.js";import"./chunk-TU62E6Q5-hEIVexs9.js";import"./mermaid.core-DVbl7vHM.js";import"./chunk-HFQBQIA3-SXaf5CbK.js";import"./chunk-M57EVK23-BXOTfJ-b.js";import"./chunk-DQASFODM-cTS9_lKc.js";import"./chunk-LEVMRMFU-CFCqbqZa.js";import"./chunk-AXFCVDMN-BXUHDVme.js";import"./chunk-X4PVCEUW-BZGDrBfF.js";import"./chunk-STOXU5M4-5ibDtjo-.js";import"./chunk-R3KSYZAL-CfrZ0ca4.js";import"./chunk-6MUBBAK2-cX-YIb8o.js";import"./chunk-BG4553SI-CS9QgOl0.js";import"./d3-selection-C9AtDAcr.js";import{n}from"./chunk-Y2CYZVJY-DsF7k-Jl.js";var r=t({styles:n(t=>`${e(t)}
  .swimlane.cluster:not([data-color-id]) rect {
    stroke: ${t.clusterBorder} !important;
  }
  [data-look="neo"].cluster rect {
    filter: none;
  }
`,`getStyles`)});export{r as diagram};