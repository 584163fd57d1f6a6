"""What is measured of the turns of an engine."""

from omni.core.events import TurnEnded, Usage
from omni.engine import ChatRequest, Message, ObservedEngine, ScriptedEngine, image_of
from tests.engine.engine_tools import asked, events_of
from tests.image_tools import png


class _Timed(ScriptedEngine):
    """Takes a second to read any prompt."""

    async def chat(self, request: ChatRequest):  # type: ignore[no-untyped-def]
        async for event in super().chat(request):
            yield (
                TurnEnded(reason="stop", usage=USAGE, context_used=1, context_allocated=1)
                if isinstance(event, TurnEnded)
                else event
            )


USAGE = Usage(prompt_tokens=10, answer_tokens=20, prompt_seconds=1.0, answer_seconds=2.0)


async def test_how_long_looking_takes_says_nothing_of_reading() -> None:
    measured: list[Usage] = []

    async def note(usage: Usage) -> None:
        measured.append(usage)

    async def refuse(_reason: str) -> None:
        raise AssertionError

    engine = ObservedEngine(_Timed(sees=True), measured=note, refused=refuse)
    await events_of(engine, asked("Hi"))
    shown = Message(role="user", content="What?", images=(image_of(png()),))
    events = await events_of(engine, ChatRequest(messages=(shown,)))
    assert [usage.prompt_seconds for usage in measured] == [1.0, 0.0]
    assert measured[1].answer_tokens == 20
    assert isinstance(last := events[-1], TurnEnded)
    assert last.usage == USAGE  # who asked is told what it took
