import{r as e,t}from"./chunk-QB3YPZ4I-Bgwy44BG.js";import"./chunk-TU62E6Q5-l-shPH8A.js";import"./mermaid.core-Nmv-7SDQ.js";import"./chunk-HFQBQIA3-BcK4EXvh.js";import"./chunk-M57EVK23-CUfjuZbj.js";import"./chunk-DQASFODM-Bk7Nm0ir.js";import"./chunk-LEVMRMFU-ZfzzVJTL.js";import"./chunk-AXFCVDMN-Bmpo5_Oq.js";import"./chunk-X4PVCEUW-CJMZh9hi.js";import"./chunk-STOXU5M4-DGy_pZDT.js";import"./chunk-R3KSYZAL-DFbcYyed.js";import"./chunk-6MUBBAK2-8K-nEWHM.js";import"./chunk-BG4553SI-B_-6bEzO.js";import"./d3-selection-C33ElolT.js";import{n}from"./chunk-Y2CYZVJY-DsF7k-Jl.js";var r=t({styles:n(t=>`${e(t)}
  .swimlane.cluster:not([data-color-id]) rect {
    stroke: ${t.clusterBorder} !important;
  }
  [data-look="neo"].cluster rect {
    filter: none;
  }
`,`getStyles`)});export{r as diagram};