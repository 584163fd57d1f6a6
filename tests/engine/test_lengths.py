"""Texts that no context can hold are refused before all of them is counted."""

from typing import Any

import pytest

from omni.core.errors import ContextOverflow, UsageError
from omni.core.messages import Message, ToolCallPart
from omni.engine import CompletionRequest
from omni.engine.http import WorkerClient
from omni.engine.lengths import LONGEST, MOST, PIECE, check_length, far_too_long
from omni.engine.types import ChatRequest
from tests.engine.conftest import Make
from tests.engine.engine_tools import asked, events_of, scripted_spec, text_of


class Counting(WorkerClient):
    """Counts a token for each letter that is asked for."""

    def __init__(self) -> None:
        super().__init__("", "")
        self.asked: list[int] = []

    async def json(self, path: str, body: Any = None) -> Any:
        assert path == "/tokenize"
        self.asked.append(len(body["content"]))
        return {"tokens": list(range(len(body["content"])))}


async def test_only_what_is_needed_to_be_certain_is_counted() -> None:
    client = Counting()
    with pytest.raises(ContextOverflow, match=f"more than {PIECE:,} tokens; 4,096 are allocated") as refused:
        await check_length(client, asked("x" * 10_000_000), allocated=4096)
    assert client.asked == [PIECE]
    assert (refused.value.needed, refused.value.allocated) == (PIECE, 4096)


async def test_where_the_number_is_wanted_the_rest_is_taken_to_be_like_the_beginning() -> None:
    client = Counting()
    assert await far_too_long(client, asked("x" * (MOST + 1)), allocated=4096) == MOST + 1
    assert await far_too_long(client, asked("x" * (3 * MOST)), allocated=4096) == 3 * MOST
    assert sum(client.asked) <= 2 * MOST + PIECE


async def test_usual_texts_are_not_looked_at() -> None:
    client = Counting()
    await check_length(client, asked("x" * 16 * 4096), allocated=4096)
    assert client.asked == []


async def test_all_texts_of_a_request_count() -> None:
    call = Message.of("assistant", ToolCallPart(id="1", name="write", arguments="y" * 90_000))
    request = ChatRequest(messages=(Message.of("user", "x" * 10), call, Message.of("user", "z")))
    client = Counting()
    with pytest.raises(ContextOverflow):
        await check_length(client, request, allocated=512)
    client = Counting()
    with pytest.raises(ContextOverflow):
        await check_length(client, CompletionRequest(prompt="", suffix="y" * 90_000), allocated=512)


async def test_a_long_text_is_a_refusal_and_a_text_of_long_words_is_not(worker_engine: Make) -> None:
    async with worker_engine(scripted_spec(context=512)) as engine:
        with pytest.raises(ContextOverflow, match="are allocated"):
            await events_of(engine, asked("word " * 20_000))
        assert text_of(await events_of(engine, asked("x" * 100_000, max_tokens=1))) == "You"


async def test_what_is_only_counted_is_counted_in_pieces_however_long(worker_engine: Make) -> None:
    async with worker_engine(scripted_spec(context=512)) as engine:
        assert await engine.count_tokens(asked("word " * 20_000).messages) == 20_000 + 2
        assert len(await engine.tokenize("word " * 20_000)) == 20_001
        with pytest.raises(UsageError, match=r"1,048,577 characters is too long.*1,048,576 may come"):
            await engine.tokenize("x" * (LONGEST + 1))
