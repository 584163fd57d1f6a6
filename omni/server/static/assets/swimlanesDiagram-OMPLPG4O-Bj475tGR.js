import{r as e,t}from"./chunk-QB3YPZ4I-DrK03HCO.js";import"./chunk-TU62E6Q5-CtvajE_C.js";import"./mermaid.core-CX3mEhZL.js";import"./chunk-HFQBQIA3-DozfIlun.js";import"./chunk-M57EVK23-BRQpUsc2.js";import"./chunk-DQASFODM-DtjMRQ-4.js";import"./chunk-LEVMRMFU-DiwrnAfW.js";import"./chunk-AXFCVDMN-BdMuTfIH.js";import"./chunk-X4PVCEUW-CNzjCRGm.js";import"./chunk-STOXU5M4-B2JbUKtA.js";import"./chunk-R3KSYZAL-a2LfgvLc.js";import"./chunk-6MUBBAK2-eSO7_NpT.js";import"./chunk-BG4553SI-BqbqJ2iS.js";import"./d3-selection-Bu4u6mvv.js";import{n}from"./chunk-Y2CYZVJY-DsF7k-Jl.js";var r=t({styles:n(t=>`${e(t)}
  .swimlane.cluster:not([data-color-id]) rect {
    stroke: ${t.clusterBorder} !important;
  }
  [data-look="neo"].cluster rect {
    filter: none;
  }
`,`getStyles`)});export{r as diagram};