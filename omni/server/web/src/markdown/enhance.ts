/** What makes a rendered text whole, little by little: colours, formulas, diagrams. */

import { later } from "./later";
import { highlight } from "./highlight";
import { drawMath } from "./math";
import { drawDiagram } from "./mermaid";

export function enhance(root: Element): void {
  for (const block of within(root, ".code")) {
    const lang = block.dataset["lang"] ?? "";
    const code = block.querySelector<HTMLElement>("code");
    if (!code || !lang) continue;
    const alive = () => block.isConnected;
    if (lang === "mermaid") later(alive, () => drawDiagram(block, code.textContent ?? ""));
    else later(alive, () => highlight(code, lang));
  }
  for (const place of within(root, ".math")) {
    later(() => place.isConnected, () => drawMath(place));
  }
}

/** Diagrams have the colours of the page, also after it has got others. */
export function redraw(): void {
  for (const block of document.querySelectorAll<HTMLElement>('.code.drawn[data-lang="mermaid"]')) {
    const source = block.querySelector("code")?.textContent ?? "";
    later(() => block.isConnected, () => drawDiagram(block, source));
  }
}

function within(root: Element, selector: string): HTMLElement[] {
  const found = [...root.querySelectorAll<HTMLElement>(selector)];
  return root instanceof HTMLElement && root.matches(selector) ? [root, ...found] : found;
}
