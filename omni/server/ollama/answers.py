"""The events of an answer as what Ollama's lines are made of: texts, whole calls, likelihoods, and the figures."""

import json
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import UNSET

from omni.core.errors import EngineError
from omni.core.events import ReasoningDelta, TextDelta, TokenAlternative, TokenLogprob, ToolCallDelta, TurnEnded
from omni.server.ollama.times import nanoseconds
from omni.server.ollama.types import Call, Function, Logprob, TopLogprob

if TYPE_CHECKING:
    from omni.server.generation import Generation


class Piece(NamedTuple):
    """What is new. `end` comes alone, and last."""

    text: str = ""
    thinking: str = ""
    calls: tuple[Call, ...] = ()
    logprobs: tuple[Logprob, ...] = ()
    end: TurnEnded | None = None


async def pieces(generation: "Generation") -> AsyncGenerator[Piece]:
    """The pieces of an answer; closes it in all cases. Raises EngineError."""
    calls, ended = _Calls(), False
    async with generation, aclosing(generation.events()) as events:
        async for event in events:
            match event:
                case TextDelta(text=text):
                    yield Piece(text=text)
                case ReasoningDelta(text=text):
                    yield Piece(thinking=text)
                case TokenLogprob(chosen=chosen, top=top):
                    yield Piece(logprobs=(_logprob(chosen, top),))
                case ToolCallDelta():
                    for call in calls.read(event):
                        yield Piece(calls=(call,))
                case TurnEnded():
                    for call in calls.last(cut=event.reason in ("length", "cancelled")):
                        yield Piece(calls=(call,))
                    ended = True
                    yield Piece(end=event)
    if not ended:
        raise EngineError("The brain gave no answer.", hint="Ask again.")


async def together(generation: "Generation") -> Piece:
    """All of an answer as one. Raises EngineError."""
    async with aclosing(pieces(generation)) as all_of_them:
        collected = [piece async for piece in all_of_them]
    return Piece(
        text="".join(piece.text for piece in collected),
        thinking="".join(piece.thinking for piece in collected),
        calls=tuple(call for piece in collected for call in piece.calls),
        logprobs=tuple(one for piece in collected for one in piece.logprobs),
        end=collected[-1].end,
    )


def figures(generation: "Generation", end: TurnEnded, began: float) -> dict[str, Any]:
    """The last line's own fields. A call of a tool is a "stop" to Ollama."""
    usage = end.usage
    return {
        "done_reason": "length" if end.reason == "length" else "stop",
        "total_duration": nanoseconds(time.monotonic() - began),
        "load_duration": nanoseconds(generation.loading),
        "prompt_eval_count": usage.prompt_tokens or generation.counted.tokens,
        "prompt_eval_duration": nanoseconds(usage.prompt_seconds),
        "eval_count": usage.completion_tokens,
        "eval_duration": nanoseconds(usage.completion_seconds),
    }


class _Calls:
    """Puts calls together, because Ollama's arguments are whole objects."""

    def __init__(self) -> None:
        self._index = -1
        self._id = self._name = self._arguments = ""

    def read(self, event: ToolCallDelta) -> Iterator[Call]:
        """The call before, when this event begins another one."""
        if event.index != self._index:
            yield from self.last(cut=False)
            self._index = event.index
        self._id, self._name = self._id or event.id, self._name or event.name
        self._arguments += event.arguments

    def last(self, *, cut: bool) -> Iterator[Call]:
        """The call that is being put together; one that was `cut` by the end of its tokens is none."""
        if self._index < 0:
            return
        try:
            arguments = json.loads(self._arguments or "{}")
        except (ValueError, RecursionError):
            arguments = None
        if isinstance(arguments, dict):
            yield Call(id=self._id, function=Function(index=self._index, name=self._name, arguments=arguments))
        elif not cut:
            raise EngineError(f"The brain called {self._name} with something that is no object.", hint="Ask again.")
        self._index = -1
        self._id = self._name = self._arguments = ""


def _logprob(chosen: TokenAlternative, top: tuple[TokenAlternative, ...]) -> Logprob:
    others = [TopLogprob(token=one.token, logprob=one.logprob, bytes=list(one.bytes)) for one in top]
    return Logprob(token=chosen.token, logprob=chosen.logprob, bytes=list(chosen.bytes), top_logprobs=others or UNSET)
