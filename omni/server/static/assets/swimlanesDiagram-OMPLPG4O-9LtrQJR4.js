import{r as e,t}from"./chunk-QB3YPZ4I-BNaGyPGF.js";import"./chunk-TU62E6Q5-CY2rSfdw.js";import"./mermaid.core-_TgNsU5E.js";import"./chunk-HFQBQIA3-Dy_YUz2p.js";import"./chunk-M57EVK23-BcEfZrK2.js";import"./chunk-DQASFODM-CwE8V5gt.js";import"./chunk-LEVMRMFU-ChDf_01w.js";import"./chunk-AXFCVDMN-BSdTB2mR.js";import"./chunk-X4PVCEUW-CV9P1u9w.js";import"./chunk-STOXU5M4-DlkKfo-j.js";import"./chunk-R3KSYZAL-f4nMNMSO.js";import"./chunk-6MUBBAK2-CcBWCJxd.js";import"./chunk-BG4553SI-78bYA2QH.js";import"./d3-selection-Cj0G6_oR.js";import{n}from"./chunk-Y2CYZVJY-DsF7k-Jl.js";var r=t({styles:n(t=>`${e(t)}
  .swimlane.cluster:not([data-color-id]) rect {
    stroke: ${t.clusterBorder} !important;
  }
  [data-look="neo"].cluster rect {
    filter: none;
  }
`,`getStyles`)});export{r as diagram};