/**
 * Answers being written for this page. The words go straight to who shows them; the rest of the page hears of steps.
 * An answer belongs to the server: a page that is loaded anew reads on in it.
 */

import { ApiError, problemOf, send, stream } from "../api";
import { announce, state, toast } from "../state";
import { newConversation, readConversations, reread, setMessages, setMeter } from "../actions";
import { many, seconds, tokens } from "../format";
import type { Message, Part, Problem, TurnEvent } from "../types";
import { partsOf, reasoningOf, textOf } from "./parts";

/** How a turn begins: the path to ask at, what to send, and which messages stay on the page. */
export interface Wish {
  path: string;
  body: Record<string, unknown>;
  question?: { text: string; replaces?: string; files?: Part[] };
  answer?: { replaces?: string; resumes?: string };
}

export class Turn {
  text = "";
  reasoning = "";
  step = "asking";
  brain = "";
  answer = "";
  prompt = 0;
  allocated = 0;
  written = 0;
  started = performance.now();
  thinkingSince = 0;
  thought = 0;
  speed = 0;
  stopped = false;
  /** What came before the page was there says nothing of the speed. */
  since = 0;
  readonly abort = new AbortController();
  /** The messages that were there before it. */
  readonly known = new Set(state.get().open?.messages.map((message) => message.id));
  private readonly listeners = new Set<() => void>();
  private frame = 0;
  private times: number[] = [];

  constructor(readonly conversation: string) {}

  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** At most once a frame, however many words come in it. */
  moved(): void {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      for (const listener of this.listeners) listener();
    });
  }

  token(): void {
    const now = performance.now();
    this.written++;
    if (now < this.since) return;
    this.times.push(now);
    while (this.times.length > 2 && now - this.times[0]! > 3000) this.times.shift();
    const span = now - this.times[0]!;
    this.speed = span > 200 ? ((this.times.length - 1) * 1000) / span : 0;
  }
}

class Turns {
  private running = new Map<string, Turn>();
  /** Answers that were looked for at the server: one is followed once, and what another window writes is not there. */
  private looked = new Set<string>();
  private queues = new Map<string, Wish[]>();
  private readonly listeners = new Set<() => void>();
  private version = 0;

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  snapshot = (): number => this.version;

  of(conversation: string): Turn | undefined {
    return this.running.get(conversation);
  }

  waiting(conversation: string): Wish[] {
    return this.queues.get(conversation) ?? [];
  }

  get busy(): boolean {
    return this.running.size > 0;
  }

  unqueue(conversation: string, wish: Wish): void {
    this.queues.set(conversation, this.waiting(conversation).filter((one) => one !== wish));
    this.tell();
  }

  /** End the answer; what came is kept. */
  async stop(conversation: string): Promise<void> {
    const turn = this.running.get(conversation);
    if (!turn || turn.stopped) return;
    turn.stopped = true;
    if (!turn.answer) return turn.abort.abort(); // nobody has begun with it
    try {
      await send("POST", `${answerPath(conversation, turn.answer)}/stop`);
    } catch {
      turn.abort.abort(); // it has ended just now, or the server is not there
    }
  }

  /** Ask in the open conversation, or in a new one; during an answer it waits for its end. */
  async ask(text: string, files: { path: string; text: string; data?: string }[]): Promise<void> {
    const id = state.get().open?.id ?? (await newConversation()).id;
    const attached = files.map((file) => ({
      type: "file" as const,
      path: file.path,
      text: "",
      bytes: new Blob([file.text]).size,
      lines: file.text.split("\n").length,
    }));
    await this.begin(id, { path: "ask", body: { text, files }, question: { text, files: attached } });
  }

  async begin(id: string, wish: Wish): Promise<void> {
    if (this.running.has(id)) {
      this.queues.set(id, [...this.waiting(id), wish]);
      this.tell();
      return;
    }
    const turn = new Turn(id);
    this.running.set(id, turn);
    this.tell();
    const before = state.get().open?.messages ?? [];
    prepare(id, wish);
    const events = stream<TurnEvent>("POST", `/conversations/${id}/${wish.path}`, wish.body, turn.abort.signal);
    const problem = await this.read(turn, wish, events);
    const begun = turn.answer !== "";
    if (!begun && !turn.stopped) setMessages(id, () => before);
    await this.ended(turn, problem);
    if (!begun && problem) throw Object.assign(new Error(problem.message), { problem });
  }

  /** Read on in an answer that is being written, if it is this server that writes it. */
  async follow(id: string, message: Message): Promise<void> {
    if (this.running.has(id) || this.looked.has(message.id)) return;
    this.looked.add(message.id);
    const turn = new Turn(id);
    const events = stream<TurnEvent>("GET", answerPath(id, message.id), undefined, turn.abort.signal);
    const wish = { path: "", body: {} };
    try {
      const first = await events.next();
      if (first.done || first.value.type === "error" || this.running.has(id)) return turn.abort.abort();
      this.hear(turn, wish, first.value);
    } catch (error) {
      // Not there, or not yet: what another window writes is looked for again now and then.
      setTimeout(() => this.looked.delete(message.id), error instanceof ApiError ? 2000 : 0);
      return;
    }
    Object.assign(turn, { answer: message.id, brain: message.brain, since: performance.now() + 200 });
    this.running.set(id, turn);
    this.tell();
    const problem = await this.read(turn, wish, events);
    this.looked.delete(message.id); // it may be gone on with
    await this.ended(turn, problem);
  }

  private async read(turn: Turn, wish: Wish, events: AsyncGenerator<TurnEvent>): Promise<Problem | null> {
    let problem: Problem | null = null;
    try {
      for await (const event of events) {
        if (event.type === "error") problem = event.error;
        else this.hear(turn, wish, event);
      }
    } catch (error) {
      if (!turn.stopped) problem = problemOf(error);
    }
    return problem;
  }

  private async ended(turn: Turn, problem: Problem | null): Promise<void> {
    const id = turn.conversation;
    // A question that nobody had begun with is taken back a moment later.
    let goesOn: Message | undefined;
    for (let tries = 0; tries < (turn.stopped ? 20 : 1); tries++) {
      try {
        await reread(id);
      } catch {
        break;
      }
      const last = state.get().open?.messages.at(-1);
      if (state.get().open?.id !== id || last?.state !== "writing") break;
      if (!turn.stopped) goesOn = last.id === turn.answer ? last : undefined;
      // It had begun before the page heard of it.
      else if (!turn.answer && !turn.known.has(last.id)) await send("POST", `${answerPath(id, last.id)}/stop`).catch(() => undefined);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    this.running.delete(id);
    this.tell();
    if (goesOn && problem) return this.follow(id, goesOn); // only the connection was lost
    if (problem) {
      toast(problem.message, problem.hint, "bad");
      announce(`The answer failed: ${problem.message}`);
    } else announce(turn.stopped ? "Stopped." : `${turn.brain} answered: ${turn.text.slice(0, 1500)}`);
    readConversations().catch(() => undefined);
    const [next, ...rest] = this.waiting(id);
    this.queues.set(id, rest);
    if (next && !problem) void this.begin(id, next).catch(() => undefined);
    else if (next) this.queues.set(id, [next, ...rest]);
  }

  private hear(turn: Turn, wish: Wish, event: Exclude<TurnEvent, { type: "error" }>): void {
    switch (event.type) {
      case "turn_started":
        turn.answer = event.answer;
        turn.brain = event.brain;
        turn.text = event.prior_text;
        turn.reasoning = event.prior_reasoning;
        turn.step = "reading";
        named(turn, wish, event);
        announce(`${event.brain} is answering.`);
        this.tell();
        break;
      case "turn_queued":
        turn.step =
          event.reason === "turn"
            ? event.detail || "waits for the answer before"
            : `place ${event.place} in the queue${event.reason === "memory" ? ", waits for memory" : ""}`;
        break;
      case "brain_loading":
        turn.step = `loading ${event.brain} · ${
          event.fraction === null ? seconds(event.seconds) : `${Math.round(event.fraction * 100)} %`
        }`;
        break;
      case "context_compacted":
        turn.step = `leaves ${many(event.left_out_turns, "old turn")} out, ${tokens(event.left_out_tokens)} tokens`;
        break;
      case "prompt_counted":
        turn.prompt = event.tokens;
        turn.allocated = event.allocated;
        this.meter(turn);
        break;
      case "prompt_progress":
        turn.step = event.done < event.total ? `reading ${tokens(event.done)} of ${tokens(event.total)}` : "thinking of the first word";
        break;
      case "reasoning_delta":
        turn.thinkingSince ||= performance.now();
        turn.step = "thinking";
        turn.reasoning += event.text;
        turn.token();
        this.meter(turn);
        break;
      case "text_delta":
        if (turn.thinkingSince && !turn.thought) turn.thought = (performance.now() - turn.thinkingSince) / 1000;
        turn.step = "writing";
        turn.text += event.text;
        turn.token();
        this.meter(turn);
        break;
      case "turn_ended":
        turn.prompt = event.context_used - turn.written;
        turn.allocated = event.context_allocated || turn.allocated;
        if (event.usage.completion_seconds > 0) turn.speed = event.usage.completion_tokens / event.usage.completion_seconds;
        setMeter(turn.conversation, { used: event.context_used, allocated: turn.allocated, speed: turn.speed });
        break;
    }
    turn.moved();
  }

  private metered = 0;

  private meter(turn: Turn): void {
    const now = performance.now();
    if (now - this.metered < 250) return;
    this.metered = now;
    setMeter(turn.conversation, { used: turn.prompt + turn.written, allocated: turn.allocated, speed: turn.speed });
  }

  private tell(): void {
    this.version++;
    for (const listener of this.listeners) listener();
  }
}

export const turns = new Turns();

const answerPath = (conversation: string, answer: string): string => `/conversations/${conversation}/answers/${answer}`;

const BLANK: Message = {
  id: "",
  parent: null,
  role: "assistant",
  time: 0,
  parts: [],
  brain: "",
  state: "writing",
  reason: "",
  usage: null,
  seconds: 0,
  siblings: [],
  left_out: 0,
};

/** The id of a question until the server has given it one. */
export const ASKED = "asked";
const COMING = "coming";

/** What the page shows from the key press on, before the server has said anything. */
function prepare(id: string, wish: Wish): void {
  const time = Date.now() / 1000;
  setMessages(id, (messages) => {
    const resumed = wish.answer?.resumes;
    if (resumed) return messages.map((one) => (one.id === resumed ? { ...one, state: "writing" as const } : one));
    const from = wish.question?.replaces ?? wish.answer?.replaces;
    const at = from ? messages.findIndex((one) => one.id === from) : -1;
    const kept = at >= 0 ? messages.slice(0, at) : messages;
    const role = wish.path === "compact" ? ("summary" as const) : ("assistant" as const);
    const parent = kept.at(-1)?.id ?? null;
    const question: Message[] = wish.question
      ? [{ ...BLANK, id: ASKED, role: "user", state: "complete", parts: partsOf(wish.question.text, wish.question.files), parent, time }]
      : [];
    return [...kept, ...question, { ...BLANK, id: COMING, role, time, parent: question.length ? ASKED : parent }];
  });
}

/** The ids that the server has given. */
function named(turn: Turn, wish: Wish, event: { question: string; answer: string; brain: string }): void {
  const resumed = wish.answer?.resumes;
  setMessages(turn.conversation, (messages) =>
    messages.map((one) => {
      if (one.id === ASKED) return { ...one, id: event.question || ASKED };
      if (one.id === COMING) return { ...one, id: event.answer, brain: event.brain, parent: event.question || one.parent };
      return one;
    }),
  );
  if (resumed) {
    const old = state.get().open?.messages.find((one) => one.id === resumed);
    turn.text = old ? textOf(old) : "";
    turn.reasoning = turn.text && old ? reasoningOf(old) : "";
  }
}
