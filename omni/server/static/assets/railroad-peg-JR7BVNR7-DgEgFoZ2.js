<<<<<<<< HEAD:omni/server/static/assets/railroad-peg-JR7BVNR7-DgEgFoZ2.js
export{u as createRailroadPegServices}from"./mermaid-parser.core-CicQBBK9.js";import"./chunk-NGNAAXSQ-DI_UYJZ4.js";
========
export{u as createRailroadPegServices}from"./mermaid-parser.core-C7IvGSqw.js";import"./chunk-NGNAAXSQ-DI_UYJZ4.js";
>>>>>>>> webframes:omni/server/static/assets/railroad-peg-JR7BVNR7-BnTxpb_z.js
