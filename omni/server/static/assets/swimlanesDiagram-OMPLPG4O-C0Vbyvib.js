import{r as e,t}from"./chunk-QB3YPZ4I-DPrZ4LlI.js";import"./chunk-TU62E6Q5-RIANLBkq.js";import"./mermaid.core-BIalUYZi.js";import"./chunk-HFQBQIA3-QvDnAk_x.js";import"./chunk-M57EVK23-6DS-jf5H.js";import"./chunk-DQASFODM-B5FsWKLD.js";import"./chunk-LEVMRMFU-DleMsp3x.js";import"./chunk-AXFCVDMN-BIQfhZ1W.js";import"./chunk-X4PVCEUW-zYWIGiXw.js";import"./chunk-STOXU5M4-DUnaHc34.js";import"./chunk-R3KSYZAL-CdKwgCpg.js";import"./chunk-6MUBBAK2-DU_0v-K-.js";import"./chunk-BG4553SI-DiLVy2hv.js";import"./d3-selection-BCjLzOsT.js";import{n}from"./chunk-Y2CYZVJY-DsF7k-Jl.js";var r=t({styles:n(t=>`${e(t)}
  .swimlane.cluster:not([data-color-id]) rect {
    stroke: ${t.clusterBorder} !important;
  }
  [data-look="neo"].cluster rect {
    filter: none;
  }
`,`getStyles`)});export{r as diagram};