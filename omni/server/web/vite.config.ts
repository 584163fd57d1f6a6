import { defineConfig } from "vite";

// The same sources give the same files, byte for byte: they are committed, and a test builds them again.
export default defineConfig({
  base: "/",
  build: {
    outDir: "../static",
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 1500,
    reportCompressedSize: false,
  },
  plugins: [
    {
      // Of Mermaid what draws ordinary diagrams: not its second layout engine (1.5 MB), not a second KaTeX.
      name: "mermaid-without",
      enforce: "pre",
      resolveId(id, importer) {
        const unwanted = /\/elk-[A-Z0-9]+\.mjs$/.test(id) || id === "katex";
        return unwanted && importer?.includes("/mermaid/dist/") ? "\0not-here" : null;
      },
      load(id) {
        return id === "\0not-here" ? "export default undefined; export const render = undefined;" : null;
      },
    },
    {
      // KaTeX names its fonts in three formats; every browser that runs this page reads the smallest.
      name: "woff2-only",
      enforce: "pre",
      transform(code, id) {
        if (!id.includes("katex") || !id.endsWith(".css")) return null;
        return code.replace(/,\s*url\([^)]*\.(?:woff|ttf)\)\s*format\((?:"|')(?:woff|truetype)(?:"|')\)/g, "");
      },
    },
  ],
});
