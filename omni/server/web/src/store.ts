/** A value that components can follow, part by part. */

import { useRef, useSyncExternalStore } from "react";

export interface Store<T> {
  get(): T;
  set(change: Partial<T> | ((now: T) => Partial<T>)): void;
  subscribe(listener: () => void): () => void;
  use<S>(select: (now: T) => S): S;
}

export function createStore<T extends object>(initial: T): Store<T> {
  let now = initial;
  const listeners = new Set<() => void>();
  const store: Store<T> = {
    get: () => now,
    set(change) {
      const next = typeof change === "function" ? change(now) : change;
      if (Object.entries(next).every(([key, value]) => Object.is(now[key as keyof T], value))) return;
      now = { ...now, ...next };
      for (const listener of [...listeners]) listener();
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    use<S>(select: (value: T) => S): S {
      const selector = useRef(select);
      selector.current = select;
      return useSyncExternalStore(store.subscribe, () => selector.current(now));
    },
  };
  return store;
}
