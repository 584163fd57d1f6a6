import{r as e,t}from"./chunk-QB3YPZ4I-CkCrwvNv.js";import"./chunk-TU62E6Q5-BEOYOAKU.js";import"./mermaid.core-BbDVFN9X.js";import"./chunk-HFQBQIA3-jl34qHPn.js";import"./chunk-M57EVK23-DkGgIZdY.js";import"./chunk-DQASFODM-BAa_I1s5.js";import"./chunk-LEVMRMFU-NWKeXfao.js";import"./chunk-AXFCVDMN-DJw3j-Hb.js";import"./chunk-X4PVCEUW-C2HOmZ0A.js";import"./chunk-STOXU5M4-q0BRI3m4.js";import"./chunk-R3KSYZAL-B7VbM8ka.js";import"./chunk-6MUBBAK2-By-H2h_g.js";import"./chunk-BG4553SI-CMGzgIPU.js";import"./d3-selection-B3Hk09Mj.js";import{n}from"./chunk-Y2CYZVJY-DsF7k-Jl.js";var r=t({styles:n(t=>`${e(t)}
  .swimlane.cluster:not([data-color-id]) rect {
    stroke: ${t.clusterBorder} !important;
  }
  [data-look="neo"].cluster rect {
    filter: none;
  }
`,`getStyles`)});export{r as diagram};