import{r as e,t}from"./chunk-QB3YPZ4I-DeSY49HJ.js";import"./chunk-TU62E6Q5-CziS0EcM.js";import"./mermaid.core-BTGLF_n8.js";import"./chunk-HFQBQIA3-CUKHndXQ.js";import"./chunk-M57EVK23--WMuCVfW.js";import"./chunk-DQASFODM-KcI5TJ1U.js";import"./chunk-LEVMRMFU-Ct21i6Q_.js";import"./chunk-AXFCVDMN-ByeWTYzS.js";import"./chunk-X4PVCEUW-DOA1d6kc.js";import"./chunk-STOXU5M4-LtpKGmW3.js";import"./chunk-R3KSYZAL-BKJ2Obg9.js";import"./chunk-6MUBBAK2-BtXNnk8p.js";import"./chunk-BG4553SI-CzfwLO1N.js";import"./d3-selection-DWgNLRLR.js";import{n}from"./chunk-Y2CYZVJY-DsF7k-Jl.js";var r=t({styles:n(t=>`${e(t)}
  .swimlane.cluster:not([data-color-id]) rect {
    stroke: ${t.clusterBorder} !important;
  }
  [data-look="neo"].cluster rect {
    filter: none;
  }
`,`getStyles`)});export{r as diagram};