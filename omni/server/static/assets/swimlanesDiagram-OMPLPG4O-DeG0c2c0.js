import{r as e,t}from"./chunk-QB3YPZ4I-BcPiJtyP.js";import"./chunk-TU62E6Q5-Bdzty3B2.js";import"./mermaid.core-BsbIBFBs.js";import"./chunk-HFQBQIA3-UM5FvToG.js";import"./chunk-M57EVK23-hMGY4juJ.js";import"./chunk-DQASFODM-BSgvdfZd.js";import"./chunk-LEVMRMFU-DR-SNbp7.js";import"./chunk-AXFCVDMN-D4d4e7C1.js";import"./chunk-X4PVCEUW-DQSJMi5t.js";import"./chunk-STOXU5M4-DTELqsOZ.js";import"./chunk-R3KSYZAL-CnHoy7G8.js";import"./chunk-6MUBBAK2-BI7p325Q.js";import"./chunk-BG4553SI-BqqZ9vU1.js";import"./d3-selection-CCHRgA_S.js";import{n}from"./chunk-Y2CYZVJY-DsF7k-Jl.js";var r=t({styles:n(t=>`${e(t)}
  .swimlane.cluster:not([data-color-id]) rect {
    stroke: ${t.clusterBorder} !important;
  }
  [data-look="neo"].cluster rect {
    filter: none;
  }
`,`getStyles`)});export{r as diagram};