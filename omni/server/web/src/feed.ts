/** The one feed of changes, from other windows and other pages. */

import { attempt, hearPull, readBrains, readConversations, readPlugins, readSettings, reread, go } from "./actions";
import { get } from "./api";
import { turns } from "./chat/turns";
import { remember, state, toast } from "./state";
import type { Change, Doors, Pull, Reading } from "./types";

/** Do `work` soon, once for many calls, never twice at a time. */
function gathered(work: () => Promise<unknown>, pause: number): () => void {
  let planned = false;
  let running = false;
  let again = false;
  const run = async () => {
    planned = false;
    running = true;
    await work().catch(() => undefined);
    running = false;
    if (again) {
      again = false;
      call();
    }
  };
  const call = () => {
    if (running) again = true;
    else if (!planned) {
      planned = true;
      setTimeout(() => void run(), pause);
    }
  };
  return call;
}

const list = gathered(() => readConversations(), 300);
const brains = gathered(() => readBrains(), 300);
const end = gathered(async () => {
  const open = state.get().open;
  if (open && !turns.of(open.id)) await reread(open.id);
}, 80);
const doors = gathered(async () => state.set({ doors: await get<Doors>("/doors") }), 0);

export function follow(): void {
  const source = new EventSource("/omni/v1/changes");
  let met = false;
  source.onmessage = (message) => hear(JSON.parse(message.data as string) as Change);
  source.onopen = () => {
    state.set({ connected: true });
    if (met) everything();
    met = true;
  };
  source.onerror = () => {
    // What nobody tells any more is not known; only the air gap stays until somebody lifts it.
    state.set(({ doors }) => ({ connected: false, doors: doors?.air_gap ? doors : null }));
    if (source.readyState === EventSource.CLOSED) setTimeout(follow, 2000);
  };
}

function everything(): void {
  list();
  brains();
  doors();
  void attempt(readSettings());
  void attempt(readPlugins());
  const open = state.get().open;
  if (open && !turns.of(open.id)) void reread(open.id, true).catch(() => undefined);
}

function hear(change: Change): void {
  const value = (change.value ?? {}) as Record<string, unknown>;
  switch (change.topic) {
    case "hello":
      state.set({ version: String(value["version"] ?? "") });
      break;
    case "conversation": {
      const id = String(value["conversation"] ?? "");
      const open = state.get().open;
      if (value["what"] !== "writing") list();
      if (open?.id !== id) break;
      if (value["what"] === "deleted") go("chat");
      else end();
      break;
    }
    case "library":
    case "processes":
      brains();
      break;
    case "doors":
      doors();
      break;
    case "settings":
      void readSettings().catch(() => undefined);
      void readPlugins().catch(() => undefined);
      brains();
      break;
    case "machine": {
      const reading = change.value as Reading;
      remember(reading);
      state.set({ reading, doors: reading.doors });
      break;
    }
    case "pull": {
      const pull = change.value as Pull;
      hearPull(pull);
      if (pull.state === "done") brains();
      break;
    }
    case "engine": // another one answers than was asked for
      toast(String(change.value));
      break;
    case "everything":
      everything();
      break;
  }
}
