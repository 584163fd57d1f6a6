/** What a person does, wherever the button stands. */

import { get, problemOf, send } from "./api";
import { chosen, state, toast, type Open, type Page } from "./state";
import { turns } from "./chat/turns";
import { applyTheme } from "./theme";
import type { Brain, Conversation, Doors, Message, PluginParts, Pull, Settled, Shown } from "./types";

/** Do it, and say what went wrong where everybody sees it. */
export async function attempt<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    const problem = problemOf(error);
    toast(problem.message, problem.hint, "bad");
    return undefined;
  }
}

// --- where we are

export function go(page: Page, id = ""): void {
  const hash = `#/${page}${id ? `/${id}` : ""}`;
  if (location.hash === hash) route();
  else location.hash = hash;
}

/** Follow the address. */
export function route(): void {
  const [, page = "chat", id = ""] = location.hash.split("/");
  const known: Page[] = ["chat", "cartridges", "system", "settings"];
  const next = known.includes(page as Page) ? (page as Page) : "chat";
  state.set({ page: next, drawer: false });
  if (next !== "chat") return;
  const open = state.get().open;
  if (!id) state.set({ open: null });
  else if (open?.id !== id) void openConversation(id);
}

// --- conversations

export async function readConversations(offset = 0): Promise<void> {
  const had = offset ? state.get().conversations : [];
  const limit = offset ? 100 : Math.max(60, Math.min(200, state.get().conversations.length));
  const found = await get<{ conversations: Conversation[]; more: boolean }>(
    `/conversations?limit=${limit}&offset=${offset}`,
  );
  state.set({ conversations: [...had, ...found.conversations], more: found.more });
  // The open one's title and brain stand there as well, and come here first while an answer is being written.
  const open = state.get().open;
  const same = found.conversations.find((one) => one.id === open?.id);
  if (open?.conversation && same && same.updated >= open.conversation.updated) change(open.id, { conversation: same });
}

export async function openConversation(id: string): Promise<void> {
  state.set({ open: { id, conversation: null, messages: [], problem: null } });
  try {
    show(id, await get<Shown>(`/conversations/${id}`));
  } catch (error) {
    change(id, { problem: problemOf(error) });
  }
}

function change(id: string, values: Partial<Open>): void {
  state.set((now) => (now.open?.id === id ? { open: { ...now.open, ...values } } : {}));
}

function show(id: string, shown: Shown): void {
  change(id, { conversation: shown.conversation, messages: shown.messages, problem: null });
  measure(id, shown.messages);
  const last = shown.messages.at(-1);
  if (last?.state === "writing") void turns.follow(id, last); // begun before this page was there
}

/** The meter after an answer that was written somewhere else, or on another branch. */
function measure(id: string, messages: Message[]): void {
  if (turns.of(id)) return; // it tells by itself
  const had = state.get().meters[id];
  const usage = had ? messages.at(-1)?.usage : [...messages].reverse().find((message) => message.usage)?.usage;
  if (!usage) return;
  const speed = usage.completion_seconds > 0 ? usage.completion_tokens / usage.completion_seconds : 0;
  setMeter(id, { used: usage.prompt_tokens + usage.completion_tokens, allocated: had?.allocated ?? 0, speed });
}

export function setMeter(id: string, meter: { used: number; allocated: number; speed: number }): void {
  state.set((now) => ({ meters: { ...now.meters, [id]: meter } }));
}

/** Read the open conversation again: its end where that is enough, else all of it. */
export async function reread(id: string, all = false): Promise<void> {
  const open = state.get().open;
  if (open?.id !== id) return;
  const shown = await get<Shown>(`/conversations/${id}${all || open.messages.length < 8 ? "" : "?last=6"}`);
  const now = state.get().open;
  if (now?.id !== id) return;
  const joined = join(now.messages, shown.messages);
  show(id, joined ? { ...shown, messages: joined } : await get<Shown>(`/conversations/${id}`));
}

/** The new end on what is there already; null where they do not meet. Messages that are equal stay the same objects. */
export function join(had: Message[], end: Message[]): Message[] | null {
  const first = end[0];
  if (!first) return end;
  const at = first.parent === null ? 0 : had.findIndex((message) => message.id === first.parent) + 1;
  if (first.parent !== null && at === 0) return null;
  const known = new Map(had.map((message) => [message.id, message]));
  const kept = end.map((message) => {
    const old = known.get(message.id);
    return old && JSON.stringify(old) === JSON.stringify(message) ? old : message;
  });
  return [...had.slice(0, at), ...kept];
}

export function setMessages(id: string, update: (messages: Message[]) => Message[]): void {
  state.set((now) => (now.open?.id === id ? { open: { ...now.open, messages: update(now.open.messages) } } : {}));
}

export async function newConversation(): Promise<Conversation> {
  const made = await send<Conversation>("POST", "/conversations", { brain: chosen.get().brain });
  chosen.set({ brain: "" });
  state.set((now) => ({
    conversations: [made, ...now.conversations],
    open: { id: made.id, conversation: made, messages: [], problem: null },
  }));
  go("chat", made.id);
  return made;
}

export async function rename(id: string, title: string): Promise<void> {
  const made = await attempt(send<Conversation>("PATCH", `/conversations/${id}`, { title }));
  if (made) change(id, { conversation: made });
  await attempt(readConversations());
}

export async function remove(id: string): Promise<void> {
  await turns.stop(id);
  await attempt(send("DELETE", `/conversations/${id}`));
  if (state.get().open?.id === id) go("chat");
  await attempt(readConversations());
}

export async function switchBranch(id: string, message: string): Promise<void> {
  const shown = await attempt(send<Shown>("POST", `/conversations/${id}/switch`, { message }));
  if (shown) {
    show(id, { ...shown, messages: join(state.get().open?.messages ?? [], shown.messages) ?? shown.messages });
  }
}

export function exportConversation(id: string, form: "markdown" | "json"): void {
  const link = document.createElement("a");
  link.href = `/omni/v1/conversations/${id}/export?form=${form}`;
  link.download = "";
  link.click();
}

// --- brains

export async function readBrains(scan = false): Promise<void> {
  const found = await (scan
    ? send<{ brains: Brain[]; default: string }>("POST", "/brains/scan")
    : get<{ brains: Brain[]; default: string }>("/brains"));
  state.set({ brains: found.brains, defaultBrain: found.default, brainsRead: true });
}

/** The brain of the next turns; before the first message it is only remembered. */
export async function chooseBrain(name: string): Promise<void> {
  const open = state.get().open;
  if (!open) {
    chosen.set({ brain: name });
    return;
  }
  const made = await attempt(send<Conversation>("PATCH", `/conversations/${open.id}`, { brain: name }));
  if (made) change(open.id, { conversation: made });
}

export async function pull(name: string): Promise<void> {
  const started = await attempt(send<Pull>("POST", "/pulls", { name }));
  if (started) hearPull(started);
}

export async function cancelPull(name: string): Promise<void> {
  await attempt(send("POST", "/pulls/cancel", { name }));
}

export async function forgetPull(name: string): Promise<void> {
  state.set((now) => ({ pulls: now.pulls.filter((one) => one.name !== name) }));
  await attempt(send("POST", "/pulls/forget", { name }));
}

export function hearPull(next: Pull): void {
  state.set((now) => {
    const at = now.pulls.findIndex((one) => one.name === next.name);
    if (at >= 0 && now.pulls[at]!.at > next.at) return {}; // the feed was quicker than an answer
    return { pulls: at < 0 ? [...now.pulls, next] : now.pulls.map((one, index) => (index === at ? next : one)) };
  });
}

// --- doors and settings

export async function airGap(on: boolean): Promise<void> {
  let doors: Doors;
  try {
    doors = await send<Doors>("POST", "/doors", { on });
  } catch (error) {
    const problem = problemOf(error);
    // This page comes through a door, too: where that was shut first, no answer could come any more.
    if (on && problem.kind === "gone") {
      state.set({ connected: false, doors: { air_gap: true, open: [], verified: false, detail: "" } });
    } else toast(problem.message, problem.hint, "bad");
    return;
  }
  state.set({ doors });
  toast(on ? "Every door is shut, also after a restart." : "Doors may open again when you pull or install.");
}

/** One press shuts; opening is asked about. */
export function turnDoors(): void {
  if (state.get().doors?.air_gap) state.set({ dialog: "doors" });
  else void airGap(true);
}

export function take(settled: Settled): void {
  state.set({ settings: settled.settings, themes: settled.themes, configPath: settled.path });
  const wanted = settled.settings.find((setting) => setting.key === "ui.theme")?.value;
  const theme = settled.themes.find((one) => one.name === wanted);
  if (theme) applyTheme(theme);
}

export async function readSettings(): Promise<void> {
  take(await get<Settled>("/settings"));
}

export async function readPlugins(): Promise<void> {
  state.set({ plugins: await get<PluginParts>("/plugins") });
}

export async function changeSetting(key: string, value: unknown): Promise<boolean> {
  const settled = await attempt(send<Settled>("PATCH", "/settings", { key, value }));
  if (settled) take(settled);
  if (settled && key.startsWith("plugins.")) await attempt(readPlugins());
  return settled !== undefined;
}
