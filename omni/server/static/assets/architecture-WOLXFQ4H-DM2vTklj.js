<<<<<<<< HEAD:omni/server/static/assets/architecture-WOLXFQ4H-DM2vTklj.js
export{M as createArchitectureServices}from"./mermaid-parser.core-CicQBBK9.js";import"./chunk-NGNAAXSQ-DI_UYJZ4.js";
========
export{M as createArchitectureServices}from"./mermaid-parser.core-C7IvGSqw.js";import"./chunk-NGNAAXSQ-DI_UYJZ4.js";
>>>>>>>> webframes:omni/server/static/assets/architecture-WOLXFQ4H-Wvo9UMh0.js
