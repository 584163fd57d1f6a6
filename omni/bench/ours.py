"""Omni's own part: its engine as any other question reaches it."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing

from omni.bench.rounds import MeasuredAnswer, resident
from omni.core.errors import EngineError
from omni.core.events import TurnEnded
from omni.core.messages import Message
from omni.engine import ChatRequest, Engine, Sampling


class Ours:
    """A brain in a worker of Omni's. `workers` tells the processes that hold it."""

    name = "omni"

    def __init__(self, engine: Engine, *, version: str, workers: Callable[[], Awaitable[Sequence[int]]]) -> None:
        self._engine, self.version, self._workers = engine, version, workers

    async def start(self) -> None:
        """See `Contestant`."""
        await self._engine.capabilities()

    async def ask(self, prompt: str, tokens: int) -> MeasuredAnswer:
        """See `Contestant`."""
        sampling = Sampling(temperature=0.0, seed=0, max_tokens=tokens)
        request = ChatRequest(messages=(Message.of("user", prompt),), sampling=sampling)
        async with aclosing(self._engine.chat(request)) as events:
            async for event in events:
                if isinstance(event, TurnEnded):
                    usage = event.usage
                    read = usage.prompt_tokens - usage.cached_tokens
                    return MeasuredAnswer(
                        prompt_tokens=read,
                        prompt_speed=read / usage.prompt_seconds if usage.prompt_seconds else 0.0,
                        answer_tokens=usage.completion_tokens,
                        answer_speed=usage.speed,
                        first_token=usage.first_token_seconds,
                    )
        raise EngineError("The answer did not end.")

    async def memory(self) -> int:
        """See `Contestant`."""
        return resident(await self._workers())

    async def close(self) -> None:
        """The worker stays as long as any other would."""
