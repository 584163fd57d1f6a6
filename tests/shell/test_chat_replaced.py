"""A brain that nobody chose and that cannot be loaded: who answers instead is told where the eye is."""

import asyncio
from pathlib import Path
from typing import Any

from omni.core.events import BrainReplaced
from omni.engine.scripted import Reply
from tests.shell.chat_tools import stage


async def test_who_answers_instead_is_told_below_the_answer_and_stays_a_while(tmp_path: Path) -> None:
    gate = asyncio.Event()
    replaced: Any = BrainReplaced(brain="@t/small", failed="@t/large", reason="It has no layers.")
    async with stage(tmp_path, Reply(text="Hello there", before=(replaced,), gates={1: gate}), size=(120, 40)) as on:
        await on.say("Hi")
        said = "@t/large cannot be loaded, so that @t/small answers: It has no layers."
        await on.until(lambda: said in on.screen)
        assert "@t/small" in on.screen.partition("Hello")[0]
        gate.set()
        await on.quiet()
        assert said in on.notes
        assert "Hello there" in on.screen
