import{r as e,t}from"./chunk-QB3YPZ4I-vWfcvCUA.js";import"./chunk-TU62E6Q5-D3xc8NSI.js";import"./mermaid.core-BJdTkX4H.js";import"./chunk-HFQBQIA3-DoSkhDNK.js";import"./chunk-M57EVK23-qGvfJEEA.js";import"./chunk-DQASFODM-BEyrT8v4.js";import"./chunk-LEVMRMFU-CwaYWFYq.js";import"./chunk-AXFCVDMN-DQqtHnkz.js";import"./chunk-X4PVCEUW-DGiOkp3z.js";import"./chunk-STOXU5M4-DWU-r-Wk.js";import"./chunk-R3KSYZAL-B3I0XWqM.js";import"./chunk-6MUBBAK2-Bwg3mDJe.js";import"./chunk-BG4553SI-DL_Q-e5s.js";import"./d3-selection-CAlnz18u.js";import{n}from"./chunk-Y2CYZVJY-DsF7k-Jl.js";var r=t({styles:n(t=>`${e(t)}
  .swimlane.cluster:not([data-color-id]) rect {
    stroke: ${t.clusterBorder} !important;
  }
  [data-look="neo"].cluster rect {
    filter: none;
  }
`,`getStyles`)});export{r as diagram};