/** A text that is still being written: each block is made once; only the last one is made again as it grows. */

import { blocks, codeHtml } from "./render";
import { nodesOf } from "./nodes";
import { enhance } from "./enhance";

export class LiveMarkdown {
  private settled = 0;
  private shown = "";
  private readonly tail = document.createElement("div");
  private open: { text: Text; content: string; lang: string } | null = null;

  constructor(private readonly root: HTMLElement) {
    this.tail.className = "tail";
    root.replaceChildren(this.tail);
  }

  /** Show `text`, which begins with what was shown before. */
  update(text: string): void {
    if (text === this.shown) return;
    if (!text.startsWith(this.shown)) this.clear();
    this.shown = text;
    const rest = text.slice(this.settled);
    const found = blocks(rest);
    const last = found.at(-1);
    for (const block of found.slice(0, -1)) {
      const nodes = block.nodes();
      const made = [...nodes.children];
      this.root.insertBefore(nodes, this.tail);
      for (const node of made) enhance(node);
    }
    if (!last) {
      this.tail.replaceChildren();
      return;
    }
    if (found.length > 1) {
      this.settled += last.start;
      this.open = null;
    }
    if (last.openFence) this.grow(last.openFence);
    else {
      this.open = null;
      this.tail.replaceChildren(last.nodes());
    }
  }

  /** Code that is not closed yet is plain and only ever added to. */
  private grow(fence: { content: string; lang: string }): void {
    if (this.open && this.open.lang === fence.lang && fence.content.startsWith(this.open.content)) {
      this.open.text.appendData(fence.content.slice(this.open.content.length));
      this.open.content = fence.content;
      return;
    }
    this.tail.replaceChildren(nodesOf(codeHtml("", fence.lang)));
    const text = document.createTextNode(fence.content);
    this.tail.querySelector("code")!.append(text);
    this.open = { text, content: fence.content, lang: fence.lang };
  }

  private clear(): void {
    this.settled = 0;
    this.open = null;
    this.root.replaceChildren(this.tail);
  }
}
