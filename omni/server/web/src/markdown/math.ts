/** Formulas, drawn by KaTeX, which is loaded with the first one. */

import { cleanMath } from "./clean";

let loading: Promise<typeof import("katex").default> | undefined;

export async function drawMath(place: HTMLElement): Promise<void> {
  loading ??= Promise.all([import("katex"), import("katex/dist/katex.min.css")]).then(([found]) => found.default);
  const katex = await loading;
  const tex = place.dataset["tex"] ?? "";
  try {
    const html = katex.renderToString(tex, {
      displayMode: place.dataset["display"] === "1",
      throwOnError: true,
      trust: false,
      strict: "ignore",
      maxSize: 20,
      maxExpand: 300,
    });
    place.replaceChildren(cleanMath(html));
    place.classList.add("drawn");
  } catch (error) {
    place.title = error instanceof Error ? error.message : String(error); // the source stays
  }
}
