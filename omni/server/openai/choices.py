"""Several answers for one request: all are admitted or none, and their events come as they happen."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Protocol, Self

import msgspec

from omni.core.errors import EngineError, OmniError
from omni.core.events import EngineEvent, ReasoningDelta, TurnEnded
from omni.engine import Sampling
from omni.schemas import apart
from omni.server.errors import BadParameter
from omni.server.generation import Generation, GenerationRequest, begin
from omni.server.openai.problems import error_of
from omni.server.openai.types import AnswerDetails, PromptDetails, Used
from omni.server.schemas import unkept
from omni.server.streams import sse

if TYPE_CHECKING:
    from omni.server.app import Server


class Choices:
    """Answers that were admitted together, numbered from 0. Close them, always.

    `prompts` of them have prompts of their own; the others repeat these. When all events were read, `ends` holds how
    each answer ended, and `reasoning` what each brain thought.
    """

    def __init__(self, server: "Server", generations: Sequence[Generation], *, prompts: int = 1) -> None:
        self._server, self._generations = server, tuple(generations)
        self._prompts = prompts
        self.headers: dict[str, str] = {}  # what the answer's head tells besides
        self.ends: list[TurnEnded | None] = [None] * len(self._generations)
        self.reasoning = [""] * len(self._generations)

    @classmethod
    async def begin(cls, server: "Server", lane: str, wishes: Sequence[GenerationRequest], *, prompts: int = 1) -> Self:
        """Admit all of `wishes`. Raises what `generation.begin` raises, and then none has taken a place; BadParameter
        for more than there will ever be places for, so that nobody tries that again."""
        if len(wishes) > (most := server.most()):
            raise BadParameter(
                f"{len(wishes)} answers are asked for at once, and {most} can be had.",
                hint="Send several requests, or allow a longer queue (serve.queue).",
                param="n" if len(wishes) > prompts else "prompt",
            )
        generations: list[Generation] = []
        try:
            for wish in wishes:
                generations.append(await begin(server, lane, wish, again=bool(generations)))
        except BaseException:
            for generation in generations:
                await generation.close()
            raise
        made = cls(server, generations, prompts=prompts)
        if not wishes[0].strict and wishes[0].schema is not None:
            made.headers = await apart(unkept, wishes[0].schema)
        return made

    @property
    def brain(self) -> str:
        """The name of the brain that answers."""
        return self._generations[0].brain.name

    @property
    def sampling(self) -> Sampling:
        """How the tokens of the first answer are chosen; of the others the seed differs."""
        return self._generations[0].sampling

    async def events(self) -> AsyncGenerator[tuple[int, EngineEvent]]:
        """What happens, with the number of the answer that it happens to. Raises EngineError when one of them fails."""
        if len(self._generations) == 1:  # the usual case, without another queue
            (generation,) = self._generations
            async with generation, aclosing(generation.events()) as alone:
                async for event in alone:
                    self._note(0, event)
                    yield 0, event
        else:
            async with aclosing(self._merged()) as merged:
                async for at, event in merged:
                    self._note(at, event)
                    yield at, event
        if None in self.ends:
            raise EngineError("The brain gave no answer.", hint="Ask again.")

    async def _merged(self) -> AsyncGenerator[tuple[int, EngineEvent]]:
        queue: asyncio.Queue[tuple[int, EngineEvent | BaseException | None]] = asyncio.Queue()
        tasks = [
            asyncio.create_task(_read(at, generation, queue), name="together")
            for at, generation in enumerate(self._generations)
        ]
        left = len(tasks)
        try:
            while left:
                at, event = await queue.get()
                if event is None:
                    left -= 1
                elif isinstance(event, BaseException):
                    raise event
                else:
                    yield at, event
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.close()

    async def close(self) -> None:
        """End all of them, wherever they are."""
        for generation in self._generations:
            await generation.close()

    async def used(self) -> Used:
        """What the answers took; a prompt that several answers share counts once."""
        ends = [end.usage for end in self.ends if end is not None]
        each = max(1, len(ends) // self._prompts)
        prompt = sum(usage.prompt_tokens for usage in ends[::each])
        cached = sum(usage.cached_tokens for usage in ends[::each])
        answers = sum(usage.completion_tokens for usage in ends)
        return Used(
            prompt_tokens=prompt,
            completion_tokens=answers,
            total_tokens=prompt + answers,
            prompt_tokens_details=PromptDetails(cached),
            completion_tokens_details=AnswerDetails(min(answers, await self._reasoned())),
        )

    def _note(self, at: int, event: EngineEvent) -> None:
        if isinstance(event, TurnEnded):
            self.ends[at] = event
        elif isinstance(event, ReasoningDelta):
            self.reasoning[at] += event.text

    async def _reasoned(self) -> int:
        """Tokens of the reasoning, by the brain's own tokenizer."""
        texts = [text for text in self.reasoning if text]
        if not texts:
            return 0
        try:
            engine = await self._server.services.open(self._generations[0].brain)
            return sum([len(await engine.tokenize(text)) for text in texts])
        except OmniError:  # the answer is there; a figure about it is not worth an error
            return 0


class ChunkWriter(Protocol):
    """Writes the events of a streamed answer in the form of one endpoint."""

    def begin(self) -> Iterator[msgspec.Struct]:
        """What comes first."""
        ...

    def read(self, at: int, event: EngineEvent) -> Iterator[msgspec.Struct]:
        """What `event` of answer number `at` means."""
        ...

    def used(self, used: Used) -> msgspec.Struct:
        """The last chunk, for those who want it."""
        ...


async def chunks(answers: Choices, writer: ChunkWriter, *, usage: bool) -> AsyncGenerator[bytes]:
    """A stream of server-sent events."""
    encode = msgspec.json.Encoder().encode
    for chunk in writer.begin():
        yield sse(encode(chunk))
    async with aclosing(answers.events()) as events:
        async for at, event in events:
            for chunk in writer.read(at, event):
                yield sse(encode(chunk))
    if usage:
        yield sse(encode(writer.used(await answers.used())))
    yield sse(b"[DONE]")


def failed(error: OmniError) -> bytes:
    """A failure in a stream is one event, the last."""
    return sse(msgspec.json.encode(error_of(error)))


async def _read(
    at: int, generation: Generation, queue: "asyncio.Queue[tuple[int, EngineEvent | BaseException | None]]"
) -> None:
    try:
        async with aclosing(generation.events()) as events:
            async for event in events:
                queue.put_nowait((at, event))
    except Exception as error:  # noqa: BLE001 - it is raised where the events are read
        queue.put_nowait((at, error))
    else:
        queue.put_nowait((at, None))
