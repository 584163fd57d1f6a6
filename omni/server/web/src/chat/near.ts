/**
 * Which messages are near the view. They become whole one after another, a little in every frame, before the browser lays
 * out the chunk that they stand in; what is far from it becomes plain again when nothing else is to be done.
 */

import { later } from "../markdown/later";

const SCREENS = 6; // further than the 1.5 screens in which browsers lay out what has `content-visibility`
const SHARE = 0.5; // milliseconds of a frame

/** A text that is whole or plain. */
export interface Part {
  whole: boolean;
  show: () => void;
}

export class Near {
  private readonly chunks = new WeakMap<Element, Set<Part>>();
  private near = new Set<Element>();
  private waiting = new Set<Part>();
  private down = false;
  private first = 0;
  private edges: (Element | undefined)[] = [];
  private frame = 0;

  /** Keep `part` whole while `chunk` is near, and plain while it is not. */
  follow(chunk: Element, part: Part): () => void {
    const parts = this.chunks.get(chunk) ?? new Set();
    this.chunks.set(chunk, parts.add(part));
    if (this.near.has(chunk)) this.want([part]);
    return () => {
      parts.delete(part);
      this.waiting.delete(part);
    };
  }

  /** See what is near now, while the layout is known. What is in view is wanted first, then where the person moves to. */
  look(scroller: HTMLElement, transcript: HTMLElement, down: boolean): void {
    const chunks = transcript.children as HTMLCollectionOf<HTMLElement>;
    if (!chunks.length) return;
    const [top, high] = [scroller.scrollTop, scroller.clientHeight];
    const first = indexAt(chunks, top, this.first);
    const last = indexAt(chunks, top + high, first);
    const start = indexAt(chunks, top - SCREENS * high, first);
    const end = indexAt(chunks, top + (SCREENS + 1) * high, last);
    const edges = [start, first, last, end];
    this.first = first;
    if (down === this.down && edges.every((index, at) => chunks[index] === this.edges[at])) return;
    this.down = down;
    this.edges = edges.map((index) => chunks[index]);
    const between = (from: number, to: number) => Array.from({ length: to - from }, (_, at) => chunks[from + at]!);
    const ahead = between(last + 1, end + 1);
    const behind = between(start, first).reverse();
    const order = [between(first, last + 1), ...(down ? [ahead, behind] : [behind, ahead])].flat();
    const before = this.near;
    this.near = new Set(order);
    for (const chunk of before) if (!this.near.has(chunk)) this.leave(chunk);
    this.waiting = new Set();
    this.want(order.flatMap((chunk) => [...(this.chunks.get(chunk) ?? [])]));
  }

  end(): void {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
  }

  private leave(chunk: Element): void {
    for (const part of this.chunks.get(chunk) ?? []) {
      later(
        () => part.whole && !this.near.has(chunk),
        () => change(part, false),
      );
    }
  }

  private want(parts: Part[]): void {
    for (const part of parts) if (!part.whole) this.waiting.add(part);
    if (this.frame || !this.waiting.size) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      const end = performance.now() + SHARE;
      for (const part of this.waiting) {
        this.waiting.delete(part);
        change(part, true);
        if (performance.now() > end) break;
      }
      this.want([]);
    });
  }
}

function change(part: Part, whole: boolean): void {
  part.whole = whole;
  part.show();
}

/** The chunk at this height, or the nearest, looked for from where it was before: they stand one below the other. */
function indexAt(chunks: HTMLCollectionOf<HTMLElement>, y: number, from: number): number {
  let at = Math.min(from, chunks.length - 1);
  while (at > 0 && chunks[at]!.offsetTop > y) at--;
  while (at + 1 < chunks.length && chunks[at + 1]!.offsetTop <= y) at++;
  return at;
}
