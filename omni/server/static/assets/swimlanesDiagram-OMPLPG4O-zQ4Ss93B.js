import{r as e,t}from"./chunk-QB3YPZ4I-DJ-fvur3.js";import"./chunk-TU62E6Q5-BN4UjCin.js";import"./mermaid.core-D9SMT6Gv.js";import"./chunk-HFQBQIA3-C2SmpD18.js";import"./chunk-M57EVK23-DTKG1oel.js";import"./chunk-DQASFODM-CwhHu_n1.js";import"./chunk-LEVMRMFU-BTTdYwbA.js";import"./chunk-AXFCVDMN-Ddrbup2X.js";import"./chunk-X4PVCEUW-DGEJZ6en.js";import"./chunk-STOXU5M4-DqWIH76A.js";import"./chunk-R3KSYZAL-BOxoNPYZ.js";import"./chunk-6MUBBAK2-DNoGwaBy.js";import"./chunk-BG4553SI-zpE0YyMP.js";import"./d3-selection-6XElbZ7s.js";import{n}from"./chunk-Y2CYZVJY-DsF7k-Jl.js";var r=t({styles:n(t=>`${e(t)}
  .swimlane.cluster:not([data-color-id]) rect {
    stroke: ${t.clusterBorder} !important;
  }
  [data-look="neo"].cluster rect {
    filter: none;
  }
`,`getStyles`)});export{r as diagram};