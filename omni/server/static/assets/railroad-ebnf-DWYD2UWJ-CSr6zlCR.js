<<<<<<<< HEAD:omni/server/static/assets/railroad-ebnf-DWYD2UWJ-B9UA7MDO.js
export{f as createRailroadEbnfServices}from"./mermaid-parser.core-CicQBBK9.js";import"./chunk-NGNAAXSQ-DI_UYJZ4.js";
========
export{f as createRailroadEbnfServices}from"./mermaid-parser.core-C7IvGSqw.js";import"./chunk-NGNAAXSQ-DI_UYJZ4.js";
>>>>>>>> webframes:omni/server/static/assets/railroad-ebnf-DWYD2UWJ-CSr6zlCR.js
