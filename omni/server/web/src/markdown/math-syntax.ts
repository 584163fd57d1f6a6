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

/** The place of `close` at or after `from`, Infinity where there is none: looked for anew only when the last one is passed. */
function ends<State extends object>(look: (state: State, close: string, from: number) => number) {
  const known = new WeakMap<State, Map<string, { from: number; at: number }>>();
  return (state: State, close: string, from: number): number => {
    const places = known.get(state) ?? new Map<string, { from: number; at: number }>();
    known.set(state, places);
    const place = places.get(close);
    if (place && place.from <= from && from <= place.at) return place.at;
    const at = look(state, close, from);
    places.set(close, { from, at: at < 0 ? Infinity : at });
    return places.get(close)!.at;
  };
}

export function mathPlugin(md: Markdown): void {
  const place = (tex: string, display: boolean) => {
    const text = md.utils.escapeHtml(tex);
    return `<span class="math" data-tex="${text}"${display ? ' data-display="1"' : ""}>${text}</span>`;
  };

  // Where each closing mark comes next, so that many that open and never close are looked for once, and not each to the end.
  const nextEnd = ends<{ src: string }>((state, close, from) => state.src.indexOf(close, from));
  const nextLine = ends<{ src: string; eMarks: number[]; bMarks: number[] }>((state, close, from) => {
    for (let line = from; line < state.eMarks.length; line++) {
      if (state.src.slice(state.bMarks[line], state.eMarks[line]).trimEnd().endsWith(close)) return line;
    }
    return -1;
  });

  md.inline.ruler.before("escape", "math", (state, silent) => {
    const { src, pos } = state;
    for (const [open, close] of INLINE) {
      if (!src.startsWith(open, pos)) continue;
      const begin = pos + open.length;
      const end = nextEnd(state, close, begin);
      if (end + close.length > state.posMax || end - begin > LONGEST) continue;
      const tex = src.slice(begin, end);
      if (!tex.trim()) continue;
      // "$5 and $6" are prices: a formula touches its dollars, and no digit follows it.
      if (open === "$" && (/^\s|\s$/.test(tex) || /\d/.test(src.slice(end + 1, Math.min(end + 2, state.posMax))) || tex.includes("\n\n"))) continue;
      if (!silent) {
        const token = state.push("math", "span", 0);
        token.content = tex.trim();
        token.meta = { display: open === "$$" };
      }
      state.pos = end + close.length;
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
        const one = first.slice(open.length).trimEnd().endsWith(close);
        const last = one ? startLine : nextLine(state, close, startLine + 1);
        if (last >= endLine || state.eMarks[last]! - begin > 2 * LONGEST) return false;
        const lines: string[] = [];
        for (let line = startLine; line <= last; line++) {
          lines.push(state.src.slice(line === startLine ? begin + open.length : state.bMarks[line], state.eMarks[line]));
        }
        const tex = lines.join("\n").trimEnd().slice(0, -close.length).trim();
        if (!tex || tex.length > LONGEST) return false;
        if (silent) return true;
        const token = state.push("math_block", "p", 0);
        token.content = tex;
        token.map = [startLine, last + 1];
        token.block = true;
        state.line = last + 1;
        return true;
      }
      return false;
    },
    { alt: ["paragraph", "reference", "blockquote", "list"] },
  );

  md.renderer.rules["math"] = (tokens, at) => place(tokens[at]!.content, Boolean(tokens[at]!.meta?.display));
  md.renderer.rules["math_block"] = (tokens, at) => `<p>${place(tokens[at]!.content, true)}</p>`;
}
