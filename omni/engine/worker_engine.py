"""A brain in a worker: one turn is counted, reserved with the keeper, streamed from the worker, and given back."""

import asyncio
import json
import secrets
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, aclosing, suppress
from typing import TYPE_CHECKING, Any

from omni.core.errors import EngineError, OmniError
from omni.core.events import BrainLoading, EngineEvent, TextDelta, TurnQueued
from omni.engine.answers import Answer, body_of, scales
from omni.engine.context import answer_room
from omni.engine.http import Client
from omni.engine.types import Capabilities, ChatRequest, Message

if TYPE_CHECKING:
    from omni.keeper import Keeper, Loading, Ready, Waiting, WorkerSpec

REMEMBERED = 64  # prompts whose length is known
LOOK_SECONDS = 0.1
IDLE_SECONDS = 30.0  # the server looks at its connections once a second, and then ends its batch


class WorkerEngine:
    """The engine for one `WorkerSpec`. Nothing is loaded before the first question.

    `name` is what loading events call the brain, `context_max` what the GGUF says it could. After a cancelled turn the
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
        self._allocated: tuple[str, int] = ("", 0)  # by which worker
        self._slots_given_back: set[asyncio.Task[None]] = set()
        self._closed = False

    async def chat(self, request: ChatRequest) -> AsyncGenerator[EngineEvent]:
        """Queue, load, read, answer; see `Engine`."""
        started, first = self._clock(), 0.0
        scales(request, self._adapters)  # a wrong adapter is an error before anything is loaded
        async with AsyncExitStack() as held:
            events = await held.enter_async_context(aclosing(self._with_worker(held)))
            client = None
            async for event in events:
                if isinstance(event, Client):
                    client = event
                else:
                    yield event
            assert client is not None
            prompt = await self._count(client, request.messages)
            allocated = await self._context(client)
            room = answer_room(prompt, request.sampling.max_tokens, allocated)
            turn = self._keeper.turn(self.spec, priority=request.priority, tokens=prompt + room)
            await turn.__aenter__()
            seed = request.sampling.seed if request.sampling.seed is not None else secrets.randbits(31)
            ended = asked = False
            try:
                async for state in turn.waiting():
                    yield self._event(state)
                await held.aclose()  # the turn itself keeps the worker from now on
                client = Client(turn.socket, turn.key)
                body = body_of(request, room=room, seed=seed, adapters=self._adapters)
                answer, asked = Answer(), True
                async with aclosing(client.stream("/v1/chat/completions", body)) as chunks:
                    async for chunk in chunks:
                        for event in answer.events(chunk):
                            if not first and isinstance(event, TextDelta):
                                first = self._clock() - started
                            yield event
                ended = True
            except OmniError:
                ended = True  # the worker has ended the turn, or its life
                raise
            finally:
                if ended or not asked:
                    await turn.__aexit__(None, None, None)
                else:
                    self._give_back_later(turn, client, seed)
            yield answer.ended(first_token_seconds=first, allocated=allocated)

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One vector a text. Raises EngineError when the spec was made without embeddings."""
        if not self.spec.settings.get("embeddings"):
            raise EngineError(f"{self._name} was not loaded for embeddings.", hint="Choose an embedding model.")
        turn = self._keeper.turn(self.spec, priority="background", tokens=0)
        async with turn:
            async for _ in turn.waiting():
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
        if key in self._counts:
            return self._counts[key]
        async with AsyncExitStack() as held:
            return await self._count(await self._loaded(held), key)

    async def capabilities(self) -> Capabilities:
        """What the worker has allocated; loads it."""
        async with AsyncExitStack() as held:
            context = await self._context(await self._loaded(held))
        real = self.spec.engine == "xllamacpp"
        return Capabilities(
            context=context,
            context_max=self._context_max or context,
            slots=int(self.spec.settings.get("slots", 1)),
            embeds=bool(self.spec.settings.get("embeddings")),
            schema=True,
            reasoning=True,
            adapters=self._adapters if real else (),
        )

    async def close(self) -> None:
        """Give back all tickets; workers stay for who asks next."""
        self._closed = True
        for task in list(self._slots_given_back):
            task.cancel()
        await asyncio.gather(*self._slots_given_back, return_exceptions=True)

    async def _loaded(self, held: AsyncExitStack) -> Client:
        async with aclosing(self._with_worker(held)) as events:
            async for event in events:
                if isinstance(event, Client):
                    return event
        raise EngineError(f"{self._name} could not be loaded.")

    async def _with_worker(self, held: AsyncExitStack) -> AsyncGenerator[EngineEvent | Client]:
        """Events until the worker is there, then how to reach it; it stays at least until `held` is closed."""
        if self._closed:
            raise EngineError("The engine is closed.", hint="Ask again.")
        lease = await self._keeper.worker(self.spec)
        held.push_async_callback(lease.close)
        async for state in lease.states():
            if (event := self._event(state)) is not None:
                yield event
        yield Client(lease.socket, lease.key)

    def _event(self, state: "Waiting | Loading | Ready") -> Any:
        """What a state of the keeper is to a front end; None for `Ready`."""
        from omni.keeper import Loading, Waiting

        if isinstance(state, Waiting):
            return TurnQueued(place=state.place, reason=state.reason, detail=state.detail)
        if isinstance(state, Loading):
            return BrainLoading(brain=self._name, seconds=state.seconds, fraction=state.fraction)
        return None

    async def _count(self, client: Client, messages: tuple[Message, ...]) -> int:
        """By the server's own way of making a prompt, so that the number is the one it will read."""
        if (known := self._counts.get(messages)) is None:
            body = {"messages": [{"role": message.role, "content": message.content} for message in messages]}
            answer = await client.json("/v1/chat/completions/input_tokens", body)
            try:
                known = int(answer["input_tokens"])
            except (KeyError, TypeError, ValueError) as error:
                raise EngineError("The brain's process cannot count tokens.") from error
            self._counts[messages] = known
            while len(self._counts) > REMEMBERED:
                self._counts.popitem(last=False)
        return known

    async def _context(self, client: Client) -> int:
        """Tokens that one chat may have in this worker, asked once."""
        worker, allocated = self._allocated
        if worker != client.socket:
            answer = await client.json("/props")
            try:
                allocated = int(answer["default_generation_settings"]["n_ctx"])
            except (KeyError, TypeError, ValueError) as error:
                raise EngineError("The brain's process does not tell its context.") from error
            self._allocated = (client.socket, allocated)
        return allocated

    def _give_back_later(self, turn: Any, client: Client, seed: int) -> None:
        task = asyncio.get_running_loop().create_task(self._give_back(turn, client, seed), name="give back")
        self._slots_given_back.add(task)
        task.add_done_callback(self._slots_given_back.discard)

    async def _give_back(self, turn: Any, client: Client, seed: int) -> None:
        """Wait until the slot that was cancelled is idle, but not for ever; then give the ticket back."""
        try:
            with suppress(OmniError, TimeoutError):
                async with asyncio.timeout(IDLE_SECONDS):
                    # The slot is another process's: nothing here can wait for it but looking.
                    while _computes(await client.json("/slots"), seed):  # noqa: ASYNC110
                        await asyncio.sleep(LOOK_SECONDS)
        finally:
            await turn.__aexit__(None, None, None)


def _computes(slots: Any, seed: int) -> bool:
    """Whether one of the slots works on the request with this seed."""
    return isinstance(slots, list) and any(
        slot.get("is_processing") and slot.get("params", {}).get("seed") == seed for slot in slots
    )
