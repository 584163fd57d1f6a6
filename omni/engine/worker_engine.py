"""A brain in a worker: one turn is counted, reserved with the keeper, streamed from the worker, and given back."""

import asyncio
import json
import secrets
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Sequence
from contextlib import aclosing, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import msgspec

from omni.core.errors import ContextOverflow, EngineError, OmniError, UsageError
from omni.core.events import BrainLoading, EngineEvent, PromptCounted, ReasoningDelta, TextDelta, TurnEnded, TurnQueued
from omni.engine import calling
from omni.engine.answers import Answer, body_of, completion_body, prompt_of, scales
from omni.engine.attempts import BLAMED, DEATHS, TRIES, Attempts, Cause, End, cause_of, is_end
from omni.engine.chunks import Chunk
from omni.engine.context import answer_room
from omni.engine.decodable import check_decodable
from omni.engine.http import Client, WorkerGone
from omni.engine.images import check_images
from omni.engine.infill import prompt_tokens, tokens_of
from omni.engine.lengths import check_length
from omni.engine.limits import check_schema
from omni.engine.llama import refusal
from omni.engine.suspects import Suspects, Work, carried
from omni.engine.types import Capabilities, ChatRequest, CompletionRequest, Message, Tool, Vectors
from omni.engine.vectors import pieces, readable, too_long, vectors_of
from omni.engine.vocabulary import check_bias

if TYPE_CHECKING:
    from omni.keeper import Keeper, Lease, Loading, Ready, Turn, Waiting, WorkerSpec

T = TypeVar("T")

REMEMBERED = 64  # prompts whose length is known
LOOK_SECONDS = 0.1
IDLE_SECONDS = 30.0  # the server looks at its connections once a second, and then ends its batch
HANGS = 4  # times as long: a batch of a large brain may take most of it, and answers nobody meanwhile
LONG_PROMPT = 128  # tokens, one batch: to tell of less costs the worker's threads 1.5 ms and tells nobody anything
PAUSE_SECONDS = 0.1  # until the keeper has seen that
_COUNT = "/v1/chat/completions/input_tokens"


class WorkerEngine:
    """The engine for one `WorkerSpec`. Nothing is loaded before the first question.

    `name` is what loading events call the brain, `context_max` what the GGUF says it could. After a cancelled turn its
    ticket stays with this object until the worker's slot is idle, so that the next turn does not wait in the server, but
    not longer than for `patience` seconds.
    """

    def __init__(
        self,
        spec: "WorkerSpec",
        keeper: "Keeper",
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
        self._counts: OrderedDict[tuple[tuple[Message, ...], bool | None], int] = OrderedDict()
        self._known: tuple[str, _Props | None] = ("", None)  # as told by which worker
        self._giving_back: set[asyncio.Task[None]] = set()
        self._looking: set[asyncio.Task[Any]] = set()
        self._suspects = Suspects()
        self._closed = asyncio.Event()
        self._decoding = asyncio.Lock()  # images, which take hundreds of megabytes for a moment: one request at a time

    async def chat(self, request: ChatRequest) -> AsyncGenerator[EngineEvent]:
        """Queue, load, count, read, answer; see `Engine`. A forced call that finds no end is asked for again, bounded."""
        request = calling.checked(request)
        self._look(request.messages)
        for density in calling.DENSITIES:
            try:
                async with aclosing(self._tried(request, density=density)) as events:
                    async for event in events:
                        yield event
                return
            except calling.Cut as error:
                if density == calling.DENSITIES[-1]:
                    raise calling.unfinished() from error

    async def complete(self, request: CompletionRequest) -> AsyncGenerator[EngineEvent]:
        """The same for a text without a template."""
        if request.schema is not None:
            check_schema(request.schema)
        async with aclosing(self._tried(request)) as events:
            async for event in events:
                yield event

    async def _tried(
        self, request: ChatRequest | CompletionRequest, *, density: int | None = None
    ) -> AsyncGenerator[EngineEvent]:
        started, first = self._clock(), 0.0
        scales(request, self._adapters)  # a wrong adapter is an error before anything is loaded
        shows = isinstance(request, ChatRequest) and self._look(request.messages)
        found, suspects = carried(request), self._suspects
        attempts = Attempts(request, found, shows=shows, name=self._name)
        while True:
            work = Work(suspects, found.key)
            try:
                async with suspects.asking(found.key, alone=attempts.alone):
                    if attempts.said and (end := attempts.go_on(len(await self.tokenize(attempts.said)))):
                        yield _timed(end, first)
                        return
                    async with aclosing(self._turn(attempts.request, density, work)) as events:
                        async for event in events:
                            for told in attempts.heard(event):
                                if not first and isinstance(told, TextDelta | ReasoningDelta):
                                    first = self._clock() - started
                                if isinstance(told, TurnEnded):
                                    work.over(good=found.proves and told.reason != "length")
                                yield _timed(told, first) if isinstance(told, TurnEnded) else told
                return
            except OmniError as error:
                attempts.failed(error, await self._why(error, work), suspicious=suspects.suspicious(found.key))
            finally:
                if not work.lingers:
                    work.over()
            await asyncio.sleep(PAUSE_SECONDS)

    async def _why(self, error: OmniError, work: Work) -> End:
        """Why the worker ended that a request has failed with, and who may have done it."""
        if not is_end(error):
            return End()
        suspects = self._suspects.died(work.worker)  # before anything is waited for: those who fail with it leave it
        cause = cause_of(await self._keeper.fate(work.worker) if work.worker else None)
        if cause is Cause.UNKNOWN:
            self._suspects.lives(work.worker)
        return End(cause, suspects if cause in BLAMED else frozenset())

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """One vector a text. Raises EngineError when the spec was made without embeddings."""
        if not self.spec.settings.get("embeddings"):
            raise EngineError(f"{self._name} was not loaded for embeddings.", hint="Choose an embedding model.")
        tokenizer = str(self.spec.settings.get("tokenizer", ""))
        found, tokens = dict[int, list[float]](), 0
        for piece in pieces(texts):
            vectors = await self._vectors([readable(texts[at], tokenizer) for at in piece])
            found |= zip(piece, vectors, strict=True)
            tokens += vectors.tokens
        return Vectors((found[at] for at in range(len(texts))), tokens=tokens)

    async def _vectors(self, texts: list[str]) -> Vectors:
        """A piece of what was asked. Its place is given back after it, so that nobody waits for a thousand texts."""
        tokens = int(self.spec.settings.get("context", 0))  # one text at a time, however long
        deaths = 0
        for last in (False,) * (TRIES - 1) + (True,):
            try:
                async with self._keeper.turn(self.spec, priority="background", tokens=tokens) as turn:
                    async for _ in self._events(turn.waiting()):
                        pass
                    found = vectors_of(await Client(turn.socket, turn.key).json("/v1/embeddings", {"input": texts}))
                break
            except WorkerGone as error:
                deaths += error.asked
                if last or deaths == DEATHS:
                    raise
            except ContextOverflow as error:
                raise too_long(error) from error
            await asyncio.sleep(PAUSE_SECONDS)
        if len(found) != len(texts):
            raise EngineError("The brain's process sent vectors of an unknown form.")
        return found

    async def count_tokens(
        self, messages: Sequence[Message], tools: Sequence[Tool] = (), *, thinking: bool | None = None
    ) -> int:
        """Tokens of the prompt that `messages` and `tools` make, counted by the worker, which is loaded for it."""
        self._look(messages)
        if not tools and (known := self._counts.get((tuple(messages), thinking))) is not None:
            return known
        async with await self._lease() as lease:
            client = await self._loaded(lease)
            asked = ChatRequest(messages=tuple(messages), tools=tuple(tools), thinking=thinking)
            with self._suspects.working(lease.socket, carried(asked).key):
                return await self._count(client, calling.told(asked, template=(await self._props(client)).tools))

    async def tokenize(self, text: str) -> list[int]:
        """By the worker, which is loaded for it."""
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
            sees=props.sees,
            tools=props.tools,
            adapters=self._adapters,
        )

    async def close(self) -> None:
        """Give back all tickets; workers stay for who asks next."""
        self._closed.set()
        for looking in self._looking:
            looking.cancel()
        await asyncio.gather(*self._giving_back, *self._looking, return_exceptions=True)

    # -- one turn ---------------------------------------------------------------------------------------------------

    async def _turn(
        self, request: ChatRequest | CompletionRequest, density: int | None, work: Work
    ) -> AsyncGenerator[EngineEvent]:
        async with await self._lease() as lease:
            async with aclosing(self._events(lease.states())) as waiting:
                async for event in waiting:
                    yield event
            work.at(lease.socket)
            client = Client(lease.socket, lease.key)
            props = await self._props(client)
            await check_bias(client, request.sampling.logit_bias)
            await check_length(client, request, allocated=props.context)
            asked = await self._asked(client, request, props, density)
            room = answer_room(asked.tokens, asked.room, props.context)
            work.over()
            yield PromptCounted(tokens=asked.tokens, room=room, allocated=props.context)
            turn = await self._keeper.turn(
                self.spec, priority=request.priority, tokens=asked.tokens + room
            ).__aenter__()
        async with aclosing(self._answer(asked, turn, room=room, allocated=props.context, work=work)) as events:
            async for event in events:
                for read in asked.reader.read(event) if asked.reader else (event,):
                    yield read

    async def _asked(
        self, client: Client, request: ChatRequest | CompletionRequest, props: "_Props", density: int | None
    ) -> "_Asked":
        """What the worker is asked, and how many tokens it will read for it."""
        if isinstance(request, CompletionRequest):
            prompt = await prompt_tokens(client, request)
            return _Asked(
                path="/completion",
                tokens=len(prompt),
                room=request.sampling.max_tokens,
                seed=request.sampling.seed,
                body=partial(completion_body, request, prompt=prompt, adapters=self._adapters),
            )
        said = calling.told(request, template=props.tools, density=density)
        reader = None
        if request.tools:
            strict = density != calling.DENSITIES[-1]
            reader = calling.CallReader(request.tools, forced=request.tool_choice == "required", strict=strict)
        tokens, shows = await self._count(client, said), self._look(said.messages)
        return _Asked(
            path="/v1/chat/completions",
            tokens=tokens,
            room=said.sampling.max_tokens,
            seed=said.sampling.seed,
            body=partial(body_of, said, adapters=self._adapters, progress=tokens > LONG_PROMPT or shows),
            reader=reader,
            shows=shows,
        )

    async def _answer(
        self, asked: "_Asked", turn: "Turn", *, room: int, allocated: int, work: Work
    ) -> AsyncGenerator[EngineEvent]:
        """Wait for the place, ask the worker, and give the place back: at once, or when a cancelled slot is idle."""
        seed = asked.seed if asked.seed is not None else secrets.randbits(31)
        computing: Client | None = None
        begun: asyncio.Task[_Begun] | None = None
        answer = Answer()
        try:
            async with aclosing(self._events(turn.waiting())) as waiting:
                async for event in waiting:
                    yield event
            work.at(turn.socket)
            computing = Client(turn.socket, turn.key)
            first: Chunk | None = None
            if asked.shows:
                begun = await self._alone(partial(self._begin, computing, asked, room=room, seed=seed))
                stream, first = await asyncio.shield(begun)
            else:
                stream = computing.stream(asked.path, asked.body(room=room, seed=seed), Chunk)
            async with aclosing(stream) as chunks:
                for event in answer.events(first) if first else ():
                    yield event
                async for chunk in chunks:
                    for event in answer.events(chunk):
                        yield event
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
        yield answer.ended(allocated=allocated)

    async def _begin(self, client: Client, asked: "_Asked", *, room: int, seed: int) -> "_Begun":
        """The stream of an answer to images, and the first of it, which is told when all of them are decoded."""
        stream = client.stream(asked.path, await asyncio.to_thread(_encoded, asked.body, room=room, seed=seed), Chunk)
        return stream, await anext(stream, None)

    async def _give_back(
        self, turn: "Turn", client: Client, seed: int, work: Work, begun: "asyncio.Task[_Begun] | None" = None
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

    async def _loaded(self, lease: "Lease") -> Client:
        async for _ in self._events(lease.states()):
            pass
        return Client(lease.socket, lease.key)

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
            raise

    def _look(self, messages: Sequence[Message]) -> bool:
        """Whether there are images. Raises UsageError where they cannot be seen."""
        return check_images(messages, sees="projector" in self.spec.settings, name=self._name)

    async def _count(self, client: Client, request: ChatRequest) -> int:
        """By the server's own way of making a prompt, so that the number is the one it will read.

        A schema goes along: one that no grammar can be made of is refused now, and not in the middle of an answer. So
        are images that cannot be decoded.
        """
        if shows := self._look(request.messages):
            await self._see(client)
        key = (request.messages, request.thinking)
        if shows or request.tools or request.schema is not None or (known := self._counts.get(key)) is None:
            if shows:
                answer = await asyncio.shield(await self._alone(partial(self._shown, client, request)))
            else:
                answer = await client.json(_COUNT, prompt_of(request))
            known = _told(lambda: int(answer["input_tokens"]), "cannot count tokens")
            if not request.tools and not shows:  # images are large, and not worth remembering
                self._counts[key] = known
                while len(self._counts) > REMEMBERED:
                    self._counts.popitem(last=False)
        return known

    async def _shown(self, client: Client, request: ChatRequest) -> Any:
        """The length of a prompt with images. Raises UsageError when one cannot be decoded."""
        return await client.json(_COUNT, await asyncio.to_thread(_checked, request))

    async def _alone(self, work: Callable[[], Coroutine[Any, Any, T]]) -> "asyncio.Task[T]":
        """A task that has images decoded, begun when no other is at it. It goes on when who asked has left, as the
        worker does: so there are never more of them than one in its memory."""
        await self._decoding.acquire()
        task = asyncio.get_running_loop().create_task(work(), name="decode")
        self._looking.add(task)
        task.add_done_callback(self._seen)
        return task

    def _seen(self, task: "asyncio.Task[Any]") -> None:
        self._decoding.release()
        self._looking.discard(task)
        if not task.cancelled():
            task.exception()  # known now, should nobody have waited for it

    async def _see(self, client: Client) -> None:
        """Raises UsageError when the worker could not load the brain's eyes: it answers to texts without them."""
        if not (await self._props(client)).sees:
            raise UsageError(
                f"{self._name} cannot see: this engine could not load its projector.",
                hint="The log of its worker says why. Leave out the images.",
            )

    async def _props(self, client: Client) -> "_Props":
        """What this worker says of itself, asked once."""
        worker, known = self._known
        if known is None or worker != client.socket:
            answer = await client.json("/props")
            known = _told(
                lambda: _Props(
                    context=int(answer["default_generation_settings"]["n_ctx"]),
                    tools=calling.knows_tools(answer.get("chat_template", ""), answer.get("chat_template_caps", {})),
                    sees=bool(answer.get("modalities", {}).get("vision")),
                ),
                "does not tell its context",
            )
            self._known = (client.socket, known)
        return known


class _Props(NamedTuple):
    """`context`: tokens that one chat may have; `tools`: whether the template knows them; `sees`: whether it has eyes."""

    context: int
    tools: bool
    sees: bool


class _Asked(NamedTuple):
    """A request as it goes to the worker. `reader`, where there is one, finds calls in what it says; `shows`: it has
    images."""

    path: str
    tokens: int
    room: int
    seed: int | None
    body: Callable[..., dict[str, Any]]
    reader: "calling.CallReader | None" = None
    shows: bool = False


_Begun = tuple[AsyncGenerator[Chunk], Chunk | None]


def _checked(request: ChatRequest) -> bytes:
    """The body of a request with images, none of which takes more to decode than it should. Blocking."""
    for message in request.messages:
        for image in message.images:
            check_decodable(image)
    return _encoded(prompt_of, request)


def _encoded(make: Callable[..., dict[str, Any]], *arguments: Any, **more: Any) -> bytes:
    """The body that `make` makes, as JSON. Blocking where it is large."""
    return msgspec.json.encode(make(*arguments, **more))


def _told(read: Callable[[], T], otherwise: str) -> T:
    try:
        return read()
    except (KeyError, TypeError, ValueError) as error:
        raise EngineError(f"The brain's process {otherwise}.") from error


def _computes(slots: Any, seed: int) -> bool:
    """Whether one of the slots works on the request with this seed."""
    return isinstance(slots, list) and any(
        slot.get("is_processing") and slot.get("params", {}).get("seed") == seed for slot in slots
    )


def _timed(event: TurnEnded, first: float) -> TurnEnded:
    return msgspec.structs.replace(event, usage=msgspec.structs.replace(event.usage, first_token_seconds=first))
