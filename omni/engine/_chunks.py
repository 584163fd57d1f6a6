"""The chunks of a stream of llama.cpp's server, as far as they are read here: what is not named costs next to nothing."""

from msgspec import Struct


class LlamaProgress(Struct):
    """How much of the prompt is read, in tokens; `cache` of them were known."""

    processed: int
    total: int
    cache: int


class LlamaTimings(Struct):
    """What an answer took: tokens, and milliseconds."""

    cache_n: int = 0
    prompt_n: int = 0
    prompt_ms: float = 0.0
    predicted_n: int = 0
    predicted_ms: float = 0.0
    draft_n: int = 0
    draft_n_accepted: int = 0


class LlamaFunction(Struct):
    """A part of a call."""

    name: str | None = None
    arguments: str | None = None


class LlamaToolCall(Struct):
    """A part of the call number `index`."""

    index: int = 0
    id: str | None = None
    function: LlamaFunction | None = None


class LlamaDelta(Struct):
    """What came."""

    content: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[LlamaToolCall] | None = None


class LlamaToken(Struct):
    """A token and how likely it was; with the one that was chosen, the likeliest ones."""

    token: str
    logprob: float
    bytes: list[int] | None = None
    top_logprobs: list["LlamaToken"] = []


class LlamaLogprobs(Struct):
    """Those of the tokens that came."""

    content: list[LlamaToken] | None = None


class LlamaChoice(Struct):
    """A part of a chat's answer."""

    delta: LlamaDelta | None = None
    logprobs: LlamaLogprobs | None = None
    finish_reason: str | None = None


class LlamaChunk(Struct):
    """One of a stream: of a chat with `choices`; else `content` is what came, and the last one says `stop` and why."""

    choices: list[LlamaChoice] = []
    prompt_progress: LlamaProgress | None = None
    timings: LlamaTimings | None = None
    content: str | None = None
    completion_probabilities: list[LlamaToken] | None = None
    stop: bool = False
    stop_type: str = ""
