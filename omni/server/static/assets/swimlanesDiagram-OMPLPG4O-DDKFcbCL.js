import{r as e,t}from"./chunk-QB3YPZ4I-abIAHS1A.js";import"./chunk-TU62E6Q5-CjM-i0ct.js";import"./mermaid.core-DYzE4viY.js";import"./chunk-HFQBQIA3-Cr2U8FLm.js";import"./chunk-M57EVK23-BKzwpkfk.js";import"./chunk-DQASFODM-C3MKCFz5.js";import"./chunk-LEVMRMFU-13su7GqK.js";import"./chunk-AXFCVDMN-BoTKusIV.js";import"./chunk-X4PVCEUW-Dbt5r6VX.js";import"./chunk-STOXU5M4-C_R0-UTA.js";import"./chunk-R3KSYZAL-CxYKcI1f.js";import"./chunk-6MUBBAK2-C2uszQqF.js";import"./chunk-BG4553SI-CuoNRfwa.js";import"./d3-selection-MR0tZq6u.js";import{n}from"./chunk-Y2CYZVJY-DsF7k-Jl.js";var r=t({styles:n(t=>`${e(t)}
  .swimlane.cluster:not([data-color-id]) rect {
    stroke: ${t.clusterBorder} !important;
  }
  [data-look="neo"].cluster rect {
    filter: none;
  }
`,`getStyles`)});export{r as diagram};