import{r as e,t}from"./chunk-QB3YPZ4I-ZzhKnE6k.js";import"./chunk-TU62E6Q5-cuxyg2QW.js";import"./mermaid.core-IEpeN7Le.js";import"./chunk-HFQBQIA3-BzzrF2J_.js";import"./chunk-M57EVK23-kcK3AAfT.js";import"./chunk-DQASFODM-CidgRVDI.js";import"./chunk-LEVMRMFU-C-YFJYqd.js";import"./chunk-AXFCVDMN-BqY8TgNj.js";import"./chunk-X4PVCEUW-DYbe3fl3.js";import"./chunk-STOXU5M4-C8HtNxFm.js";import"./chunk-R3KSYZAL-_8xkF-mM.js";import"./chunk-6MUBBAK2-DF4DbB28.js";import"./chunk-BG4553SI-BPSTKVN0.js";import"./d3-selection-CQw3sKK8.js";import{n}from"./chunk-Y2CYZVJY-DsF7k-Jl.js";var r=t({styles:n(t=>`${e(t)}
  .swimlane.cluster:not([data-color-id]) rect {
    stroke: ${t.clusterBorder} !important;
  }
  [data-look="neo"].cluster rect {
    filter: none;
  }
`,`getStyles`)});export{r as diagram};