// Written by `make docs` from the structs of the server: change those, not this.

export interface BrainLoading {
  type: "brain_loading";
  brain: string;
  seconds: number;
  fraction: number | null;
}

export interface BrainReplaced {
  type: "brain_replaced";
  brain: string;
  failed: string;
  reason: string;
}

export interface Change {
  topic: string;
  value: unknown;
}

export interface ChatMessage {
  id: string;
  parent: string | null;
  role: "assistant" | "summary" | "user";
  time: number;
  parts: (TextPart | ReasoningPart | ImagePart | FilePart | ContextPart | ToolCallPart | ToolResultPart)[];
  brain: string;
  state: "cancelled" | "complete" | "failed" | "interrupted" | "writing";
  reason: string;
  usage: Usage | null;
  seconds: number;
  siblings: string[];
  left_out: number;
}

export interface ComputeDevice {
  name: string;
  description: string;
  kind: "gpu" | "integrated" | "software";
  total: number;
  free: number;
  card: string;
}

export interface ConsentNeeded {
  type: "consent_needed";
  question: string;
  call: string;
  tool: string;
  act: string;
  shown: string;
  reasons: string[];
  answers: string[];
  destroys: boolean;
}

export interface ContextCompacted {
  type: "context_compacted";
  left_out_turns: number;
  left_out_tokens: number;
  kept_tokens: number;
  allocated: number;
  reading_seconds: number | null;
}

export interface ContextPart {
  type: "context";
  source: string;
  bytes: number;
  lines: number;
  text: string;
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

export interface ConversationBranch {
  conversation: Conversation;
  messages: ChatMessage[];
}

export interface ConversationPage {
  conversations: Conversation[];
  more: boolean;
}

export interface Cpu {
  name: string;
  cores: number;
  threads: number;
  usable: number;
  features: string[];
  limited_by: string;
}

export interface DeviceLoss {
  at: number;
  boot: string;
  times: number;
  words: string;
}

export interface Disk {
  free: number;
  path: string;
}

export interface Door {
  purpose: string;
  host: string;
  since: number;
  bytes: number;
}

export interface Doors {
  air_gap: boolean;
  open: Door[];
  verified: boolean;
  detail: string;
}

export interface FilePart {
  type: "file";
  path: string;
  bytes: number;
  lines: number;
  text: string;
}

export interface Fit {
  fits: boolean;
  context: number;
  memory: number;
  speed: number | null;
  measured: boolean;
  why: string;
}

export interface Freed {
  bytes: number;
}

export interface Gpu {
  name: string;
  kind: string;
  memory: number | null;
  used: boolean;
  note: string;
}

export interface HardwareProfile {
  system: string;
  machine: string;
  cpu: Cpu;
  memory: Memory;
  disk: Disk;
  gpus: Gpu[];
  bandwidth: number | null;
  container: string;
}

export interface ImagePart {
  type: "image";
  data: string;
  kind: "bmp" | "gif" | "jpeg" | "png";
  width: number;
  height: number;
  path: string;
}

export interface Memory {
  total: number;
  available: number;
  limit: number | null;
}

export interface Offer {
  name: string;
  state: string;
  place: "found" | "here" | "offered";
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

export interface Offers {
  brains: Offer[];
  default: string;
}

export interface Palette {
  name: string;
  title: string;
  dark: boolean;
  high_contrast: boolean;
  colours: Record<string, string>;
}

export type Part = TextPart | ReasoningPart | ImagePart | FilePart | ContextPart | ToolCallPart | ToolResultPart;

export interface PersonAsked {
  type: "person_asked";
  question: string;
  call: string;
  text: string;
  choices: string[];
}

export interface PluginPage {
  plugin: string;
  title: string;
  address: string;
}

export interface PluginParts {
  settings: Setting[];
  pages: PluginPage[];
}

export interface Problem {
  kind: string;
  message: string;
  hint: string;
}

export interface ProblemBody {
  error: Problem;
}

export interface ProblemEvent {
  type: "error";
  error: Problem;
}

export interface ProcessInfo {
  name: string;
  kind: "airlock" | "client" | "helper" | "installer" | "keeper" | "sandbox" | "starter" | "worker";
  pid: number;
  confined: string;
  since: number;
  detail: string;
  base: string;
  engine: string;
  placed: string;
  turns: number;
  jobs: string;
}

export interface PromptCounted {
  type: "prompt_counted";
  tokens: number;
  max_completion_tokens: number;
  allocated: number;
}

export interface PromptProgress {
  type: "prompt_progress";
  done: number;
  total: number;
  cached: number;
}

export interface Pull {
  name: string;
  state: "cancelled" | "done" | "failed" | "fetching" | "starting" | "verifying";
  done: number;
  total: number | null;
  rate: number;
  left: number | null;
  what: string;
  error: Problem | null;
  at: number;
}

export interface PullVerifying {
  type: "pull_verifying";
  done: number;
  total: number;
}

export interface QuestionAnswered {
  type: "question_answered";
  question: string;
  answer: string;
}

export interface Reading {
  cpu: number;
  cores: number;
  memory_used: number;
  memory_total: number;
  brains: number;
  loaded: string[];
  vram: Vram[];
  speed: number;
  doors: Doors | null;
  doubt: string;
}

export interface ReasoningDelta {
  type: "reasoning_delta";
  text: string;
}

export interface ReasoningPart {
  type: "reasoning";
  text: string;
  seconds: number;
}

export interface Reread {
  tokens: number;
  seconds: number | null;
  loaded: boolean;
  load: number;
  same: boolean;
}

export interface RunningProcess {
  process: ProcessInfo;
  memory: number;
  vram: number | null;
  brains: string[];
}

export interface RuntimeRow {
  name: string;
  kind: string;
  version: string;
  source: string;
  sha256: string;
  reason: string;
  unread: string;
  chosen: boolean;
  features: string[];
  devices: ComputeDevice[];
  tried: TriedRow[];
}

export interface RuntimeTrial {
  runtime: string;
  machine: string;
  types: string[];
  brain: string;
  speeds: Speeds | null;
  own: Speeds | null;
  words: string;
  llguidance: boolean;
  devices: ComputeDevice[];
  looked: "auto" | "off" | "on" | "";
  layers: number;
  fits: Record<string, number>;
  lost: DeviceLoss | null;
}

export interface SearchHit {
  conversation: string;
  title: string;
  message: string | null;
  snippet: string;
  marks: [number, number][];
}

export interface SearchResults {
  hits: SearchHit[];
}

export interface Setting {
  key: string;
  kind: "bool" | "choice" | "int" | "other" | "text" | "toml";
  value: unknown;
  default: unknown;
  description: string;
  choices: string[];
}

export interface Settled {
  settings: Setting[];
  themes: Palette[];
  path: string;
}

export interface Speeds {
  prompt: number;
  answer: number;
  memory: number;
}

export interface System {
  version: string;
  home: string;
  reading: Reading;
  processes: RunningProcess[];
  work: Work[];
  machine: HardwareProfile;
  engines: RuntimeRow[];
}

export interface Taken {
  text: string;
}

export interface TextDelta {
  type: "text_delta";
  text: string;
}

export interface TextPart {
  type: "text";
  text: string;
}

export interface TokenAlternative {
  token: string;
  logprob: number;
  bytes: number[];
}

export interface TokenLogprob {
  type: "token_logprob";
  chosen: TokenAlternative;
  top: TokenAlternative[];
}

export interface ToolCallDelta {
  type: "tool_call_delta";
  index: number;
  id: string;
  name: string;
  arguments: string;
}

export interface ToolCallPart {
  type: "tool_call";
  id: string;
  name: string;
  arguments: string;
}

export interface ToolOutput {
  type: "tool_output";
  call: string;
  text: string;
}

export interface ToolResultPart {
  type: "tool_result";
  parts: (TextPart | ImagePart)[];
  call_id: string;
  name: string;
  outcome: string;
  seconds: number;
  artifact: string;
}

export interface ToolReturned {
  type: "tool_returned";
  call: string;
  name: string;
  text: string;
  outcome: "denied" | "done" | "failed" | "refused";
  seconds: number;
  artifact: string;
}

export interface ToolStarted {
  type: "tool_started";
  call: string;
  name: string;
  arguments: string;
}

export interface TriedRow {
  trial: RuntimeTrial;
  what: string;
  used: boolean;
  words: string;
  rests: boolean;
}

export interface TurnEnded {
  type: "turn_ended";
  reason: "cancelled" | "length" | "stop" | "tool_calls";
  usage: Usage;
  context_used: number;
  context_allocated: number;
}

export type TurnEvent = TurnStarted | BrainReplaced | ContextCompacted | ToolStarted | ConsentNeeded | PersonAsked | QuestionAnswered | ToolOutput | ToolReturned | TurnQueued | BrainLoading | PromptCounted | PromptProgress | ReasoningDelta | TextDelta | TokenLogprob | ToolCallDelta | TurnEnded | ProblemEvent;

export interface TurnQueued {
  type: "turn_queued";
  place: number;
  reason: "memory" | "slot" | "turn";
  detail: string;
}

export interface TurnStarted {
  type: "turn_started";
  conversation: string;
  question: string;
  answer: string;
  brain: string;
  prior_text: string;
  prior_reasoning: string;
}

export interface Usage {
  prompt_tokens: number;
  cached_tokens: number;
  completion_tokens: number;
  prompt_seconds: number;
  completion_seconds: number;
  first_token_seconds: number;
  drafted_tokens: number;
  accepted_tokens: number;
}

export interface Verified {
  type: "verified";
  brain: string;
  ok: boolean;
  detail: string;
}

export interface Vram {
  name: string;
  used: number | null;
  total: number | null;
  shared: boolean;
  address: string;
}

export interface Work {
  id: string;
  words: string;
  began: number;
  asks: string;
}
