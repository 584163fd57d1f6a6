"""A brain in a worker: one turn is counted, reserved with the keeper, streamed from the worker, and given back."""

import asyncio
import json
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import msgspec

from omni.core.errors import ContextOverflow, EngineError, OmniError
from omni.core.events import (
    BrainLoading,
    EngineEvent,
    PromptCounted,
    PromptProgress,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    TurnEnded,
    TurnQueued,
)
from omni.core.messages import Message
from omni.engine import tool_calls
from omni.engine.answers import ChunkDecoder, body_of, completion_body, prompt_of, scales
from omni.engine.binding import Binding, binding_of
from omni.engine.chunks import LlamaChunk
from omni.engine.context import completion_limit
from omni.engine.earlier import shown_again
from omni.engine.embeddings import pieces, readable, too_long, vectors_of
from omni.engine.framing import UNFRAMED
from omni.engine.http import WorkerClient, WorkerGone
from omni.engine.infill import prompt_tokens, tokens_of
from omni.engine.interpreting import Attempt, Interpreter, attempts
from omni.engine.knowledge import Knowledge, Props, told
from omni.engine.lengths import check_length, check_text, far_too_long
from omni.engine.llama import ended_while_loading, refusal
from omni.engine.prompts import Prompts, encoded
from omni.engine.proving import Unproved, unfollowed
from omni.engine.refusals import Unreadable
from omni.engine.retrying import BLAMED, DEATHS, TRIES, Cause, Otherwise, Retries, WorkerEnd, cause_of, culprit, is_end
from omni.engine.suspects import Suspects, Work, carried
from omni.engine.types import Capabilities, ChatRequest, CompletionRequest, Embeddings, Tool
from omni.engine.unframing import Unframer
from omni.engine.vocabulary import check_bias
from omni.schemas import TOO_LARGE, apart

if TYPE_CHECKING:
    from omni.keeper import KeeperClient, Lease, Loading, Ready, Waiting, WorkerSpec, WorkerTurn

T = TypeVar("T")

LOOK_SECONDS = 0.1
IDLE_SECONDS = 30.0  # the server looks at its connections once a second, and then ends its batch
HANGS = 4  # times as long: a batch of a large brain may take most of it, and answers nobody meanwhile
LONG_PROMPT = 128  # tokens, one batch: to tell of less costs the worker's threads 1.5 ms and tells nobody anything
PAUSE_SECONDS = 0.1  # until the keeper has seen that
SAID = TextDelta | ReasoningDelta | ToolCallDelta


class WorkerEngine:
    """The engine for one `WorkerSpec`. Nothing is loaded before the first question.

    `name` is what loading events call the brain, `context_max` what the GGUF says it could. After a cancelled turn its
    ticket stays with this object until the worker's slot is idle, so that the next turn does not wait in the server, but
    not longer than for `patience` seconds.
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
        self._keeper, self._name, self._clock, self._patience = keeper, name, clock, patience
        self._context_max = context_max
        self._adapters: tuple[str, ...] = tuple(json.loads(str(spec.settings.get("adapters", "[]"))))
        self._vision = "projector" in spec.settings
        self._knowledge = Knowledge(name)
        self._prompts = Prompts(self._knowledge, vision=self._vision, name=name)
        self._giving_back: set[asyncio.Task[None]] = set()
        self._suspects = Suspects()
        self._closed = asyncio.Event()

    async def chat(self, request: ChatRequest) -> AsyncGenerator[EngineEvent]:
        """Queue, load, count, read, answer; see `Engine`. A forced call that finds no end is asked for again, bounded."""
        request = tool_calls.checked(request)
        request = msgspec.structs.replace(request, messages=shown_again(request.messages, vision=self._vision))
        self._prompts.look(request.messages)
        binding = await apart(binding_of, request)
        for attempt in attempts(request, binding):
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
        told = False
        for last in (False, True):
            interpreter, said = Interpreter(request, binding), False
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

    async def _tried(
        self, request: ChatRequest | CompletionRequest, binding: Binding | None, density: int | None = None
    ) -> AsyncGenerator[EngineEvent]:
        started, first = self._clock(), 0.0
        scales(request, self._adapters)  # a wrong adapter is an error before anything is loaded
        shows = isinstance(request, ChatRequest) and self._prompts.look(request.messages)
        suspicion, suspects = carried(request), self._suspects
        retries = Retries(request, suspicion, shows=shows, name=self._name)
        while True:
            work = Work(suspects, suspicion.key, alone=retries.alone)
            async with work.trial:  # until it is known how the worker ended
                try:
                    if retries.said and (end := retries.go_on(len(await self.tokenize(retries.said)))):
                        yield _timed(end, first)
                        return
                    async with aclosing(self._turn(retries.request, binding, density, work)) as events:
                        async for event in events:
                            for heard in retries.heard(event):
                                if not first and isinstance(heard, TextDelta | ReasoningDelta):
                                    first = self._clock() - started
                                if isinstance(heard, TurnEnded):
                                    work.over(good=suspicion.proves and heard.reason != "length")
                                yield _timed(heard, first) if isinstance(heard, TurnEnded) else heard
                    return
                except OmniError as error:
                    retries.failed(error, await self._why(error, work), suspicious=suspects.suspicious(suspicion.key))
                finally:
                    if not work.lingers:
                        work.over()
            await asyncio.sleep(PAUSE_SECONDS)

    async def _why(self, error: OmniError, work: Work) -> WorkerEnd:
        """Why the worker ended that a request has failed with, and who may have done it."""
        if not is_end(error):
            return WorkerEnd()
        if work.late or not work.worker:
            return WorkerEnd(late=True)
        suspects = self._suspects.died(work.worker)  # before anything is waited for: those who fail with it leave it
        cause = cause_of(await self._keeper.fate(work.worker))
        if cause is Cause.UNKNOWN:
            self._suspects.lives(work.worker)
        return WorkerEnd(cause, suspects if cause in BLAMED else frozenset())

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """One vector a text. Raises EngineError when the spec was made without embeddings."""
        if not self.spec.settings.get("embeddings"):
            raise EngineError(f"{self._name} was not loaded for embeddings.", hint="Choose an embedding model.")
        tokenizer = str(self.spec.settings.get("tokenizer", ""))
        embeddings, tokens = dict[int, list[float]](), 0
        for piece in pieces(texts):
            vectors = await self._vectors([readable(texts[at], tokenizer) for at in piece])
            embeddings |= zip(piece, vectors, strict=True)
            tokens += vectors.tokens
        return Embeddings((embeddings[at] for at in range(len(texts))), tokens=tokens)

    async def _vectors(self, texts: list[str]) -> Embeddings:
        """A piece of what was asked. Its place is given back after it, so that nobody waits for a thousand texts."""
        tokens = int(self.spec.settings.get("context", 0))  # one text at a time, however long
        key, alone, deaths = f"texts {id(texts)}", False, 0
        for last in (False,) * (TRIES - 1) + (True,):
            work = Work(self._suspects, key, alone=alone)
            async with work.trial:
                try:
                    async with self._keeper.turn(self.spec, priority="background", tokens=tokens) as turn:
                        async for _ in self._events(turn.waiting()):
                            pass
                        await work.alone()
                        work.at(turn.socket)
                        vectors = vectors_of(
                            await WorkerClient(turn.socket, turn.key).json("/v1/embeddings", {"input": texts})
                        )
                    break
                except WorkerGone as error:
                    end = await self._why(error, work)
                    if end.cause is Cause.MEMORY and end.suspects == {key}:
                        raise culprit(end.cause, "fewer or shorter texts") from error
                    alone = key in end.suspects
                    deaths += error.asked and not end.late
                    if last or deaths == DEATHS:
                        raise
                except ContextOverflow as error:
                    raise too_long(error) from error
                finally:
                    work.over()
            await asyncio.sleep(PAUSE_SECONDS)
        if len(vectors) != len(texts):
            raise EngineError("The brain's process sent vectors of an unknown form.")
        return vectors

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
        async with await self._lease() as lease:
            client = await self._loaded(lease)
            asked = ChatRequest(messages=tuple(messages), tools=tuple(tools), thinking=thinking, schema=schema)
            props = await self._props(client)
            with self._suspects.working(lease.socket, carried(asked).key):
                if long := await far_too_long(client, asked, allocated=props.context):
                    return long
                return (await self._prompts.written(client, asked, props))[1]

    async def tokenize(self, text: str) -> list[int]:
        """By the worker, which is loaded for it. Raises UsageError for a text that is too long."""
        check_text(text)
        async with await self._lease() as lease:
            client = await self._loaded(lease)
            with self._suspects.working(lease.socket, carried(CompletionRequest(prompt=text)).key):
                return await tokens_of(client, text)

    async def capabilities(self) -> Capabilities:
        """What the worker has allocated; loads it."""
        async with await self._lease() as lease:
            props = await self._props(await self._loaded(lease))
        return Capabilities(
            context=props.context,
            context_max=self._context_max or props.context,
            slots=int(self.spec.settings.get("slots", 1)),
            embeds=bool(self.spec.settings.get("embeddings")),
            schema=True,
            reasoning=True,
            vision=props.vision,
            tools=props.template.tools,
            adapters=self._adapters,
        )

    async def close(self) -> None:
        """Give back all tickets; workers stay for who asks next."""
        self._closed.set()
        await asyncio.gather(*self._giving_back, *self._prompts.cancelled(), return_exceptions=True)

    # -- one turn ---------------------------------------------------------------------------------------------------

    async def _turn(
        self, request: ChatRequest | CompletionRequest, binding: Binding | None, density: int | None, work: Work
    ) -> AsyncGenerator[EngineEvent]:
        async with await self._lease() as lease:
            async with aclosing(self._events(lease.states())) as waiting:
                async for event in waiting:
                    yield event
            work.at(lease.socket)
            client = WorkerClient(lease.socket, lease.key)
            props = await self._props(client)
            await check_bias(client, request.sampling.logit_bias)
            await check_length(client, request, allocated=props.context)
            asked = await self._asked(client, request, props)
            if binding is not None:
                asked = asked._replace(bind=partial(self._bind, asked, request, binding, density))
            max_completion_tokens = completion_limit(asked.tokens, asked.max_completion_tokens, props.context)
            work.over()
            yield PromptCounted(
                tokens=asked.tokens, max_completion_tokens=max_completion_tokens, allocated=props.context
            )
            turn = await self._keeper.turn(
                self.spec, priority=request.priority, tokens=asked.tokens + max_completion_tokens
            ).__aenter__()
        async with aclosing(
            self._answer(asked, turn, max_completion_tokens=max_completion_tokens, allocated=props.context, work=work)
        ) as events:
            async for event in events:
                yield event

    async def _asked(
        self, client: WorkerClient, request: ChatRequest | CompletionRequest, props: Props
    ) -> "_WorkerRequest":
        """What the worker is asked, and how many tokens it will read for it."""
        if isinstance(request, CompletionRequest):
            prompt = await prompt_tokens(client, request)
            return _WorkerRequest(
                path="/completion",
                tokens=len(prompt),
                max_completion_tokens=request.sampling.max_tokens,
                seed=request.sampling.seed,
                body=partial(completion_body, request, prompt=prompt, adapters=self._adapters),
                prompt=lambda _client: _already(prompt),
                lora=scales(request, self._adapters),
            )
        said, tokens = await self._prompts.written(client, request, props)
        shows = self._prompts.look(said.messages)
        return _WorkerRequest(
            path="/v1/chat/completions",
            tokens=tokens,
            max_completion_tokens=said.sampling.max_tokens,
            seed=said.sampling.seed,
            body=partial(body_of, said, adapters=self._adapters, progress=tokens > LONG_PROMPT or shows),
            prompt=partial(_prompt, said=said),
            lora=scales(request, self._adapters),
            shows=shows,
            tools=bool(said.tools),
        )

    async def _bind(
        self,
        asked: "_WorkerRequest",
        request: ChatRequest | CompletionRequest,
        binding: Binding,
        density: int | None,
        client: WorkerClient,
    ) -> "_Framed":
        """What the worker is asked, with the grammar that its answer must follow, and that it is known to keep."""
        framing = UNFRAMED
        if isinstance(request, ChatRequest) and not (request.messages and request.messages[-1].role == "assistant"):
            framing = await self._knowledge.framing(client, thinking=request.thinking, tools=asked.tools)
        characters = None if density is None else asked.max_completion_tokens * density
        bound = await apart(binding.bound, framing, characters)
        await self._knowledge.prove(client, bound, asked.prompt, asked.lora)
        body = partial(asked.body, grammar=bound.text, **({"raw": True} if framing.raw else {}))
        return _Framed(body, Unframer(framing))

    async def _answer(
        self, asked: "_WorkerRequest", turn: "WorkerTurn", *, max_completion_tokens: int, allocated: int, work: Work
    ) -> AsyncGenerator[EngineEvent]:
        """Wait for the place, ask the worker, and give the place back: at once, or when a cancelled slot is idle."""
        seed = asked.seed if asked.seed is not None else secrets.randbits(31)
        computing: WorkerClient | None = None
        begun: asyncio.Task[_Begun] | None = None
        answer = ChunkDecoder()
        try:
            async with aclosing(self._events(turn.waiting())) as waiting:
                async for event in waiting:
                    yield event
            await work.alone()
            work.at(turn.socket)
            computing = WorkerClient(turn.socket, turn.key)
            framed = _Framed(asked.body, Unframer(UNFRAMED)) if asked.bind is None else await asked.bind(computing)
            body = partial(framed.body, max_completion_tokens=max_completion_tokens, seed=seed)
            first: LlamaChunk | None = None
            if asked.shows:
                begun = await self._prompts.alone(partial(self._begin, computing, asked.path, body))
                stream, first = await asyncio.shield(begun)
            else:
                stream = computing.stream(asked.path, body(), LlamaChunk)
            async with aclosing(stream) as chunks:
                for event in answer.events(first) if first else ():
                    for said in framed.unframer.read(event):
                        yield said
                async for chunk in chunks:
                    for event in answer.events(chunk):
                        for said in framed.unframer.read(event):
                            yield said
            computing = None
        except OmniError:
            computing = None  # the worker has ended the turn, or its life
            raise
        finally:
            if computing is None:
                await turn.__aexit__(None, None, None)
            else:
                work.lingers = True
                giving = self._give_back(turn, computing, seed, work, begun)
                task = asyncio.get_running_loop().create_task(giving, name="give back")
                self._giving_back.add(task)
                task.add_done_callback(self._giving_back.discard)
        for event in framed.unframer.read(answer.ended(allocated=allocated)):
            yield event

    async def _begin(self, client: WorkerClient, path: str, body: "Callable[[], dict[str, Any]]") -> "_Begun":
        """The stream of an answer to images, and the first of it, which is told when all of them are decoded."""
        stream = client.stream(path, await asyncio.to_thread(encoded, body), LlamaChunk)
        return stream, await anext(stream, None)

    async def _give_back(
        self,
        turn: "WorkerTurn",
        client: WorkerClient,
        seed: int,
        work: Work,
        begun: "asyncio.Task[_Begun] | None" = None,
    ) -> None:
        """Wait until the slot of a cancelled turn is idle, but not for ever; then give its place back.

        A worker that lets a question wait four times as long hangs, for all who wait for it: it is ended.
        """
        until = self._clock() + self._patience
        try:
            if begun is not None:
                with suppress(asyncio.CancelledError):  # by the end of this engine, which nobody else can be
                    stream, _ = await begun
                    await stream.aclose()
            while not self._closed.is_set():
                async with asyncio.timeout(HANGS * self._patience):
                    slots = await client.json("/slots")
                if not _computes(slots, seed) or self._clock() > until:
                    break
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._closed.wait(), LOOK_SECONDS)
        except TimeoutError:
            with suppress(OmniError):
                await self._keeper.stop(turn.worker)
        except OmniError:
            pass  # it has ended
        finally:
            work.over()
            await turn.__aexit__(None, None, None)

    # -- the worker -------------------------------------------------------------------------------------------------

    async def _lease(self) -> "Lease":
        """Keeps the worker while it is asked what needs no place."""
        if self._closed.is_set():
            raise EngineError("The engine is closed.", hint="Ask again.")
        return await self._keeper.worker(self.spec)

    async def _loaded(self, lease: "Lease") -> WorkerClient:
        async for _ in self._events(lease.states()):
            pass
        return WorkerClient(lease.socket, lease.key)

    async def _events(self, states: "AsyncIterator[Waiting | Loading | Ready]") -> AsyncGenerator[EngineEvent]:
        """What the keeper's states are to a front end. Raises BadFile when the worker refused its file."""
        from omni.keeper import Loading, Waiting

        try:
            async for state in states:
                if isinstance(state, Waiting):
                    yield TurnQueued(place=state.place, reason=state.reason, detail=state.detail)
                elif isinstance(state, Loading):
                    yield BrainLoading(brain=self._name, seconds=state.seconds, fraction=state.fraction)
        except EngineError as error:
            if (refused := refusal(error.hint)) is not None:
                raise refused from error
            if (failed := ended_while_loading(error)) is not None:
                raise failed from error
            raise

    async def _props(self, client: WorkerClient) -> Props:
        return await self._knowledge.props(client)


class _WorkerRequest(NamedTuple):
    """A request as it goes to the worker. `shows`: it has images; `tools`: the template tells of some. `prompt` is what
    it becomes there, and `lora` are the scales of its adapters. `bind` makes the answer keep to what it is bound to."""

    path: str
    tokens: int
    max_completion_tokens: int
    seed: int | None
    body: Callable[..., dict[str, Any]]
    prompt: Callable[[WorkerClient], Awaitable[str | list[int]]]
    lora: list[dict[str, Any]]
    shows: bool = False
    tools: bool = False
    bind: "Callable[[WorkerClient], Awaitable[_Framed]] | None" = None


class _Framed(NamedTuple):
    """What is asked in the end, and what takes off that stands around the answer."""

    body: Callable[..., dict[str, Any]]
    unframer: Unframer


_Begun = tuple[AsyncGenerator[LlamaChunk], LlamaChunk | None]


async def _prompt(client: WorkerClient, said: ChatRequest) -> str:
    """The text that a chat becomes; of one with images another, since it takes long to look at them."""
    if any(message.images for message in said.messages):
        return "{"
    answer = await client.json("/apply-template", prompt_of(said))
    return told(lambda: str(answer["prompt"]), "does not tell its prompt")


async def _already(prompt: list[int]) -> list[int]:
    return prompt


def _computes(slots: Any, seed: int) -> bool:
    """Whether one of the slots works on the request with this seed."""
    return isinstance(slots, list) and any(
        slot.get("is_processing") and slot.get("params", {}).get("seed") == seed for slot in slots
    )


def _timed(event: TurnEnded, first: float) -> TurnEnded:
    return msgspec.structs.replace(event, usage=msgspec.structs.replace(event.usage, first_token_seconds=first))
