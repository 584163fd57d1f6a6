/** Which messages are near the view. They become whole one after another, a few milliseconds a frame. */

const MARGIN = "1200px 0px";
const SHARE = 4; // milliseconds of a frame

type Listener = (near: boolean) => void;

export class Near {
  private observer: IntersectionObserver | null = null;
  private readonly listeners = new Map<Element, Listener>();
  private readonly waiting = new Map<Element, boolean>();
  private frame = 0;

  watch(root: Element): void {
    this.observer = new IntersectionObserver((entries) => this.seen(entries), { root, rootMargin: MARGIN });
    for (const element of this.listeners.keys()) this.observer.observe(element);
  }

  follow(element: Element, listener: Listener): () => void {
    this.listeners.set(element, listener);
    this.observer?.observe(element);
    return () => {
      this.listeners.delete(element);
      this.waiting.delete(element);
      this.observer?.unobserve(element);
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
      this.waiting.delete(entry.target);
      this.waiting.set(entry.target, entry.isIntersecting);
    }
    this.plan();
  }

  private plan(): void {
    if (this.frame || !this.waiting.size) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      const end = performance.now() + SHARE;
      // What came last is what the person looks at now.
      for (const [element, near] of [...this.waiting].reverse()) {
        this.waiting.delete(element);
        this.listeners.get(element)?.(near);
        if (performance.now() > end) break;
      }
      this.plan();
    });
  }
}
