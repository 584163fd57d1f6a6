/** What all parts of the page share. */

import { createStore } from "./store";
import type { Brain, Conversation, Doors, Message, Palette, PluginParts, Problem, Pull, Reading, Setting } from "./types";

export type Page = "chat" | "cartridges" | "system" | "settings";

export interface Toast {
  id: number;
  text: string;
  hint: string;
  kind: "good" | "bad";
}

export interface Open {
  id: string;
  conversation: Conversation | null;
  messages: Message[];
  problem: Problem | null;
}

export interface Meter {
  used: number;
  allocated: number;
  speed: number;
}

export interface State {
  page: Page;
  drawer: boolean;
  entry: { state: "asking" | "in" | "refused"; problem: Problem | null };
  connected: boolean;
  version: string;
  conversations: Conversation[];
  more: boolean;
  open: Open | null;
  brains: Brain[];
  defaultBrain: string;
  brainsRead: boolean;
  settings: Setting[];
  themes: Palette[];
  configPath: string;
  plugins: PluginParts;
  reading: Reading | null;
  doors: Doors | null;
  pulls: Pull[];
  meters: Record<string, Meter>;
  dialog: "" | "palette" | "help" | "brains" | "doors";
  toasts: Toast[];
  said: string;
  /** The message that was looked for, until it is in view. */
  wanted: { conversation: string; message: string } | null;
}

export const state = createStore<State>({
  page: "chat",
  drawer: false,
  entry: { state: "asking", problem: null },
  connected: true,
  version: "",
  conversations: [],
  more: false,
  open: null,
  brains: [],
  defaultBrain: "",
  brainsRead: false,
  settings: [],
  themes: [],
  configPath: "",
  plugins: { settings: [], pages: [] },
  reading: null,
  doors: null,
  pulls: [],
  meters: {},
  dialog: "",
  toasts: [],
  said: "",
  wanted: null,
});

let toastNumber = 0;

/** Say something for a few seconds; what failed stays longer. */
export function toast(text: string, hint = "", kind: Toast["kind"] = "good"): void {
  const id = ++toastNumber;
  const same = (one: Toast) => one.text === text && one.hint === hint;
  state.set((now) => ({ toasts: [...now.toasts.filter((one) => !same(one)).slice(-3), { id, text, hint, kind }] }));
  setTimeout(() => dropToast(id), kind === "bad" ? 12_000 : 4_000);
}

export function dropToast(id: number): void {
  state.set((now) => ({ toasts: now.toasts.filter((one) => one.id !== id) }));
}

/** For those who listen to the page. */
export function announce(text: string): void {
  state.set({ said: "" });
  requestAnimationFrame(() => state.set({ said: text }));
}

const LENGTH = 90;

/** The last minutes of the machine, oldest first. */
export const history: { cpu: number[]; memory: number[]; speed: number[] } = { cpu: [], memory: [], speed: [] };

export function remember(reading: Reading): void {
  for (const [name, value] of [["cpu", reading.cpu], ["memory", reading.memory_used], ["speed", reading.speed]] as const) {
    history[name].push(value);
    if (history[name].length > LENGTH) history[name].shift();
  }
}

/** The brain that answers next in the open conversation. */
export function currentBrain(now: State): string {
  return now.open?.conversation?.brain || chosen.get().brain || now.defaultBrain;
}

/** What was chosen for a conversation that has no message yet. */
export const chosen = createStore<{ brain: string }>({ brain: "" });
