"""A brain in a worker: one turn is counted, reserved with the keeper, streamed from the worker, and given back."""

import asyncio
import json
import secrets
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from omni.core.errors import EngineError, OmniError
from omni.core.events import BrainLoading, EngineEvent, ReasoningDelta, TextDelta, TurnEnded, TurnQueued
from omni.engine.answers import Answer, body_of, scales, sent
from omni.engine.context import answer_room
from omni.engine.http import Client, WorkerGone
from omni.engine.llama import refusal
from omni.engine.types import Capabilities, ChatRequest, Message

if TYPE_CHECKING:
    from omni.keeper import Keeper, Lease, Loading, Ready, Turn, Waiting, WorkerSpec

T = TypeVar("T")

REMEMBERED = 64  # prompts whose length is known
LOOK_SECONDS = 0.1
IDLE_SECONDS = 30.0  # the server looks at its connections once a second, and then ends its batch
TRIES = 3  # a worker may end, for another base or by a kill, between being promised and being asked
PAUSE_SECONDS = 0.1  # until the keeper has seen that


class WorkerEngine:
    """The engine for one `WorkerSpec`. Nothing is loaded before the first question.

    `name` is what loading events call the brain, `context_max` what the GGUF says it could. After a cancelled turn its
    ticket stays with this object until the worker's slot is idle, so that the next turn does not wait in the server.
    """

    def __init__(
        self,
        spec: "WorkerSpec",
        keeper: "Keeper",
        *,
        name: str,
        context_max: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.spec = spec
        self._keeper, self._name, self._clock = keeper, name, clock
        self._context_max = context_max
        self._adapters: tuple[str, ...] = tuple(json.loads(str(spec.settings.get("adapters", "[]"))))
        self._counts: OrderedDict[tuple[Message, ...], int] = OrderedDict()
        self._allocated: tuple[str, int] = ("", 0)  # as told by which worker
        self._giving_back: set[asyncio.Task[None]] = set()
        self._closed = asyncio.Event()

    async def chat(self, request: ChatRequest) -> AsyncGenerator[EngineEvent]:
        """Queue, load, count, read, answer; see `Engine`."""
        started, first = self._clock(), 0.0
        scales(request, self._adapters)  # a wrong adapter is an error before anything is loaded
        for last in (False,) * (TRIES - 1) + (True,):
            try:
                async with aclosing(self._turn(request)) as events:
                    async for event in events:
                        if not first and isinstance(event, TextDelta | ReasoningDelta):
                            first = self._clock() - started
                        yield _timed(event, first) if isinstance(event, TurnEnded) else event
                return
            except WorkerGone:
                if last:
                    raise
            await asyncio.sleep(PAUSE_SECONDS)

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One vector a text. Raises EngineError when the spec was made without embeddings."""
        if not self.spec.settings.get("embeddings"):
            raise EngineError(f"{self._name} was not loaded for embeddings.", hint="Choose an embedding model.")
        tokens = int(self.spec.settings.get("context", 0))  # one text at a time, however long
        async with self._keeper.turn(self.spec, priority="background", tokens=tokens) as turn:
            async for _ in self._events(turn.waiting()):
                pass
            answer = await Client(turn.socket, turn.key).json("/v1/embeddings", {"input": list(texts)})
        try:
            found = sorted(answer["data"], key=lambda one: one["index"])
            return [list(map(float, one["embedding"])) for one in found]
        except (KeyError, TypeError, ValueError) as error:
            raise EngineError("The brain's process sent vectors of an unknown form.") from error

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        """Tokens of the prompt that `messages` make, counted by the worker, which is loaded for it."""
        key = tuple(messages)
        if (known := self._counts.get(key)) is not None:
            return known
        async with await self._lease() as lease:
            return await self._count(await self._loaded(lease), key)

    async def capabilities(self) -> Capabilities:
        """What the worker has allocated; loads it."""
        async with await self._lease() as lease:
            context = await self._context(await self._loaded(lease))
        return Capabilities(
            context=context,
            context_max=self._context_max or context,
            slots=int(self.spec.settings.get("slots", 1)),
            embeds=bool(self.spec.settings.get("embeddings")),
            schema=True,
            reasoning=True,
            adapters=self._adapters,
        )

    async def close(self) -> None:
        """Give back all tickets; workers stay for who asks next."""
        self._closed.set()
        await asyncio.gather(*self._giving_back)

    # -- one turn ---------------------------------------------------------------------------------------------------

    async def _turn(self, request: ChatRequest) -> AsyncGenerator[EngineEvent]:
        async with await self._lease() as lease:
            async with aclosing(self._events(lease.states())) as waiting:
                async for event in waiting:
                    yield event
            client = Client(lease.socket, lease.key)
            prompt = await self._count(client, request.messages)
            allocated = await self._context(client)
            room = answer_room(prompt, request.sampling.max_tokens, allocated)
            turn = await self._keeper.turn(self.spec, priority=request.priority, tokens=prompt + room).__aenter__()
        async with aclosing(self._answer(request, turn, room=room, allocated=allocated)) as events:
            async for event in events:
                yield event

    async def _answer(
        self, request: ChatRequest, turn: "Turn", *, room: int, allocated: int
    ) -> AsyncGenerator[EngineEvent]:
        """Wait for the place, ask the worker, and give the place back: at once, or when a cancelled slot is idle."""
        seed = request.sampling.seed if request.sampling.seed is not None else secrets.randbits(31)
        computing: Client | None = None
        answer = Answer()
        try:
            async with aclosing(self._events(turn.waiting())) as waiting:
                async for event in waiting:
                    yield event
            computing = Client(turn.socket, turn.key)
            body = body_of(request, room=room, seed=seed, adapters=self._adapters)
            async with aclosing(computing.stream("/v1/chat/completions", body)) as chunks:
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
                task = asyncio.get_running_loop().create_task(self._give_back(turn, computing, seed), name="give back")
                self._giving_back.add(task)
                task.add_done_callback(self._giving_back.discard)
        yield answer.ended(allocated=allocated)

    async def _give_back(self, turn: "Turn", client: Client, seed: int) -> None:
        """Wait until the slot of a cancelled turn is idle, but not for ever; then give its place back."""
        try:
            with suppress(OmniError, TimeoutError):
                async with asyncio.timeout(IDLE_SECONDS):
                    while not self._closed.is_set() and _computes(await client.json("/slots"), seed):
                        with suppress(TimeoutError):
                            await asyncio.wait_for(self._closed.wait(), LOOK_SECONDS)
        finally:
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

    async def _count(self, client: Client, messages: tuple[Message, ...]) -> int:
        """By the server's own way of making a prompt, so that the number is the one it will read."""
        if (known := self._counts.get(messages)) is None:
            answer = await client.json("/v1/chat/completions/input_tokens", {"messages": sent(messages)})
            known = _told(lambda: int(answer["input_tokens"]), "cannot count tokens")
            self._counts[messages] = known
            while len(self._counts) > REMEMBERED:
                self._counts.popitem(last=False)
        return known

    async def _context(self, client: Client) -> int:
        """Tokens that one chat may have in this worker, asked once."""
        worker, allocated = self._allocated
        if worker != client.socket:
            answer = await client.json("/props")
            allocated = _told(lambda: int(answer["default_generation_settings"]["n_ctx"]), "does not tell its context")
            self._allocated = (client.socket, allocated)
        return allocated


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
