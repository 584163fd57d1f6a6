"""The events of an answer as Anthropic's events, of which a whole answer is made as well."""

import json
import secrets
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING

from msgspec import structs

from omni.core import events
from omni.core.errors import EngineError
from omni.core.events import EngineEvent, ReasoningDelta, ToolCallDelta, TurnEnded
from omni.core.events import TextDelta as MoreText
from omni.server.anthropic.stops import Stops
from omni.server.anthropic.types import (
    AnthropicMessage,
    AnthropicTextDelta,
    AnthropicUsage,
    Block,
    BlockDelta,
    BlockStart,
    BlockStop,
    Ended,
    Event,
    InputDelta,
    MessageDelta,
    MessageStart,
    MessageStop,
    Ping,
    StopReason,
    TextBlock,
    ThinkingBlock,
    ThinkingDelta,
    ToolUseBlock,
)

if TYPE_CHECKING:
    from omni.server.app import Server
    from omni.server.generation import Generation

_REASONS: dict[str, StopReason] = {"length": "max_tokens", "tool_calls": "tool_use"}


class MessageStream:
    """One answer on its way. `model` is what the client called the brain; `thinks`: it wants the reasoning."""

    def __init__(
        self, server: "Server", generation: "Generation", *, model: str, stops: Sequence[str], thinks: bool
    ) -> None:
        self._server, self._generation = server, generation
        self._model, self._thinks = model, thinks
        self._stops = Stops(stops)
        self._index = -1
        self._open: type[Block] | None = None
        self._call = -1
        self._said = ""  # counted when a stop sequence ends the answer before the engine does

    async def events(self) -> AsyncGenerator[Event]:
        """All events; closes the answer in all cases. Raises EngineError."""
        generation = self._generation
        async with generation:
            start = AnthropicUsage(input_tokens=generation.counted.tokens, output_tokens=0)
            answer = AnthropicMessage(id=f"msg_{secrets.token_hex(12)}", model=self._model, content=[], usage=start)
            yield MessageStart(message=answer)
            yield Ping()
            end: TurnEnded | None = None
            async with aclosing(generation.events()) as stream:
                async for event in stream:
                    for each in self._read(event):
                        yield each
                    if isinstance(event, TurnEnded):
                        end = event
                    if self._stops.sequence is not None:
                        break
            if end is None and self._stops.sequence is None:
                raise EngineError("The brain gave no answer.", hint="Ask again.")
            for each in self._closed():
                yield each
        yield await self._ended(end)
        yield MessageStop()

    async def whole(self) -> AnthropicMessage:
        """The answer without a stream. Raises EngineError."""
        answer: AnthropicMessage | None = None
        blocks: list[Block] = []
        texts: list[list[str]] = []
        async with aclosing(self.events()) as stream:
            async for event in stream:
                match event:
                    case MessageStart(message=message):
                        answer = message
                    case BlockStart(content_block=block):
                        blocks.append(block)
                        texts.append([])
                    case BlockDelta(delta=AnthropicTextDelta(text=text) | ThinkingDelta(thinking=text)):
                        texts[-1].append(text)
                    case BlockDelta(delta=InputDelta(partial_json=text)):
                        texts[-1].append(text)
                    case MessageDelta(delta=delta, usage=usage):
                        assert answer is not None
                        answer = structs.replace(
                            answer, stop_reason=delta.stop_reason, stop_sequence=delta.stop_sequence, usage=usage
                        )
        assert answer is not None
        cut = answer.stop_reason == "max_tokens"
        whole = [_filled(block, "".join(text), cut=cut) for block, text in zip(blocks, texts, strict=True)]
        return structs.replace(answer, content=[block for block in whole if block is not None])

    def _read(self, event: EngineEvent) -> Iterator[Event]:
        match event:
            case ReasoningDelta(text=text):
                self._said += text
                if self._thinks:
                    yield from self._opened(ThinkingBlock(thinking=""))
                    yield BlockDelta(index=self._index, delta=ThinkingDelta(thinking=text))
            case MoreText(text=text):
                self._said += text
                yield from self._text(self._stops.read(text))
            case ToolCallDelta():
                yield from self._text(self._stops.rest())
                if event.index != self._call:
                    self._call = event.index
                    yield from self._closed()
                    yield from self._opened(ToolUseBlock(id=_call_id(event.id), name=event.name, input={}))
                if event.arguments:
                    yield BlockDelta(index=self._index, delta=InputDelta(partial_json=event.arguments))
            case TurnEnded():
                yield from self._text(self._stops.rest())

    def _text(self, text: str) -> Iterator[Event]:
        if text:
            yield from self._opened(TextBlock(text=""))
            yield BlockDelta(index=self._index, delta=AnthropicTextDelta(text=text))

    def _opened(self, block: Block) -> Iterator[Event]:
        """Begin a block, unless one of its kind is open."""
        if self._open is type(block) and not isinstance(block, ToolUseBlock):
            return
        yield from self._closed()
        self._index, self._open = self._index + 1, type(block)
        yield BlockStart(index=self._index, content_block=block)

    def _closed(self) -> Iterator[Event]:
        if self._open is not None:
            self._open = None
            yield BlockStop(index=self._index)

    async def _ended(self, end: TurnEnded | None) -> MessageDelta:
        counted = self._generation.counted.tokens
        if end is None or self._stops.sequence is not None:
            reason: StopReason = "stop_sequence"
        else:
            reason = _REASONS.get(end.reason, "end_turn")
        if end is None:  # the engine was not asked for the rest, so nobody told what the answer took
            engine = await self._server.services.open(self._generation.brain)
            taken = events.Usage(prompt_tokens=counted, completion_tokens=len(await engine.tokenize(self._said)))
            end = TurnEnded(reason="stop", usage=taken)
            self._server.metrics.ended(self._generation.brain.name, end)
        cached = end.usage.cached_tokens
        usage = AnthropicUsage(
            input_tokens=max(0, (end.usage.prompt_tokens or counted) - cached),
            cache_read_input_tokens=cached,
            output_tokens=end.usage.completion_tokens,
        )
        return MessageDelta(delta=Ended(stop_reason=reason, stop_sequence=self._stops.sequence), usage=usage)


def _filled(block: Block, text: str, *, cut: bool) -> Block | None:
    """A block with its content. Raises EngineError for a call whose input is no object, but one that was `cut`, which
    is left out."""
    match block:
        case TextBlock():
            return TextBlock(text=text)
        case ThinkingBlock():
            return ThinkingBlock(thinking=text)
        case ToolUseBlock():
            try:
                arguments = json.loads(text or "{}")
            except (ValueError, RecursionError):
                arguments = None
            if isinstance(arguments, dict):
                return structs.replace(block, input=arguments)
            if cut:
                return None
            raise EngineError(f"The brain called {block.name} with something that is no object.", hint="Ask again.")


def _call_id(given: str) -> str:
    return given if given.startswith("toolu_") else f"toolu_{given or secrets.token_hex(12)}"
