import{r as e,t}from"./chunk-QB3YPZ4I-DOkgmlil.js";import"./chunk-TU62E6Q5-D86uKEkN.js";import"./mermaid.core-CGv-IgZo.js";import"./chunk-HFQBQIA3-CBB-zGd7.js";import"./chunk-M57EVK23-BTd3wTo5.js";import"./chunk-DQASFODM-C9X0hrpq.js";import"./chunk-LEVMRMFU-DlX0BGr2.js";import"./chunk-AXFCVDMN-BKkfGWDI.js";import"./chunk-X4PVCEUW-gRxvE2JE.js";import"./chunk-STOXU5M4-4vkkaKxH.js";import"./chunk-R3KSYZAL-nrUsE9Cc.js";import"./chunk-6MUBBAK2-Bzi7zBkH.js";import"./chunk-BG4553SI-By4jB6H4.js";import"./d3-selection-DL2kXTAA.js";import{n}from"./chunk-Y2CYZVJY-DsF7k-Jl.js";var r=t({styles:n(t=>`${e(t)}
  .swimlane.cluster:not([data-color-id]) rect {
    stroke: ${t.clusterBorder} !important;
  }
  [data-look="neo"].cluster rect {
    filter: none;
  }
`,`getStyles`)});export{r as diagram};