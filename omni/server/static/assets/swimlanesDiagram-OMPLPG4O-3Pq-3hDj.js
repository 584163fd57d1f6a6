import{r as e,t}from"./chunk-QB3YPZ4I-USC6D-IK.js";import"./chunk-TU62E6Q5-B3yZyBiJ.js";import"./mermaid.core-kCT3BOIn.js";import"./chunk-HFQBQIA3-CTUB2IZy.js";import"./chunk-M57EVK23-Cry51gwQ.js";import"./chunk-DQASFODM-DNg5uzXk.js";import"./chunk-LEVMRMFU-BCDAD7Z3.js";import"./chunk-AXFCVDMN-CD6q-3qz.js";import"./chunk-X4PVCEUW-DW2tvGRT.js";import"./chunk-STOXU5M4-vpMXGWb5.js";import"./chunk-R3KSYZAL-C4Wz1mCV.js";import"./chunk-6MUBBAK2-CwOzl2kO.js";import"./chunk-BG4553SI-D07gAjyj.js";import"./d3-selection-DjNLIjxY.js";import{n}from"./chunk-Y2CYZVJY-DsF7k-Jl.js";var r=t({styles:n(t=>`${e(t)}
  .swimlane.cluster:not([data-color-id]) rect {
    stroke: ${t.clusterBorder} !important;
  }
  [data-look="neo"].cluster rect {
    filter: none;
  }
`,`getStyles`)});export{r as diagram};