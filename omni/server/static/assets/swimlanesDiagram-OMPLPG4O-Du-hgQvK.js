import{r as e,t}from"./chunk-QB3YPZ4I-N_jmpU4g.js";import"./chunk-TU62E6Q5-Be0JyBdP.js";import"./mermaid.core-A6Nkt_m1.js";import"./chunk-HFQBQIA3-C9fr1JHR.js";import"./chunk-M57EVK23-Qt0kF5TX.js";import"./chunk-DQASFODM-MvVRfNep.js";import"./chunk-LEVMRMFU-CNkh5Rj9.js";import"./chunk-AXFCVDMN-Dlyhs22T.js";import"./chunk-X4PVCEUW-D2wtIIZf.js";import"./chunk-STOXU5M4-Dq3Ko1Lq.js";import"./chunk-R3KSYZAL-D3F48tC_.js";import"./chunk-6MUBBAK2-DXGRNOvI.js";import"./chunk-BG4553SI-TSJ_iljV.js";import"./d3-selection-CTOjJTgs.js";import{n}from"./chunk-Y2CYZVJY-DsF7k-Jl.js";var r=t({styles:n(t=>`${e(t)}
  .swimlane.cluster:not([data-color-id]) rect {
    stroke: ${t.clusterBorder} !important;
  }
  [data-look="neo"].cluster rect {
    filter: none;
  }
`,`getStyles`)});export{r as diagram};