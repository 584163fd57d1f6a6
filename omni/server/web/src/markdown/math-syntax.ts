/** Where formulas stand in Markdown: $…$, $$…$$, \(…\) and \[…\]. They are drawn later, by KaTeX. */

import MarkdownIt from "markdown-it";

const INLINE: [string, string][] = [
  ["\\(", "\\)"],
  ["$$", "$$"],
  ["$", "$"],
];
const BLOCK: [string, string][] = [
  ["$$", "$$"],
  ["\\[", "\\]"],
];
const LONGEST = 10_000;

type Markdown = InstanceType<typeof MarkdownIt>;

export function mathPlugin(md: Markdown): void {
  const place = (tex: string, display: boolean) => {
    const text = md.utils.escapeHtml(tex);
    return `<span class="math" data-tex="${text}"${display ? ' data-display="1"' : ""}>${text}</span>`;
  };

  md.inline.ruler.before("escape", "math", (state, silent) => {
    const rest = state.src.slice(state.pos, state.posMax);
    for (const [open, close] of INLINE) {
      if (!rest.startsWith(open)) continue;
      const end = rest.indexOf(close, open.length);
      const tex = rest.slice(open.length, end);
      if (end < 0 || !tex.trim() || tex.length > LONGEST) continue;
      // "$5 and $6" are prices: a formula touches its dollars, and no digit follows it.
      if (open === "$" && (/^\s|\s$/.test(tex) || /^\d/.test(rest.slice(end + 1)) || tex.includes("\n\n"))) continue;
      if (!silent) {
        const token = state.push("math", "span", 0);
        token.content = tex.trim();
        token.meta = { display: open === "$$" };
      }
      state.pos += end + close.length;
      return true;
    }
    return false;
  });

  md.block.ruler.before(
    "fence",
    "math_block",
    (state, startLine, endLine, silent) => {
      const begin = state.bMarks[startLine]! + state.tShift[startLine]!;
      if (state.sCount[startLine]! - state.blkIndent >= 4) return false;
      const first = state.src.slice(begin, state.eMarks[startLine]);
      for (const [open, close] of BLOCK) {
        if (!first.startsWith(open)) continue;
        const found: string[] = [];
        for (let line = startLine; line < endLine; line++) {
          const from = line === startLine ? begin + open.length : state.bMarks[line]!;
          const text = state.src.slice(from, state.eMarks[line]);
          const end = text.trimEnd().endsWith(close) ? text.trimEnd().length - close.length : -1;
          found.push(end >= 0 ? text.slice(0, end) : text);
          if (end < 0) continue;
          if (!found.join("").trim() || found.join("\n").length > LONGEST) return false;
          if (silent) return true;
          const token = state.push("math_block", "p", 0);
          token.content = found.join("\n").trim();
          token.map = [startLine, line + 1];
          token.block = true;
          state.line = line + 1;
          return true;
        }
      }
      return false;
    },
    { alt: ["paragraph", "reference", "blockquote", "list"] },
  );

  md.renderer.rules["math"] = (tokens, at) => place(tokens[at]!.content, Boolean(tokens[at]!.meta?.display));
  md.renderer.rules["math_block"] = (tokens, at) => `<p>${place(tokens[at]!.content, true)}</p>`;
}
