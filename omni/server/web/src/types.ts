/** What the server says: the Structs of `omni/server/webapi` and of the packages behind it, as JSON. */

export interface Usage {
  prompt_tokens: number;
  cached_tokens: number;
  completion_tokens: number;
  prompt_seconds: number;
  completion_seconds: number;
  first_token_seconds: number;
}

export type MessageState = "complete" | "writing" | "interrupted" | "cancelled" | "failed";

export interface TextPart {
  type: "text";
  text: string;
}

export interface ReasoningPart {
  type: "reasoning";
  text: string;
  seconds: number;
}

export interface FilePart {
  type: "file";
  path: string;
  bytes: number;
  lines: number;
  text: string;
}

export interface ImagePart {
  type: "image";
  data: string;
  kind: "png" | "jpeg" | "gif" | "bmp";
  width: number;
  height: number;
  path: string;
}

export type Part = TextPart | ReasoningPart | FilePart | ImagePart;

export interface Message {
  id: string;
  parent: string | null;
  role: "user" | "assistant" | "summary";
  time: number;
  parts: Part[];
  brain: string;
  state: MessageState;
  reason: string;
  usage: Usage | null;
  seconds: number;
  siblings: string[];
  left_out: number;
}

export interface Conversation {
  id: string;
  title: string;
  project: string | null;
  created: number;
  updated: number;
  brain: string;
  system: string;
  head: string | null;
  turns: number;
  revision: number;
}

export interface Shown {
  conversation: Conversation;
  messages: Message[];
}

export interface SearchHit {
  conversation: string;
  title: string;
  message: string | null;
  snippet: string;
  marks: [number, number][];
}

export interface Problem {
  kind: string;
  message: string;
  hint: string;
}

export type TurnEvent =
  | { type: "turn_started"; conversation: string; question: string; answer: string; brain: string; prior_text: string; prior_reasoning: string }
  | { type: "turn_queued"; place: number; reason: "memory" | "slot" | "turn"; detail: string }
  | { type: "brain_loading"; brain: string; seconds: number; fraction: number | null }
  | { type: "context_compacted"; left_out_turns: number; left_out_tokens: number; kept_tokens: number; allocated: number; reading_seconds: number | null }
  | { type: "prompt_counted"; tokens: number; max_completion_tokens: number; allocated: number }
  | { type: "prompt_progress"; done: number; total: number; cached: number }
  | { type: "reasoning_delta"; text: string }
  | { type: "text_delta"; text: string }
  | { type: "token_logprob" }
  | { type: "tool_call_delta" }
  | { type: "turn_ended"; reason: string; usage: Usage; context_used: number; context_allocated: number }
  | { type: "error"; error: Problem };

export interface Fit {
  fits: boolean;
  context: number;
  memory: number;
  speed: number | null;
  measured: boolean;
  why: string;
}

export interface Brain {
  name: string;
  state: string;
  place: "here" | "found" | "offered";
  title: string;
  summary: string;
  good_for: string;
  base: string;
  base_title: string;
  reason: string;
  command: string;
  origin: string;
  size: number;
  size_is_estimate: boolean;
  licence: string;
  context_max: number;
  quantisation: string;
  shares: string;
  verified: string;
  usable: boolean;
  loaded: boolean;
  kept: number;
  sha256: string;
  fit: Fit | null;
}

export interface Pull {
  name: string;
  state: "starting" | "fetching" | "verifying" | "done" | "cancelled" | "failed";
  done: number;
  total: number | null;
  rate: number;
  left: number | null;
  what: string;
  error: Problem | null;
  at: number;
}

export interface Doors {
  air_gap: boolean;
  open: { purpose: string; host: string; since: number; bytes: number }[];
  verified: boolean;
  detail: string;
}

export interface Reading {
  cpu: number;
  cores: number;
  memory_used: number;
  memory_total: number;
  brains: number;
  loaded: string[];
  vram: { name: string; used: number; total: number }[];
  speed: number;
  doors: Doors | null;
  doubt: string;
}

export interface Running {
  process: { name: string; kind: string; pid: number; confined: string; since: number; detail: string; base: string };
  memory: number;
  brains: string[];
}

export interface System {
  version: string;
  home: string;
  reading: Reading;
  processes: Running[];
  machine: {
    system: string;
    machine: string;
    cpu: { name: string; usable: number; features: string[] };
    memory: { total: number; available: number; limit: number | null };
    disk: { free: number; path: string };
    gpus: { name: string; kind: string; memory: number | null; used: boolean; note: string }[];
    bandwidth: number | null;
    container: string;
  };
}

export interface Setting {
  key: string;
  kind: "bool" | "int" | "text" | "choice" | "other";
  value: unknown;
  default: unknown;
  description: string;
  choices: string[];
}

export interface Palette {
  name: string;
  title: string;
  dark: boolean;
  high_contrast: boolean;
  colours: Record<string, string>;
}

export interface Settled {
  settings: Setting[];
  themes: Palette[];
  path: string;
}

export interface Reread {
  tokens: number;
  seconds: number | null;
  loaded: boolean;
  load: number;
  same: boolean;
}

export interface Change {
  topic: string;
  value: unknown;
}
