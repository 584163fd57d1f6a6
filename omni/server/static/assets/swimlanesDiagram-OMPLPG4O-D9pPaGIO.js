import{r as e,t}from"./chunk-QB3YPZ4I-C8NrGH2L.js";import"./chunk-TU62E6Q5-Dqs9u-U0.js";import"./mermaid.core-DDSKquNp.js";import"./chunk-HFQBQIA3-BO-F1wZY.js";import"./chunk-M57EVK23-CbY4EcO5.js";import"./chunk-DQASFODM-DgrNFXUj.js";import"./chunk-LEVMRMFU-BjOQbEhi.js";import"./chunk-AXFCVDMN-CijPyIXX.js";import"./chunk-X4PVCEUW-BMK6Tc4U.js";import"./chunk-STOXU5M4-CkLpc4fp.js";import"./chunk-R3KSYZAL-BosbwAKo.js";import"./chunk-6MUBBAK2-CU8-y7jj.js";import"./chunk-BG4553SI-CsBvMH7S.js";import"./d3-selection-PWwLHOO_.js";import{n}from"./chunk-Y2CYZVJY-DsF7k-Jl.js";var r=t({styles:n(t=>`${e(t)}
  .swimlane.cluster:not([data-color-id]) rect {
    stroke: ${t.clusterBorder} !important;
  }
  [data-look="neo"].cluster rect {
    filter: none;
  }
`,`getStyles`)});export{r as diagram};