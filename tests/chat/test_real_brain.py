"""The whole of chat with the real starter brain in a real worker of a real keeper."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from omni.cartridges import Brain
from omni.chat import ChatService, ChatStore
from omni.core.events import ContextCompacted, TextDelta, TurnEnded
from omni.core.paths import Home
from omni.core.settings import ChatSettings, EngineSettings, Settings
from omni.engine import WorkerEngine
from omni.keeper import KeeperClient, WorkerSpec, start

pytestmark = pytest.mark.real

CONTEXT = 512
BRAIN = Brain(
    name="@omni/smollm2", state="installed", prompt="Be brief.", sampling={"temperature": 0.0}, context_max=CONTEXT
)


class Repository:
    async def get(self, name: str) -> Brain:
        return BRAIN

    async def best(self, **_: Any) -> Brain:
        return BRAIN


@pytest.fixture
async def chat(home: Home, starter_gguf: Path) -> AsyncIterator[ChatService]:
    starter = start(home, full_screen=False)
    keeper = await KeeperClient.connect(home, starter, client="tests")
    settings: dict[str, int | str] = {"slots": 2, "context": CONTEXT, "cells": CONTEXT, "threads": 2}
    spec = WorkerSpec(engine="xllamacpp", base="starter", path=str(starter_gguf), need_bytes=1 << 29, settings=settings)
    engine = WorkerEngine(spec, keeper, name=BRAIN.name, context_max=CONTEXT)

    class Engines:
        async def open(self, brain: Brain) -> Any:
            return engine

    service = ChatService(
        ChatStore(home.chat),
        Engines(),
        Repository(),
        keeper=keeper,
        settings=Settings(chat=ChatSettings(max_completion_tokens=48), engine=EngineSettings(context=CONTEXT)),
    )
    yield service
    await service.close()
    await engine.close()
    await keeper.shutdown()
    await keeper.close()
    starter.goodbye()
    await asyncio.to_thread(os.waitpid, starter.pid, 0)


async def test_a_conversation_with_the_starter_brain(chat: ChatService, collect: Any, text_of: Any) -> None:
    made = await chat.create()
    events = await collect(chat.ask(made.id, "What is the capital of France?"))
    assert "Paris" in text_of(events)
    ended = events[-1]
    assert isinstance(ended, TurnEnded)
    assert ended.context_allocated == CONTEXT
    assert ended.usage.prompt_tokens + ended.usage.completion_tokens == ended.context_used

    # What was read is not read again.
    ended = (await collect(chat.ask(made.id, "And of Italy?")))[-1]
    assert ended.usage.cached_tokens > ended.usage.prompt_tokens // 2

    # Stopped, it goes on where it was.
    async with aclosing(chat.ask(made.id, "Count from one to twenty in words.")) as stream:
        async for event in stream:
            if isinstance(event, TextDelta):
                break
    stopped = (await chat.messages(made.id))[-1]
    assert stopped.state == "cancelled"
    assert stopped.text
    more = text_of(await collect(chat.resume(made.id, stopped.id)))
    whole = (await chat.messages(made.id))[-1]
    assert whole.text == stopped.text + more
    assert whole.state == "complete"

    # Too long for 512 tokens, it leaves out its oldest turns.
    compacted: list[ContextCompacted] = []
    for number in range(12):
        # The questions alone are more than 512 tokens, however short the answers turn out.
        question = f"Tell me something about the number {number}." + " Think of what was said before." * 8
        events = await collect(chat.ask(made.id, question))
        compacted += [event for event in events if isinstance(event, ContextCompacted)]
        assert events[-1].context_used <= CONTEXT
    assert compacted
    assert all(event.kept_tokens <= CONTEXT // 2 for event in compacted)
    assert compacted[0].reading_seconds is None or compacted[0].reading_seconds > 0
    assert len(await chat.messages(made.id)) == 30

    # And sums itself up.
    await collect(chat.compact(made.id))
    assert (await chat.messages(made.id))[-1].role == "summary"
    assert (await collect(chat.ask(made.id, "Hello again.")))[-1].reason in ("stop", "length")
