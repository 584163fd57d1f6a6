"""An engine that was added: where it cannot load a brain, another way to run it answers from then on, and that is said."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any, TypeVar

from omni.core.errors import OmniError
from omni.core.events import EngineEvent, ReasoningDelta, TextDelta, ToolCallDelta
from omni.core.messages import Message
from omni.engine._offloading import ended_it
from omni.engine.llama import LoadFailed, no_room
from omni.engine.types import Capabilities, ChatRequest, CompletionRequest, Embeddings, Engine, Relevances, Tool

T = TypeVar("T")
SAID = TextDelta | ReasoningDelta | ToolCallDelta


class FallingBackEngine:
    """Does what `engine` does, until that fails to load; `instead` then makes the one that goes on, from the failure. With
    `on_device` it makes the one for the next answer, too, when the worker ends in the middle of one: its device may be gone."""

    def __init__(
        self, engine: Engine, instead: Callable[[OmniError], Awaitable[Engine]], *, on_device: bool = False
    ) -> None:
        self._engine, self._instead, self._on_device = engine, instead, on_device
        self._fallen = False
        self._changing = asyncio.Lock()

    def chat(self, request: ChatRequest) -> AsyncGenerator[EngineEvent]:
        """See `Engine`."""
        return self._events(lambda engine: engine.chat(request))

    def complete(self, request: CompletionRequest) -> AsyncGenerator[EngineEvent]:
        """See `Engine`."""
        return self._events(lambda engine: engine.complete(request))

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """See `Engine`."""
        return await self._done(lambda engine: engine.embed(texts))

    async def rerank(self, query: str, texts: Sequence[str]) -> Relevances:
        """See `Engine`."""
        return await self._done(lambda engine: engine.rerank(query, texts))

    async def count_tokens(
        self,
        messages: Sequence[Message],
        tools: Sequence[Tool] = (),
        *,
        thinking: bool | None = None,
        schema: dict[str, Any] | None = None,
    ) -> int:
        """See `Engine`."""
        return await self._done(lambda engine: engine.count_tokens(messages, tools, thinking=thinking, schema=schema))

    async def tokenize(self, text: str) -> list[int]:
        """See `Engine`."""
        return await self._done(lambda engine: engine.tokenize(text))

    async def capabilities(self) -> Capabilities:
        """See `Engine`."""
        return await self._done(lambda engine: engine.capabilities())

    async def close(self) -> None:
        """See `Engine`."""
        await self._engine.close()

    async def _events(self, ask: Callable[[Engine], AsyncGenerator[EngineEvent]]) -> AsyncGenerator[EngineEvent]:
        said, engine = False, self._engine
        try:
            async with aclosing(ask(engine)) as events:
                async for event in events:
                    said |= isinstance(event, SAID)
                    yield event
            return
        except LoadFailed as error:
            await self._fall_back(engine, error)
            if said:  # it ended in the middle of an answer, and cannot be loaded again
                raise
        except OmniError as error:
            await self._leave_device(engine, error)
            raise
        async with aclosing(ask(self._engine)) as events:
            async for event in events:
                yield event

    async def _done(self, ask: Callable[[Engine], Awaitable[T]]) -> T:
        engine = self._engine
        try:
            return await ask(engine)
        except LoadFailed as error:
            await self._fall_back(engine, error)
        except OmniError as error:
            await self._leave_device(engine, error)
            raise
        return await ask(self._engine)

    async def _leave_device(self, failed: Engine, error: OmniError) -> None:
        """Let the next answer come from elsewhere, where this one failed because its worker ended."""
        if self._on_device and ended_it(error):
            async with self._changing:
                if self._engine is failed and not self._fallen:
                    self._engine, self._fallen = await self._instead(error), True

    async def _fall_back(self, failed: Engine, error: LoadFailed) -> None:
        """Go on with another engine; with the one that another question has found meanwhile, where that is so."""
        if error.message == no_room().message:  # which another engine does not cure
            raise error
        async with self._changing:
            if self._engine is not failed:
                return
            if self._fallen:
                raise error
            self._engine, self._fallen = await self._instead(error), True
