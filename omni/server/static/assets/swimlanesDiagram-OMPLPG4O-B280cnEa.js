import{r as e,t}from"./chunk-QB3YPZ4I-BgzYbWND.js";import"./chunk-TU62E6Q5-B3ROYgZk.js";import"./mermaid.core-Cy4IZ0LH.js";import"./chunk-HFQBQIA3-BBjx2J5U.js";import"./chunk-M57EVK23-Dk7f96jT.js";import"./chunk-DQASFODM-8kl3mYB_.js";import"./chunk-LEVMRMFU-CKs8UyfD.js";import"./chunk-AXFCVDMN-DVU8nlqV.js";import"./chunk-X4PVCEUW-B--oku1P.js";import"./chunk-STOXU5M4-Don7nQNy.js";import"./chunk-R3KSYZAL-f_SMetK6.js";import"./chunk-6MUBBAK2-BdNYorLW.js";import"./chunk-BG4553SI-Cy3zD19v.js";import"./d3-selection-DKbg2Yrd.js";import{n}from"./chunk-Y2CYZVJY-DsF7k-Jl.js";var r=t({styles:n(t=>`${e(t)}
  .swimlane.cluster:not([data-color-id]) rect {
    stroke: ${t.clusterBorder} !important;
  }
  [data-look="neo"].cluster rect {
    filter: none;
  }
`,`getStyles`)});export{r as diagram};