import{r as e,t}from"./chunk-QB3YPZ4I-CTTScQ_t.js";import"./chunk-TU62E6Q5-DcXiwNXy.js";import"./mermaid.core-30KVAJEK.js";import"./chunk-HFQBQIA3-CBMqg_5w.js";import"./chunk-M57EVK23-DFKDmgBC.js";import"./chunk-DQASFODM-DKtiP6yA.js";import"./chunk-LEVMRMFU-3n4pMMvz.js";import"./chunk-AXFCVDMN-D8QaSrY_.js";import"./chunk-X4PVCEUW-C2Dalrl3.js";import"./chunk-STOXU5M4-CPGdJ16p.js";import"./chunk-R3KSYZAL-BSQv73cV.js";import"./chunk-6MUBBAK2-BAPl8Le8.js";import"./chunk-BG4553SI-DiwaGWPW.js";import"./d3-selection-zhX3Rn0B.js";import{n}from"./chunk-Y2CYZVJY-DsF7k-Jl.js";var r=t({styles:n(t=>`${e(t)}
  .swimlane.cluster:not([data-color-id]) rect {
    stroke: ${t.clusterBorder} !important;
  }
  [data-look="neo"].cluster rect {
    filter: none;
  }
`,`getStyles`)});export{r as diagram};