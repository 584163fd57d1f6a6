"""An engine whose turns are observed: what was measured, and whether its base could be loaded at all."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any

import msgspec

from omni.core.errors import BadFile
from omni.core.events import EngineEvent, TurnEnded, Usage
from omni.core.messages import Message
from omni.engine.images import Blinding
from omni.engine.types import Capabilities, ChatRequest, CompletionRequest, Embeddings, Engine, Relevances, Tool


class ObservedEngine:
    """Does what `engine` does. After each whole turn `measured(usage)` is awaited; when the base turns out to be a file
    that the engine cannot load, `refused(reason)` is, and `blinded()` when looking at images ends its worker, before the
    error goes on."""

    def __init__(
        self,
        engine: Engine,
        *,
        measured: Callable[[Usage], Awaitable[None]],
        refused: Callable[[str], Awaitable[None]],
        blinded: Callable[[], Awaitable[None]],
    ) -> None:
        self._engine, self._measured, self._refused, self._blinded = engine, measured, refused, blinded

    def chat(self, request: ChatRequest) -> AsyncGenerator[EngineEvent]:
        """See `Engine`."""
        shown = any(message.images for message in request.messages)
        return self._observed(self._engine.chat(request), shown=shown)

    def complete(self, request: CompletionRequest) -> AsyncGenerator[EngineEvent]:
        """See `Engine`."""
        return self._observed(self._engine.complete(request))

    async def _observed(self, turn: AsyncGenerator[EngineEvent], *, shown: bool = False) -> AsyncGenerator[EngineEvent]:
        try:
            async with aclosing(turn) as events:
                async for event in events:
                    if isinstance(event, TurnEnded):
                        usage = event.usage  # to look at images takes longer than to read, and says nothing of that
                        await self._measured(msgspec.structs.replace(usage, prompt_seconds=0.0) if shown else usage)
                    yield event
        except BadFile as error:
            await self._refused(error.message)
            raise
        except Blinding:
            await self._blinded()
            raise

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """See `Engine`."""
        try:
            return await self._engine.embed(texts)
        except BadFile as error:
            await self._refused(error.message)
            raise

    async def rerank(self, query: str, texts: Sequence[str]) -> Relevances:
        """See `Engine`."""
        try:
            return await self._engine.rerank(query, texts)
        except BadFile as error:
            await self._refused(error.message)
            raise

    async def count_tokens(
        self,
        messages: Sequence[Message],
        tools: Sequence[Tool] = (),
        *,
        thinking: bool | None = None,
        schema: dict[str, Any] | None = None,
    ) -> int:
        """See `Engine`."""
        try:
            asked: dict[str, Any] = {} if thinking is None else {"thinking": thinking}
            if schema is not None:
                asked["schema"] = schema
            return await self._engine.count_tokens(messages, tools, **asked)
        except BadFile as error:
            await self._refused(error.message)
            raise

    async def tokenize(self, text: str) -> list[int]:
        """See `Engine`."""
        return await self._engine.tokenize(text)

    async def capabilities(self) -> Capabilities:
        """See `Engine`."""
        try:
            return await self._engine.capabilities()
        except BadFile as error:
            await self._refused(error.message)
            raise

    async def close(self) -> None:
        """See `Engine`."""
        await self._engine.close()
