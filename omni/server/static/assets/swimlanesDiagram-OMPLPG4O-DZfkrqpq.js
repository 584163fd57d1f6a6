import{r as e,t}from"./chunk-QB3YPZ4I-LRzIG4PG.js";import"./chunk-TU62E6Q5-CMubwKHP.js";import"./mermaid.core-ClwO5AIc.js";import"./chunk-HFQBQIA3-DT37SEuW.js";import"./chunk-M57EVK23-CR3RerAH.js";import"./chunk-DQASFODM-Bi3h8Kzb.js";import"./chunk-LEVMRMFU--YBDZcH5.js";import"./chunk-AXFCVDMN-C4IgIP-Q.js";import"./chunk-X4PVCEUW-Bq4RTX0f.js";import"./chunk-STOXU5M4-DXsWSCJQ.js";import"./chunk-R3KSYZAL-7k34CDGB.js";import"./chunk-6MUBBAK2-C_a2yzBe.js";import"./chunk-BG4553SI-DijxCl3K.js";import"./d3-selection-Bm_BaWnt.js";import{n}from"./chunk-Y2CYZVJY-DsF7k-Jl.js";var r=t({styles:n(t=>`${e(t)}
  .swimlane.cluster:not([data-color-id]) rect {
    stroke: ${t.clusterBorder} !important;
  }
  [data-look="neo"].cluster rect {
    filter: none;
  }
`,`getStyles`)});export{r as diagram};