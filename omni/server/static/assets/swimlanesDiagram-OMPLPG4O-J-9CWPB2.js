import{r as e,t}from"./chunk-QB3YPZ4I-TRy-Qlhn.js";import"./chunk-TU62E6Q5-C4p5UYNp.js";import"./mermaid.core-BbYjlt9X.js";import"./chunk-HFQBQIA3-BY8UWRR1.js";import"./chunk-M57EVK23-2RDy3dNq.js";import"./chunk-DQASFODM-BYBt0_xc.js";import"./chunk-LEVMRMFU-E8hn6q2U.js";import"./chunk-AXFCVDMN-B4k2IrU8.js";import"./chunk-X4PVCEUW-Bnukj6BZ.js";import"./chunk-STOXU5M4-rnX4d6m_.js";import"./chunk-R3KSYZAL-BP9rZdJQ.js";import"./chunk-6MUBBAK2-C47hMXVV.js";import"./chunk-BG4553SI-7qw256vT.js";import"./d3-selection-U0-zrCom.js";import{n}from"./chunk-Y2CYZVJY-DsF7k-Jl.js";var r=t({styles:n(t=>`${e(t)}
  .swimlane.cluster:not([data-color-id]) rect {
    stroke: ${t.clusterBorder} !important;
  }
  [data-look="neo"].cluster rect {
    filter: none;
  }
`,`getStyles`)});export{r as diagram};