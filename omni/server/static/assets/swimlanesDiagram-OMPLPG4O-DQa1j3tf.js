import{r as e,t}from"./chunk-QB3YPZ4I-E10lU-i_.js";import"./chunk-TU62E6Q5-CxasG15q.js";import"./mermaid.core-GzknMLHj.js";import"./chunk-HFQBQIA3-CZr6cZJu.js";import"./chunk-M57EVK23-BJzxCqcc.js";import"./chunk-DQASFODM-C5ob2ym8.js";import"./chunk-LEVMRMFU-AUmNzVGR.js";import"./chunk-AXFCVDMN-B54ubhb3.js";import"./chunk-X4PVCEUW-CgtNrt9r.js";import"./chunk-STOXU5M4-CTrAo5a5.js";import"./chunk-R3KSYZAL-CVTwLQ_E.js";import"./chunk-6MUBBAK2-BI0b3nYe.js";import"./chunk-BG4553SI-ByHMPkQ1.js";import"./d3-selection-CgeKqONh.js";import{n}from"./chunk-Y2CYZVJY-DsF7k-Jl.js";var r=t({styles:n(t=>`${e(t)}
  .swimlane.cluster:not([data-color-id]) rect {
    stroke: ${t.clusterBorder} !important;
  }
  [data-look="neo"].cluster rect {
    filter: none;
  }
`,`getStyles`)});export{r as diagram};