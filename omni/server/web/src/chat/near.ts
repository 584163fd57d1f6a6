/**
 * Which messages are near the view: whole chunks of them are watched, because watching has its price in every frame. They
 * become whole one after another, a few milliseconds a frame, and plain again when nothing else is to be done.
 */

import { later } from "../markdown/later";

const MARGIN = "1000px 0px";
const SHARE = 2; // milliseconds of a frame

type Listener = (near: boolean) => void;

export class Near {
  /** Whether the person moves towards the end: then what comes first is wanted first. */
  down = false;
  private observer: IntersectionObserver | null = null;
  private readonly chunks = new Map<Element, Map<Element, Listener>>();
  private readonly shown = new Set<Element>();
  private readonly waiting = new Map<Element, Listener>();
  private readonly far = new Set<Element>();
  private frame = 0;

  watch(root: Element): void {
    this.observer = new IntersectionObserver((entries) => this.seen(entries), { root, rootMargin: MARGIN });
    for (const chunk of this.chunks.keys()) this.observer.observe(chunk);
  }

  /** Let `listener` know when `element`, a part of a chunk, is near and when it is not any more. */
  follow(element: Element, listener: Listener): () => void {
    const chunk = element.parentElement!;
    let members = this.chunks.get(chunk);
    if (!members) {
      members = new Map();
      this.chunks.set(chunk, members);
      this.observer?.observe(chunk);
    }
    members.set(element, listener);
    if (this.shown.has(chunk)) this.come(element, listener);
    this.plan();
    return () => {
      members.delete(element);
      this.waiting.delete(element);
      this.far.delete(element);
      if (members.size) return;
      this.chunks.delete(chunk);
      this.shown.delete(chunk);
      this.observer?.unobserve(chunk);
    };
  }

  end(): void {
    this.observer?.disconnect();
    this.observer = null;
    cancelAnimationFrame(this.frame);
    this.frame = 0;
  }

  private seen(entries: IntersectionObserverEntry[]): void {
    for (const entry of entries) {
      const members = [...(this.chunks.get(entry.target) ?? [])];
      if (entry.isIntersecting) {
        this.shown.add(entry.target);
        for (const [element, listener] of this.down ? members : members.reverse()) this.come(element, listener);
      } else {
        this.shown.delete(entry.target);
        for (const [element, listener] of members) this.go(element, listener);
      }
    }
    this.plan();
  }

  private come(element: Element, listener: Listener): void {
    this.far.delete(element);
    this.waiting.set(element, listener);
  }

  private go(element: Element, listener: Listener): void {
    this.waiting.delete(element);
    this.far.add(element);
    later(
      () => this.far.delete(element),
      () => listener(false),
    );
  }

  private plan(): void {
    if (this.frame || !this.waiting.size) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      const end = performance.now() + SHARE;
      for (const [element, listener] of this.waiting) {
        this.waiting.delete(element);
        listener(true);
        if (performance.now() > end) break;
      }
      this.plan();
    });
  }
}
