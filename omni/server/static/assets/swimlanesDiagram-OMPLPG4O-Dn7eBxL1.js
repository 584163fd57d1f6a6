import{r as e,t}from"./chunk-QB3YPZ4I-DSu04C3f.js";import"./chunk-TU62E6Q5-DY8qSxcF.js";import"./mermaid.core-KhmVMm0-.js";import"./chunk-HFQBQIA3-C9SMow-5.js";import"./chunk-M57EVK23-ChDMQoKp.js";import"./chunk-DQASFODM-Bs4U_ZUM.js";import"./chunk-LEVMRMFU-CU5vCll2.js";import"./chunk-AXFCVDMN-CVZwemMT.js";import"./chunk-X4PVCEUW-CZSIWZJg.js";import"./chunk-STOXU5M4-DXS9OY-_.js";import"./chunk-R3KSYZAL-BkRSNlc-.js";import"./chunk-6MUBBAK2-BIiMCSui.js";import"./chunk-BG4553SI-D8UwlCWm.js";import"./d3-selection-OCY8aJoG.js";import{n}from"./chunk-Y2CYZVJY-DsF7k-Jl.js";var r=t({styles:n(t=>`${e(t)}
  .swimlane.cluster:not([data-color-id]) rect {
    stroke: ${t.clusterBorder} !important;
  }
  [data-look="neo"].cluster rect {
    filter: none;
  }
`,`getStyles`)});export{r as diagram};