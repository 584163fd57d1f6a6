/** Keys that work everywhere. Single letters work outside of text fields, and can be switched off. */

import { go, turnDoors } from "./actions";
import { turns } from "./chat/turns";
import { state } from "./state";
import { local } from "./theme";

export interface Key {
  keys: string;
  does: string;
  run?: (() => void) | undefined;
}

/** Whether a key belongs to an input method; Safari ends its composition before the Enter that chose a word arrives. */
export const composing = (event: KeyboardEvent) => event.isComposing || event.keyCode === 229;

const focus = (selector: string) => document.querySelector<HTMLElement>(selector)?.focus();

export const newChat = () => {
  go("chat");
  requestAnimationFrame(() => focus("#composer"));
};

const search = () => {
  state.set({ drawer: true });
  requestAnimationFrame(() => focus("#search"));
};

/** From message to message; what Enter and Tab do there is the browser's. */
const step = (by: number) => {
  const all = [...document.querySelectorAll<HTMLElement>(".message")];
  const at = all.findIndex((one) => one.contains(document.activeElement));
  const next = all[at < 0 ? (by < 0 ? all.length - 1 : 0) : Math.max(0, Math.min(all.length - 1, at + by))];
  next?.focus({ preventScroll: true });
  next?.scrollIntoView({ block: "nearest" });
};

export const KEYS: Key[] = [
  { keys: "ctrl+k", does: "everything: the command palette", run: () => state.set({ dialog: "palette" }) },
  { keys: "?", does: "these keys", run: () => state.set({ dialog: "help" }) },
  { keys: "n", does: "a new conversation", run: newChat },
  { keys: "b", does: "choose the brain that answers", run: () => state.set({ dialog: "brains" }) },
  { keys: "/", does: "search the conversations", run: search },
  { keys: "c", does: "write", run: () => (go("chat", state.get().open?.id ?? ""), requestAnimationFrame(() => focus("#composer"))) },
  { keys: "k", does: "the message before", run: () => step(-1) },
  { keys: "j", does: "the next message", run: () => step(1) },
  { keys: "1", does: "Chat", run: () => go("chat", state.get().open?.id ?? "") },
  { keys: "2", does: "Cartridges", run: () => go("cartridges") },
  { keys: "3", does: "System", run: () => go("system") },
  { keys: "4", does: "Settings", run: () => go("settings") },
  { keys: "ctrl+shift+x", does: "air gap: shut every door, at once", run: turnDoors },
  { keys: "esc", does: "close what is open, else stop the answer" },
];

export const COMPOSER_KEYS: Key[] = [
  { keys: "enter", does: "send" },
  { keys: "shift+enter", does: "a new line" },
  { keys: "↑", does: "in an empty field: edit the last question" },
  { keys: "esc", does: "stop the answer" },
];

export function listen(): () => void {
  const down = (event: KeyboardEvent) => {
    if (event.defaultPrevented || composing(event)) return;
    const target = event.target as HTMLElement;
    const typing = target.matches("input, textarea, select, [contenteditable]");
    const control = event.ctrlKey || event.metaKey;
    const dialog = document.querySelector("dialog[open]");
    if (event.key === "Escape" && !dialog) {
      const open = state.get().open;
      if (state.get().drawer) state.set({ drawer: false });
      else if (open && turns.of(open.id)) void turns.stop(open.id);
      else if (typing) target.blur();
      return;
    }
    const name = `${control ? "ctrl+" : ""}${event.shiftKey && control ? "shift+" : ""}${event.key.toLowerCase()}`;
    const key = KEYS.find((one) => one.keys === name);
    if (!key?.run || event.altKey) return;
    if (!control && (typing || dialog || local.read("letters", "on") === "off")) return;
    event.preventDefault();
    key.run();
  };
  window.addEventListener("keydown", down);
  return () => window.removeEventListener("keydown", down);
}
