"""A brain in a worker: what is asked of it is tried until it is an answer, on the next worker when one ends."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import msgspec

from omni.core.errors import OmniError
from omni.core.events import (
    EngineEvent,
    PromptCounted,
    PromptProgress,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    TurnEnded,
)
from omni.core.messages import Message
from omni.engine import tool_calls
from omni.engine._embedder import Embedder
from omni.engine._infill import tokens_of
from omni.engine._knowledge import Knowledge
from omni.engine._prefixes import prefixes_of
from omni.engine._prompts import Prompts
from omni.engine._retrying import PAUSE_SECONDS, Otherwise, Retries
from omni.engine._suspects import SuspectWork, carried
from omni.engine._worker_access import WorkerAccess
from omni.engine._worker_requests import WorkerRequests
from omni.engine._worker_turns import WorkerTurns
from omni.engine.answers import scales
from omni.engine.binding import Binding, binding_of
from omni.engine.earlier import shown_again
from omni.engine.embeddings import ranks
from omni.engine.interpreting import Attempt, Interpreter, attempts
from omni.engine.lengths import check_text, far_too_long
from omni.engine.llama import GUESSES
from omni.engine.proving import Unproved, unfollowed
from omni.engine.refusals import Unreadable
from omni.engine.types import Capabilities, ChatRequest, CompletionRequest, Embeddings, Relevances, Tool
from omni.schemas import TOO_LARGE, apart

if TYPE_CHECKING:
    from omni.keeper import KeeperClient, WorkerSpec

IDLE_SECONDS = 30.0  # the server looks at its connections once a second, and then ends its batch
SAID = TextDelta | ReasoningDelta | ToolCallDelta


class WorkerEngine:
    """The engine for one `WorkerSpec`. Nothing is loaded before the first question.

    `name` is what loading events call the brain, `context_max` what the GGUF says it could, `patience` how many seconds a
    cancelled turn keeps its place while the worker still computes.
    """

    def __init__(
        self,
        spec: "WorkerSpec",
        keeper: "KeeperClient",
        *,
        name: str,
        context_max: int = 0,
        clock: Callable[[], float] = time.monotonic,
        patience: float = IDLE_SECONDS,
    ) -> None:
        self.spec = spec
        self._name, self._clock, self._context_max = name, clock, context_max
        self._adapters: tuple[str, ...] = tuple(json.loads(str(spec.settings.get("adapters", "[]"))))
        self._vision = "projector" in spec.settings
        self._keeps_grammars = bool(spec.settings.get("llguidance", 1))
        self._knowledge = Knowledge(name)
        self._prompts = Prompts(self._knowledge, vision=self._vision, name=name)
        self._access = WorkerAccess(spec, keeper, name)
        self._turns = WorkerTurns(
            self._access,
            WorkerRequests(self._knowledge, self._prompts, self._adapters, keeps_grammars=self._keeps_grammars),
            self._knowledge,
            self._prompts,
            prefixes=prefixes_of(spec, self._adapters),
            clock=clock,
            patience=patience,
        )
        self._embedder = Embedder(self._access)
        self._keeper, self._patience = keeper, patience
        self._unguessing: WorkerEngine | None = None

    async def chat(self, request: ChatRequest) -> AsyncGenerator[EngineEvent]:
        """Queue, load, count, read, answer; see `Engine`. A forced call that finds no end is asked for again, bounded."""
        request = tool_calls.checked(request)
        request = msgspec.structs.replace(request, messages=shown_again(request.messages, vision=self._vision))
        self._prompts.look(request.messages)
        binding = await apart(binding_of, request)
        for attempt in attempts(request, binding, kept=self._keeps_grammars):
            said = False
            try:
                async with aclosing(self._attempted(request, binding, attempt)) as events:
                    async for event in events:
                        said |= isinstance(event, SAID)
                        yield event
                return
            except Unreadable:
                if attempt.last or said:
                    raise
            except tool_calls.Cut as error:
                if attempt.last:
                    raise tool_calls.unfinished() from error
            except Unproved as error:
                if attempt.last or error.sent or error.fault is TOO_LARGE:
                    raise unfollowed(error.fault) from error

    async def complete(self, request: CompletionRequest) -> AsyncGenerator[EngineEvent]:
        """The same for a text without a template."""
        binding = await apart(binding_of, request)
        try:
            async with aclosing(self._attempted(request, binding, Attempt())) as events:
                async for event in events:
                    yield event
        except Unproved as error:
            raise unfollowed(error.fault) from error

    async def _attempted(
        self, request: ChatRequest | CompletionRequest, binding: Binding | None, attempt: Attempt
    ) -> AsyncGenerator[EngineEvent]:
        """One try at an answer. It is begun anew once when a worker ends in the middle, the next says something else, and
        nobody has got anything of it."""
        if request.logprobs is not None and any(self.spec.settings.get(name) for name in GUESSES):
            async with aclosing(self._without_guesses()._attempted(request, binding, attempt)) as events:
                async for event in events:
                    yield event
            return
        told = False
        for last in (False, True):
            interpreter, said = Interpreter(request, binding, kept=self._keeps_grammars), False
            try:
                async with aclosing(self._tried(attempt.of(request), binding, attempt.density)) as events:
                    async for event in events:
                        if attempt.number and not attempt.words and isinstance(event, ReasoningDelta):
                            continue  # the thoughts of the first try were given away
                        if told and last and isinstance(event, PromptCounted | PromptProgress):
                            continue
                        for meant in interpreter.read(event):
                            said |= isinstance(meant, SAID)
                            told |= isinstance(meant, PromptCounted)
                            yield meant
                return
            except Otherwise as error:
                if said or last:
                    raise error.error from error

    def _without_guesses(self) -> "WorkerEngine":
        """The same in a worker that guesses nothing: of a token that was guessed llama.cpp tells no likelihood, or that it was
        certain, and no request can have it guess nothing."""
        if self._unguessing is None:
            settings = {name: value for name, value in self.spec.settings.items() if name not in GUESSES}
            self._unguessing = WorkerEngine(
                msgspec.structs.replace(self.spec, settings=settings),
                self._keeper,
                name=self._name,
                context_max=self._context_max,
                clock=self._clock,
                patience=self._patience,
            )
        return self._unguessing

    async def _tried(
        self, request: ChatRequest | CompletionRequest, binding: Binding | None, density: int | None = None
    ) -> AsyncGenerator[EngineEvent]:
        started, first = self._clock(), 0.0
        scales(request, self._adapters)  # a wrong adapter is an error before anything is loaded
        shows = isinstance(request, ChatRequest) and self._prompts.look(request.messages)
        suspicion, suspects = carried(request), self._access.suspects
        retries = Retries(request, suspicion, shows=shows, name=self._name)
        while True:
            work = SuspectWork(suspects, suspicion.key, alone=retries.alone)
            async with work.trial:  # until it is known how the worker ended
                try:
                    if retries.said and (end := retries.go_on(len(await self.tokenize(retries.said)))):
                        yield _timed(end, first)
                        return
                    async with aclosing(self._turns.run(retries.request, binding, density, work)) as events:
                        async for event in events:
                            for heard in retries.heard(event):
                                if not first and isinstance(heard, TextDelta | ReasoningDelta):
                                    first = self._clock() - started
                                if isinstance(heard, TurnEnded):
                                    work.over(good=suspicion.proves and heard.reason != "length")
                                yield _timed(heard, first) if isinstance(heard, TurnEnded) else heard
                    return
                except OmniError as error:
                    retries.failed(
                        error, await self._access.why(error, work), suspicious=suspects.suspicious(suspicion.key)
                    )
                finally:
                    if not work.lingers:
                        work.over()
            await asyncio.sleep(PAUSE_SECONDS)

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """One vector a text. Raises EngineError when the spec was made without embeddings."""
        return await self._embedder.embed(texts)

    async def rerank(self, query: str, texts: Sequence[str]) -> Relevances:
        """How well each text answers `query`. Raises EngineError when the spec was not made for a reranker."""
        return await self._embedder.rerank(query, texts)

    async def count_tokens(
        self,
        messages: Sequence[Message],
        tools: Sequence[Tool] = (),
        *,
        thinking: bool | None = None,
        schema: dict[str, Any] | None = None,
    ) -> int:
        """Tokens of the prompt that `messages` and `tools` make, counted by the worker, which is loaded for it. Of a prompt that
        is far too long it is the tokens of its texts, see `far_too_long`."""
        messages = shown_again(messages, vision=self._vision)
        self._prompts.look(messages)
        if not tools and (known := self._prompts.known(messages, thinking)) is not None:
            return known
        async with await self._access.lease() as lease:
            client = await self._access.loaded(lease)
            asked = ChatRequest(messages=tuple(messages), tools=tuple(tools), thinking=thinking, schema=schema)
            props = await self._knowledge.props(client)
            with self._access.suspects.working(lease.socket, carried(asked).key):
                if long := await far_too_long(client, asked, allocated=props.context):
                    return long
                return (await self._prompts.written(client, asked, props))[1]

    async def tokenize(self, text: str) -> list[int]:
        """By the worker, which is loaded for it. Raises UsageError for a text that is too long."""
        check_text(text)
        async with await self._access.lease() as lease:
            client = await self._access.loaded(lease)
            with self._access.suspects.working(lease.socket, carried(CompletionRequest(prompt=text)).key):
                return await tokens_of(client, text)

    async def capabilities(self) -> Capabilities:
        """What the worker has allocated; loads it."""
        async with await self._access.lease() as lease:
            props = await self._knowledge.props(await self._access.loaded(lease))
        return Capabilities(
            context=props.context,
            context_max=self._context_max or props.context,
            slots=int(self.spec.settings.get("slots", 1)),
            embeds=bool(self.spec.settings.get("embeddings")) and not ranks(self.spec.settings),
            reranks=ranks(self.spec.settings),
            schema=True,
            reasoning=True,
            vision=props.vision,
            tools=props.template.tools,
            adapters=self._adapters,
        )

    async def close(self) -> None:
        """Give back all tickets; workers stay for who asks next."""
        self._access.closed.set()
        await asyncio.gather(self._turns.given_back(), *self._prompts.cancelled(), return_exceptions=True)
        if self._unguessing is not None:
            await self._unguessing.close()


def _timed(event: TurnEnded, first: float) -> TurnEnded:
    return msgspec.structs.replace(event, usage=msgspec.structs.replace(event.usage, first_token_seconds=first))
