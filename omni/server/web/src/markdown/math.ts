/** Formulas, drawn by KaTeX, which is loaded with the first one. */

const load = () => Promise.all([import("katex"), import("./clean"), import("katex/dist/katex.min.css")]);
let loading: ReturnType<typeof load> | undefined;

export async function drawMath(place: HTMLElement): Promise<void> {
  const [{ default: katex }, { cleanMath }] = await (loading ??= load());
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
