"""A template that knows how to leave the reasoning out makes another prompt then, and it is counted as it is read."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from omni.core.events import PromptCounted
from tests.engine.engine_tools import asked, end_of, events_of, real_spec

TEMPLATE = (
    "{% for message in messages %}<<{{ message['content'] }}>>{% endfor %}"
    "{% if enable_thinking is defined and not enable_thinking %} no thinking at all, please, none{% endif %}"
)


@pytest.mark.real
async def test_the_prompt_without_reasoning_is_counted_exactly(worker_engine: Any, starter_gguf: Path) -> None:
    async with worker_engine(real_spec(starter_gguf, chat_template=TEMPLATE)) as engine:
        counts = []
        for thinking in (None, False):
            request = msgspec.structs.replace(asked("Hi", max_tokens=2), thinking=thinking)
            events = await events_of(engine, request)
            (counted,) = [event.tokens for event in events if isinstance(event, PromptCounted)]
            assert counted == end_of(events).usage.prompt_tokens
            assert counted == await engine.count_tokens(request.messages, thinking=thinking)
            counts.append(counted)
        assert counts[1] > counts[0]
