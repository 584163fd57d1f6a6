import{r as e,t}from"./chunk-QB3YPZ4I-CZWsmYXI.js";import"./chunk-TU62E6Q5-DOoPUwJM.js";import"./mermaid.core-Dl3xkT_l.js";import"./chunk-HFQBQIA3-B_sD038e.js";import"./chunk-M57EVK23-BZmJ1ezy.js";import"./chunk-DQASFODM-DPzNeURB.js";import"./chunk-LEVMRMFU-mNCfQn-Z.js";import"./chunk-AXFCVDMN-b6vK21p5.js";import"./chunk-X4PVCEUW-C8PNJc9U.js";import"./chunk-STOXU5M4-BXBD7dxk.js";import"./chunk-R3KSYZAL-Bb4vp4P_.js";import"./chunk-6MUBBAK2-e9XdpYDr.js";import"./chunk-BG4553SI-CuwvNIKP.js";import"./d3-selection-fkpCH8CH.js";import{n}from"./chunk-Y2CYZVJY-DsF7k-Jl.js";var r=t({styles:n(t=>`${e(t)}
  .swimlane.cluster:not([data-color-id]) rect {
    stroke: ${t.clusterBorder} !important;
  }
  [data-look="neo"].cluster rect {
    filter: none;
  }
`,`getStyles`)});export{r as diagram};