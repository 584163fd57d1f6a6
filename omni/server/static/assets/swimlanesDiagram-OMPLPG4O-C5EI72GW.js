import{r as e,t}from"./chunk-QB3YPZ4I-CvmoZ02G.js";import"./chunk-TU62E6Q5-DusJmTZ0.js";import"./mermaid.core-DX7htaMa.js";import"./chunk-HFQBQIA3-DYrqtUV8.js";import"./chunk-M57EVK23-BjhTLVEZ.js";import"./chunk-DQASFODM-BxVQ3Xn5.js";import"./chunk-LEVMRMFU-aXi69H-b.js";import"./chunk-AXFCVDMN-C5nCRBXo.js";import"./chunk-X4PVCEUW-DmRcGELS.js";import"./chunk-STOXU5M4-CcvYXpy7.js";import"./chunk-R3KSYZAL-CYHT44eP.js";import"./chunk-6MUBBAK2-BdbzyWk8.js";import"./chunk-BG4553SI-tuodhY8c.js";import"./d3-selection-BmJ5chh4.js";import{n}from"./chunk-Y2CYZVJY-DsF7k-Jl.js";var r=t({styles:n(t=>`${e(t)}
  .swimlane.cluster:not([data-color-id]) rect {
    stroke: ${t.clusterBorder} !important;
  }
  [data-look="neo"].cluster rect {
    filter: none;
  }
`,`getStyles`)});export{r as diagram};