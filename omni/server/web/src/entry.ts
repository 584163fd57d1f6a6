/** Coming in: the one-time token of the address is exchanged for a cookie, and never seen again. */

import { attempt, readBrains, readConversations, readPlugins, readSettings, route } from "./actions";
import { ApiError, problemOf, request } from "./api";
import { follow } from "./feed";
import { state } from "./state";
import type { Problem } from "./types";

export async function enter(): Promise<void> {
  const token = /^#(?:token=)?([\w-]{20,})$/.exec(location.hash)?.[1];
  let refused: Problem | null = null;
  if (token) {
    history.replaceState(null, "", location.pathname);
    try {
      await request("POST", "/omni/session", { token });
    } catch (error) {
      refused = problemOf(error);
    }
  }
  try {
    await readSettings();
  } catch (error) {
    const closed = error instanceof ApiError && (error.status === 401 || error.status === 403);
    const problem = problemOf(error);
    const ask: Problem = {
      kind: "refused",
      message: "This browser has no session here.",
      hint: "Run `omni web` in a terminal; it opens a page that has one.",
    };
    state.set({ entry: { state: "refused", problem: closed ? (refused ?? ask) : problem } });
    if (!closed) setTimeout(() => void enter(), 2000);
    return;
  }
  state.set({ entry: { state: "in", problem: null } });
  window.addEventListener("hashchange", route);
  route();
  follow();
  await Promise.all([attempt(readConversations()), attempt(readBrains()), attempt(readPlugins())]);
}
