/** Colours for code: the common languages, in one chunk that is loaded with the first block of code. */

import { nodesOf } from "./nodes";

const LONGEST = 30_000;

export async function highlight(code: HTMLElement, lang: string): Promise<void> {
  const text = code.textContent ?? "";
  if (!lang || text.length > LONGEST) return;
  const { default: hljs } = await import("highlight.js/lib/common");
  const known = hljs.getLanguage(lang) ? lang : "";
  if (!known || code.textContent !== text) return;
  code.replaceChildren(nodesOf(hljs.highlight(text, { language: known, ignoreIllegals: true }).value));
}
