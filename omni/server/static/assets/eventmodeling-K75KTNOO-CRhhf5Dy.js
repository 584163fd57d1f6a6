<<<<<<<< HEAD:omni/server/static/assets/eventmodeling-K75KTNOO-Dov_NP-Z.js
export{O as createEventModelingServices}from"./mermaid-parser.core-CicQBBK9.js";import"./chunk-NGNAAXSQ-DI_UYJZ4.js";
========
export{O as createEventModelingServices}from"./mermaid-parser.core-C7IvGSqw.js";import"./chunk-NGNAAXSQ-DI_UYJZ4.js";
>>>>>>>> webframes:omni/server/static/assets/eventmodeling-K75KTNOO-CRhhf5Dy.js
