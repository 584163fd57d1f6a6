<<<<<<<< HEAD:omni/server/static/assets/railroad-abnf-LNEFI6M7-DnowoBgE.js
export{m as createRailroadAbnfServices}from"./mermaid-parser.core-CicQBBK9.js";import"./chunk-NGNAAXSQ-DI_UYJZ4.js";
========
export{m as createRailroadAbnfServices}from"./mermaid-parser.core-C7IvGSqw.js";import"./chunk-NGNAAXSQ-DI_UYJZ4.js";
>>>>>>>> webframes:omni/server/static/assets/railroad-abnf-LNEFI6M7-DDKnlX0Y.js
