/** Markdown to HTML. Raw HTML is shown as the text that it is, images as links, formulas as places to be filled. */

import MarkdownIt from "markdown-it";
import { mathPlugin } from "./math-syntax";
import { nodesOf } from "./nodes";

type Token = ReturnType<InstanceType<typeof MarkdownIt>["parse"]>[number];

const md = new MarkdownIt({ html: false, linkify: true, breaks: false, typographer: false });
md.linkify.set({ fuzzyLink: false, fuzzyEmail: false });
md.validateLink = (url) => /^(?:https?:|mailto:)/i.test(url.trim());
md.use(mathPlugin);

const escape = md.utils.escapeHtml;

/** The address stands beside the words that hide it. */
function visible(text: string, href: string): boolean {
  const bare = (value: string) => value.replace(/^(?:https?:\/\/|mailto:)/i, "").replace(/\/$/, "");
  return bare(text.trim()) !== bare(href);
}

md.renderer.rules["link_close"] = (tokens, at) => {
  let open = at;
  for (let depth = 0; open >= 0; open--) {
    if (tokens[open]!.type === "link_close") depth++;
    if (tokens[open]!.type === "link_open" && --depth === 0) break;
  }
  const href = String(tokens[open]?.attrGet("href") ?? "");
  const words = tokens.slice(open + 1, at).map((token) => token.content).join("");
  if (!visible(words, href)) return "</a>";
  let shown = href;
  try {
    const decoded = decodeURI(href);
    if (!/[\p{C}\p{Z}]/u.test(decoded)) shown = decoded; // what is not seen, or turns the rest around, stays written out
  } catch {
    // it is shown as it is written
  }
  return `</a><span class="address"> (${escape(shown.length > 80 ? shown.slice(0, 79) + "…" : shown)})</span>`;
};

md.renderer.rules["image"] = (tokens, at) => {
  const token = tokens[at]!;
  const source = String(token.attrGet("src") ?? "");
  const words = token.content || "picture";
  if (!/^https?:/i.test(source)) return `<span class="picture">${escape(words)} (picture, not shown)</span>`;
  return `<span class="picture">picture, not loaded: <a href="${escape(source)}">${escape(words)}</a><span class="address"> (${escape(source)})</span></span>`;
};

md.renderer.rules["fence"] = (tokens, at) => codeHtml(tokens[at]!.content, language(tokens[at]!.info));
md.renderer.rules["code_block"] = (tokens, at) => codeHtml(tokens[at]!.content, "");

const table = () => '<div class="wide" tabindex="0" role="group" aria-label="table"><table>';
md.renderer.rules["table_open"] = table;
md.renderer.rules["table_close"] = () => "</table></div>";

/** The first word after the fence. */
export function language(info: string): string {
  return (/^[\w+#.-]{1,30}/.exec(info.trim())?.[0] ?? "").toLowerCase();
}

/** A block of code with what stands above it; colours come later. */
export function codeHtml(text: string, lang: string): string {
  const title = `<span class="lang">${escape(lang || "text")}</span>`;
  const copy = '<button type="button" class="quiet" data-act="copy">copy</button>';
  return `<div class="code" data-lang="${escape(lang)}"><div class="code-head">${title}${copy}</div><pre tabindex="0" role="group" aria-label="${escape(lang || "text")} code"><code>${escape(text.replace(/\n$/, ""))}</code></pre></div>`;
}

/** A whole text, as nodes that can be put into the page. */
export function render(text: string): DocumentFragment {
  return nodesOf(md.render(text));
}

/** One block of a text that still grows: where it ends, and what it is. */
export interface Block {
  start: number;
  end: number;
  openFence: { content: string; lang: string } | null;
  nodes: () => DocumentFragment;
}

/** The blocks of a text. The last one may go on; the others will not change any more. */
export function blocks(text: string): Block[] {
  const env = {};
  const tokens = md.parse(text, env);
  const lines = offsets(text);
  const groups: { tokens: Token[]; from: number }[] = [];
  let depth = 0;
  for (const token of tokens) {
    if (depth === 0 && token.nesting >= 0 && token.map) groups.push({ tokens: [], from: token.map[0] });
    groups.at(-1)?.tokens.push(token);
    depth += token.nesting;
  }
  return groups.map((group, index) => {
    const next = groups[index + 1];
    const start = lines[group.from] ?? text.length;
    const end = next ? (lines[next.from] ?? text.length) : text.length;
    const first = group.tokens[0]!;
    const open = !next && first.type === "fence" && !closed(text.slice(start), first.markup);
    return {
      start,
      end,
      openFence: open ? { content: first.content, lang: language(first.info) } : null,
      nodes: () => nodesOf(md.renderer.render(group.tokens, md.options, env)),
    };
  });
}

function closed(fence: string, markup: string): boolean {
  const lines = fence.trimEnd().split("\n");
  const last = lines.at(-1)!.trim();
  return lines.length > 1 && last.length >= markup.length && last === (markup[0] ?? "`").repeat(last.length);
}

function offsets(text: string): number[] {
  const found = [0];
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) found.push(at + 1);
  return found;
}
