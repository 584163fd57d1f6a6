"""What an engine is asked and what it can do: frozen values, and the protocol that every engine follows."""

from collections.abc import AsyncGenerator, Iterable, Sequence
from typing import Any, Literal, Protocol

from msgspec import Struct

from omni.core.events import EngineEvent
from omni.core.messages import Message

Priority = Literal["interactive", "agent", "background"]


class Tool(Struct, frozen=True, kw_only=True):
    """What a brain may ask for. `parameters` is the JSON Schema of the arguments."""

    name: str
    description: str = ""
    parameters: dict[str, Any] = {}


class Sampling(Struct, frozen=True, kw_only=True):
    """How tokens are chosen; the names are llama.cpp's. `seed` None: another answer each time. `logit_bias` makes
    tokens, by their numbers, likelier or less likely."""

    temperature: float = 0.7
    top_p: float = 0.95
    top_k: int = 40
    min_p: float = 0.05
    repeat_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    seed: int | None = None
    max_tokens: int = 2048
    stop: tuple[str, ...] = ()
    logit_bias: tuple[tuple[int, float], ...] = ()


class Adapter(Struct, frozen=True, kw_only=True):
    """A LoRA that the worker has loaded, by its file, and how strongly it applies."""

    path: str
    scale: float = 1.0


class ChatRequest(Struct, frozen=True, kw_only=True):
    """One answer that is asked for.

    `messages` begin with what stays the same from turn to turn (the prefix cache lives on it). They are of texts, images,
    calls and results; what else they hold no engine reads. `schema` is a JSON
    Schema that the answer follows, forced by a grammar and proved; with tools it is that or a call of them, and the brain
    is told of it, as it is not otherwise. Where a grammar cannot keep all of it nothing is given away before the whole is
    proved, unless `strict` is false: then it may not follow. When the last message is the assistant's, the engine goes on
    writing it.

    `tools` are what the brain may call: it decides ("auto"), must not ("none"), must ("required"), or must call the one
    that `tool_choice` names. More than one may come unless `parallel_calls` is false; where Omni's grammar admits them, only
    if it is true, because small brains find no end. A call that is forced is always valid, whatever the brain's template
    knows of tools. `logprobs` asks for so many of the likeliest tokens at each place. `thinking` switches reasoning on or off where the brain's template knows how.
    `fixed` is what the first message begins with whoever asks, the brain's own prompt: what becomes of it may be kept.
    """

    messages: tuple[Message, ...]
    sampling: Sampling = Sampling()
    adapter: Adapter | None = None
    schema: dict[str, Any] | None = None
    strict: bool = True
    priority: Priority = "interactive"
    tools: tuple[Tool, ...] = ()
    tool_choice: str = "auto"
    parallel_calls: bool | None = None
    logprobs: int | None = None
    thinking: bool | None = None
    fixed: str = ""


class CompletionRequest(Struct, frozen=True, kw_only=True):
    """A text to go on with, without a template; with a `suffix`, what stands between the two (fill in the middle)."""

    prompt: str
    suffix: str | None = None
    sampling: Sampling = Sampling()
    adapter: Adapter | None = None
    schema: dict[str, Any] | None = None
    strict: bool = True
    logprobs: int | None = None
    priority: Priority = "interactive"


class Embeddings(list[list[float]]):
    """One vector a text, and how many tokens were read for them in all."""

    def __init__(self, vectors: Iterable[list[float]], *, tokens: int) -> None:
        super().__init__(vectors)
        self.tokens = tokens


class Relevances(list[float]):
    """How well each text answers a question, between 0 and 1 in their order, and how many tokens were read for them in all."""

    def __init__(self, scores: Iterable[float], *, tokens: int) -> None:
        super().__init__(scores)
        self.tokens = tokens


class Capabilities(Struct, frozen=True, kw_only=True):
    """What an engine offers. `context` is what one chat may use here, `context_max` what the brain could; in tokens."""

    context: int
    context_max: int
    slots: int = 1
    embeds: bool = False
    reranks: bool = False
    schema: bool = False
    reasoning: bool = False
    vision: bool = False  # whether messages may hold images
    tools: bool = False  # whether the brain's own template knows tools; calls can be had from the others, too
    adapters: tuple[str, ...] = ()


class Engine(Protocol):
    """A brain that can be asked.

    `chat` yields events as they happen and ends with `TurnEnded`; closing the iterator (`aclose`, or cancelling the
    task that reads it) cancels the turn at once. It raises ContextOverflow before anything was computed when prompt and
    answer cannot fit, EngineError when the brain failed (the same request may then be sent again), and UsageError for
    what no time will make right: images that the brain cannot see, or that are none.
    """

    def chat(self, request: ChatRequest) -> AsyncGenerator[EngineEvent]:
        """Answer `request`."""
        ...

    def complete(self, request: CompletionRequest) -> AsyncGenerator[EngineEvent]:
        """Go on with a text; events and errors as with `chat`. Raises UsageError for a suffix where the brain was not
        made to fill in."""
        ...

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """One vector a text. Raises EngineError where `capabilities().embeds` is false, ContextOverflow for a text that
        is too long."""
        ...

    async def rerank(self, query: str, texts: Sequence[str]) -> Relevances:
        """How well each of `texts` answers `query`, in their order. Raises EngineError where `capabilities().reranks` is
        false, ContextOverflow for a text that is too long together with the query."""
        ...

    async def count_tokens(
        self,
        messages: Sequence[Message],
        tools: Sequence[Tool] = (),
        *,
        thinking: bool | None = None,
        schema: dict[str, Any] | None = None,
    ) -> int:
        """Tokens of the whole prompt that `messages` and `tools` make, by the brain's own template and tokenizer; with
        tools a brain is told of the `schema` that its answer follows, too."""
        ...

    async def tokenize(self, text: str) -> list[int]:
        """The ids of the tokens of `text`, without any that mark its beginning."""
        ...

    async def capabilities(self) -> Capabilities:
        """What this engine offers; loads the brain where only a loaded one can tell."""
        ...

    async def close(self) -> None:
        """End turns in flight and give back what is held."""
        ...
