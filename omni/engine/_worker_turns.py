"""One turn of a worker: counted, reserved with the keeper, streamed, and its place given back, cancelled or not."""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from omni.core.errors import OmniError
from omni.core.events import EngineEvent, PromptCounted
from omni.engine._chunks import LlamaChunk
from omni.engine._knowledge import Knowledge
from omni.engine._prefixes import Laid, Prefixes
from omni.engine._prompts import Prompts, encoded
from omni.engine._suspects import SuspectWork
from omni.engine._vocabulary import check_bias
from omni.engine._worker_access import WorkerAccess
from omni.engine._worker_requests import Framed, WorkerRequest, WorkerRequests
from omni.engine.answers import ChunkDecoder
from omni.engine.binding import Binding
from omni.engine.context import completion_limit
from omni.engine.framing import UNFRAMED
from omni.engine.http import WorkerClient
from omni.engine.lengths import check_length
from omni.engine.types import ChatRequest, CompletionRequest
from omni.engine.unframing import Unframer

if TYPE_CHECKING:
    from omni.keeper import WorkerTurn

LOOK_SECONDS = 0.1
HANGS = 4  # times as long: a batch of a large brain may take most of it, and answers nobody meanwhile

_Begun = tuple[AsyncGenerator[LlamaChunk], LlamaChunk | None]


class WorkerTurns:
    """The turns of one engine. After a cancelled one its ticket stays here until the worker's slot is idle, so that the
    next turn does not wait in the server, but not longer than for `patience` seconds."""

    def __init__(
        self,
        access: WorkerAccess,
        requests: WorkerRequests,
        knowledge: Knowledge,
        prompts: Prompts,
        *,
        prefixes: Prefixes | None = None,
        clock: Callable[[], float],
        patience: float,
    ) -> None:
        self._access, self._requests, self._knowledge, self._prompts = access, requests, knowledge, prompts
        self._prefixes = prefixes
        self._clock, self._patience = clock, patience
        self._giving_back: set[asyncio.Task[None]] = set()

    async def given_back(self) -> None:
        """Wait until every cancelled turn has given its place back; after the end of the engine, that is at once."""
        await asyncio.gather(*self._giving_back, return_exceptions=True)

    async def run(
        self, request: ChatRequest | CompletionRequest, binding: Binding | None, density: int | None, work: SuspectWork
    ) -> AsyncGenerator[EngineEvent]:
        """Load, count, wait, answer; what runs there is told to `work`."""
        async with await self._access.lease() as lease:
            async with aclosing(self._access.events(lease.states())) as waiting:
                async for event in waiting:
                    yield event
            work.at(lease.socket)
            client = WorkerClient(lease.socket, lease.key)
            props = await self._knowledge.props(client)
            await check_bias(client, request.sampling.logit_bias)
            await check_length(client, request, allocated=props.context)
            asked = await self._requests.written(client, request, props)
            if binding is not None:
                asked = asked._replace(bind=partial(self._requests.bound, asked, request, binding, density))
            max_completion_tokens = completion_limit(asked.tokens, asked.max_completion_tokens, props.context)
            work.over()
            yield PromptCounted(
                tokens=asked.tokens, max_completion_tokens=max_completion_tokens, allocated=props.context
            )
            turn = await self._access.keeper.turn(
                self._access.spec, priority=request.priority, tokens=asked.tokens + max_completion_tokens
            ).__aenter__()
        async with aclosing(
            self._answer(asked, turn, max_completion_tokens=max_completion_tokens, allocated=props.context, work=work)
        ) as events:
            async for event in events:
                yield event

    async def _answer(
        self, asked: WorkerRequest, turn: "WorkerTurn", *, max_completion_tokens: int, allocated: int, work: SuspectWork
    ) -> AsyncGenerator[EngineEvent]:
        """Wait for the place, ask the worker, and give the place back: at once, or when a cancelled slot is idle."""
        seed = asked.seed if asked.seed is not None else secrets.randbits(31)
        computing: WorkerClient | None = None
        begun: asyncio.Task[_Begun] | None = None
        answer = ChunkDecoder()
        try:
            async with aclosing(self._access.events(turn.waiting())) as waiting:
                async for event in waiting:
                    yield event
            await work.alone()
            work.at(turn.socket)
            computing = WorkerClient(turn.socket, turn.key)
            laid: Laid | None = None
            if self._prefixes is not None:
                async with aclosing(self._prefixes.laid(computing, asked, seed)) as reading:
                    async for told in reading:
                        if isinstance(told, Laid):
                            laid = told
                        else:
                            yield told
            framed = Framed(asked.body, Unframer(UNFRAMED)) if asked.bind is None else await asked.bind(computing)
            body = partial(framed.body, max_completion_tokens=max_completion_tokens, seed=seed)
            first: LlamaChunk | None = None
            if asked.shows:
                begun = await self._prompts.alone(partial(self._begin, computing, asked.path, body))
                stream, first = await asyncio.shield(begun)
            else:
                slot = {"id_slot": laid.slot} if laid else {}
                stream = computing.stream(asked.path, body() | slot, LlamaChunk)
            async with aclosing(stream) as chunks:
                for event in answer.events(first) if first else ():
                    for said in framed.unframer.read(event):
                        yield said
                async for chunk in chunks:
                    for event in answer.events(chunk):
                        for said in framed.unframer.read(event):
                            yield said
            computing = None
            if laid is not None:
                answer.add_read(laid.tokens, laid.seconds)
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

    async def _begin(self, client: WorkerClient, path: str, body: Callable[[], dict[str, Any]]) -> _Begun:
        """The stream of an answer to images, and the first of it, which is told when all of them are decoded."""
        stream = client.stream(path, await asyncio.to_thread(encoded, body), LlamaChunk)
        return stream, await anext(stream, None)

    async def _give_back(
        self,
        turn: "WorkerTurn",
        client: WorkerClient,
        seed: int,
        work: SuspectWork,
        begun: asyncio.Task[_Begun] | None = None,
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
            while not self._access.closed.is_set():
                async with asyncio.timeout(HANGS * self._patience):
                    slots = await client.json("/slots")
                if not _computes(slots, seed) or self._clock() > until:
                    break
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._access.closed.wait(), LOOK_SECONDS)
        except TimeoutError:
            with suppress(OmniError):
                await self._access.keeper.stop(turn.worker)
        except OmniError:
            pass  # it has ended
        finally:
            work.over()
            await turn.__aexit__(None, None, None)


def _computes(slots: Any, seed: int) -> bool:
    """Whether one of the slots works on the request with this seed."""
    return isinstance(slots, list) and any(
        slot.get("is_processing") and slot.get("params", {}).get("seed") == seed for slot in slots
    )
