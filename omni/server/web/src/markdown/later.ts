/** Work that may wait until nothing moves: a few milliseconds at a time, between frames. */

type Job = () => void | Promise<void>;

const waiting: { alive: () => boolean; job: Job }[] = [];
let planned = false;

const whenIdle: (run: (left: () => number) => void) => void =
  "requestIdleCallback" in window
    ? (run) => void requestIdleCallback((deadline) => run(() => deadline.timeRemaining()), { timeout: 1000 })
    : (run) => {
        setTimeout(() => {
          const end = performance.now() + 5;
          run(() => end - performance.now());
        }, 30);
      };

/** Do `job` when there is time, unless `alive` says by then that nobody wants it. */
export function later(alive: () => boolean, job: Job): void {
  waiting.push({ alive, job });
  plan();
}

function plan(): void {
  if (planned) return;
  planned = true;
  whenIdle((left) => {
    planned = false;
    do {
      const next = waiting.shift();
      if (next?.alive()) void next.job();
    } while (waiting.length && left() > 3);
    if (waiting.length) plan();
  });
}
