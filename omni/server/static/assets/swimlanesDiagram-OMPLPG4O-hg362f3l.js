import{r as e,t}from"./chunk-QB3YPZ4I-2uqsKxkB.js";import"./chunk-TU62E6Q5-DgTlIyEr.js";import"./mermaid.core-lRAFMPC5.js";import"./chunk-HFQBQIA3-DakUz-rF.js";import"./chunk-M57EVK23-BmFp1NGa.js";import"./chunk-DQASFODM-BpZqo5XO.js";import"./chunk-LEVMRMFU-BcpClO3X.js";import"./chunk-AXFCVDMN-Nzfi_RG7.js";import"./chunk-X4PVCEUW-CJtdWwey.js";import"./chunk-STOXU5M4-DvKGY08X.js";import"./chunk-R3KSYZAL-TmTOOo0_.js";import"./chunk-6MUBBAK2-B7E8c9vC.js";import"./chunk-BG4553SI-B6nRWvl3.js";import"./d3-selection-aoB2aznP.js";import{n}from"./chunk-Y2CYZVJY-DsF7k-Jl.js";var r=t({styles:n(t=>`${e(t)}
  .swimlane.cluster:not([data-color-id]) rect {
    stroke: ${t.clusterBorder} !important;
  }
  [data-look="neo"].cluster rect {
    filter: none;
  }
`,`getStyles`)});export{r as diagram};