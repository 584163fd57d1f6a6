"""What an engine is asked and what it can do: frozen values, and the protocol that every engine follows."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any, Literal, Protocol

from msgspec import Struct

from omni.core.events import EngineEvent

Priority = Literal["interactive", "agent", "background"]


class Message(Struct, frozen=True, kw_only=True):
    """One message of a prompt."""

    role: Literal["system", "user", "assistant"]
    content: str


class Sampling(Struct, frozen=True, kw_only=True):
    """How tokens are chosen; the names are llama.cpp's. `seed` None: another answer each time."""

    temperature: float = 0.7
    top_p: float = 0.95
    top_k: int = 40
    min_p: float = 0.05
    repeat_penalty: float = 1.0
    seed: int | None = None
    max_tokens: int = 2048
    stop: tuple[str, ...] = ()


class Adapter(Struct, frozen=True, kw_only=True):
    """A LoRA that the worker has loaded, by its file, and how strongly it applies."""

    path: str
    scale: float = 1.0


class ChatRequest(Struct, frozen=True, kw_only=True):
    """One answer that is asked for.

    `messages` begin with what stays the same from turn to turn (the prefix cache lives on it). `schema` is a JSON
    Schema that the answer will follow, forced by a grammar. When the last message is the assistant's, the engine goes
    on writing it.
    """

    messages: tuple[Message, ...]
    sampling: Sampling = Sampling()
    adapter: Adapter | None = None
    schema: dict[str, Any] | None = None
    priority: Priority = "interactive"


class Capabilities(Struct, frozen=True, kw_only=True):
    """What an engine offers. `context` is what one chat may use here, `context_max` what the brain could; in tokens."""

    context: int
    context_max: int
    slots: int = 1
    embeds: bool = False
    schema: bool = False
    reasoning: bool = False
    adapters: tuple[str, ...] = ()


class Engine(Protocol):
    """A brain that can be asked.

    `chat` yields events as they happen and ends with `TurnEnded`; closing the iterator (`aclose`, or cancelling the
    task that reads it) cancels the turn at once. It raises ContextOverflow before anything was computed when prompt and
    answer cannot fit, and EngineError when the brain failed; the same request may then be sent again.
    """

    def chat(self, request: ChatRequest) -> AsyncGenerator[EngineEvent]:
        """Answer `request`."""
        ...

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One vector a text. Raises EngineError where `capabilities().embeds` is false."""
        ...

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        """Tokens of the whole prompt that `messages` make, by the brain's own template and tokenizer."""
        ...

    async def capabilities(self) -> Capabilities:
        """What this engine offers; loads the brain where only a loaded one can tell."""
        ...

    async def close(self) -> None:
        """End turns in flight and give back what is held."""
        ...
