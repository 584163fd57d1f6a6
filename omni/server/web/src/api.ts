/** Asking the server. Everything goes to the address that this page came from. */

import { state } from "./state";
import type { Problem } from "./types";

export const PREFIX = "/omni/v1";

export class ApiError extends Error {
  constructor(
    readonly problem: Problem,
    readonly status: number,
  ) {
    super(problem.message);
  }
}

/** The words for a failure of whatever kind. */
export function problemOf(error: unknown): Problem {
  if (error instanceof ApiError) return error.problem;
  if (error instanceof TypeError) {
    if (state.get().doors?.air_gap) {
      return { kind: "gone", message: "The air gap is on.", hint: "This page goes on when the doors may open again." };
    }
    return { kind: "gone", message: "Omni does not answer.", hint: "Is `omni web` still running?" };
  }
  return { kind: "failed", message: String(error instanceof Error ? error.message : error), hint: "" };
}

/** The one fetch of this program. */
export async function request(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<Response> {
  const init: RequestInit = { method, credentials: "same-origin", cache: "no-store" };
  if (body !== undefined) {
    init.body = typeof body === "string" ? body : JSON.stringify(body);
    init.headers = { "Content-Type": "application/json" };
  }
  if (signal) init.signal = signal;
  const response = await fetch(path.startsWith("/omni/") ? path : PREFIX + path, init);
  if (!response.ok) throw new ApiError(await problemIn(response), response.status);
  return response;
}

async function problemIn(response: Response): Promise<Problem> {
  const plain = { kind: "failed", message: `Omni answered ${response.status}.`, hint: "" };
  try {
    const said = (await response.json()) as { error?: Partial<Problem> };
    return { ...plain, ...said.error };
  } catch {
    return plain;
  }
}

export async function get<T>(path: string): Promise<T> {
  return (await (await request("GET", path)).json()) as T;
}

export async function send<T>(method: string, path: string, body?: unknown): Promise<T> {
  const response = await request(method, path, body);
  return (response.status === 204 ? undefined : await response.json()) as T;
}

/** Server-sent events. */
export async function* stream<T>(method: string, path: string, body: unknown, signal: AbortSignal): AsyncGenerator<T> {
  const response = await request(method, path, body, signal);
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      rest += value;
      let end = rest.indexOf("\n\n");
      while (end >= 0) {
        const event = rest.slice(0, end);
        rest = rest.slice(end + 2);
        const data = event.split("\n").filter((line) => line.startsWith("data: ")).map((line) => line.slice(6)).join("\n");
        if (data) yield JSON.parse(data) as T;
        end = rest.indexOf("\n\n");
      }
    }
  } finally {
    reader.cancel().catch(() => undefined);
  }
}
