import{r as e,t}from"./chunk-QB3YPZ4I-04vqz8CS.js";import"./chunk-TU62E6Q5-nPeSyzRW.js";import"./mermaid.core-Dcj__ue7.js";import"./chunk-HFQBQIA3-C-etrWPi.js";import"./chunk-M57EVK23-BU-SzCSd.js";import"./chunk-DQASFODM-BHWZc_pU.js";import"./chunk-LEVMRMFU-tO_pXSST.js";import"./chunk-AXFCVDMN-DocDA-Un.js";import"./chunk-X4PVCEUW-4W-syF1p.js";import"./chunk-STOXU5M4-BMa0YQa1.js";import"./chunk-R3KSYZAL-BFdIQBh7.js";import"./chunk-6MUBBAK2-CdBVXqvV.js";import"./chunk-BG4553SI-CPlf3kgv.js";import"./d3-selection-C7zALumA.js";import{n}from"./chunk-Y2CYZVJY-DsF7k-Jl.js";var r=t({styles:n(t=>`${e(t)}
  .swimlane.cluster:not([data-color-id]) rect {
    stroke: ${t.clusterBorder} !important;
  }
  [data-look="neo"].cluster rect {
    filter: none;
  }
`,`getStyles`)});export{r as diagram};