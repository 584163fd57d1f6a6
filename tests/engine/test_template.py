"""A chat template that is asked what it takes: when, how often, and what follows when it refuses whatever it is given."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from omni.core.errors import EngineError, UsageError
from omni.core.messages import Message, ToolCallPart
from omni.engine import ChatRequest, Tool
from omni.engine import template as templates
from omni.engine.http import WorkerGone
from omni.engine.scripted import TRAITS
from omni.engine.template import ChatTemplate
from tests.engine.engine_tools import DirectKeeper, scripted_spec
from tests.matrix_tools import Matrix

Write = Callable[[list[dict[str, Any]], bool], str]
LOOK = Tool(name="look")


class FakeClient:
    """A worker whose template is `write`; it counts the prompts that it was asked for."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self.prompts = 0

    async def json(self, path: str, body: Any) -> Any:
        assert path == "/apply-template"
        self.prompts += 1
        await asyncio.sleep(0)
        return {"prompt": self._write(body["messages"], "tools" in body)}


def plain(messages: list[dict[str, Any]], _tools: bool = False) -> str:
    """All in its place, but calls."""
    return " ".join(f"<{message['role']}> {message['content']}" for message in messages)


def refusing(words: str, *, when: Callable[[list[dict[str, Any]], bool], bool]) -> Write:
    """The same, but for what raises."""

    def write(messages: list[dict[str, Any]], tools: bool) -> str:
        if when(messages, tools):
            raise EngineError(f"The brain's process refused: \nWhile executing\nError: Jinja Exception: {words}.")
        return plain(messages)

    return write


def made(write: Write, *, tools: bool = True) -> tuple[ChatTemplate, FakeClient]:
    client = FakeClient(write)
    return ChatTemplate(client, name="@omni/test", tools=tools), client  # type: ignore[arg-type] # its double


def asked(*messages: Message, **more: Any) -> ChatRequest:
    return ChatRequest(messages=messages, **more)


def said(role: Any, content: str, *calls: str) -> Message:
    return Message.of(role, content, *(ToolCallPart(id=ident, name="look") for ident in calls))


async def written(template: ChatTemplate, client: FakeClient, request: ChatRequest) -> ChatRequest:
    """As the worker is asked; counting is writing."""

    async def count(asked: ChatRequest) -> int:
        messages = [{"role": message.role, "content": message.text} for message in asked.messages]
        return len(client._write(messages, bool(asked.tools)))

    return (await template.written(request, count))[0]


USUAL = (said("user", "1"), said("assistant", "2"), said("user", "3"))
UNUSUAL = (said("user", "1"), said("user", "2"), said("system", "3"))


async def test_a_template_is_asked_only_when_a_history_needs_to_know_and_once() -> None:
    template, client = made(plain)
    for request in (asked(*USUAL), asked(USUAL[0], tools=(LOOK,))):
        assert await written(template, client, request) == request
    assert client.prompts == 0
    for _ in range(2):
        await written(template, client, asked(said("system", "0"), *USUAL))
        assert client.prompts == 1  # whether the system text stays
    await asyncio.gather(*(written(template, client, asked(*UNUSUAL)) for _ in range(3)))
    known = client.prompts
    assert 1 < known < 12
    assert (await written(template, client, asked(*UNUSUAL))).messages == UNUSUAL
    assert client.prompts == known
    await written(template, client, asked(*UNUSUAL, tools=(LOOK,)))  # with tools a template may take something else
    assert client.prompts > known


async def test_a_template_that_takes_little_is_asked_a_few_times_more() -> None:
    strict = refusing(
        "Alternate", when=lambda messages, _: [m["role"] for m in messages] != ["user", "assistant"][: len(messages)]
    )
    for write in (plain, strict):
        template, client = made(write)
        try:
            await written(template, client, asked(said("assistant", "a"), said("assistant", "", "1"), tools=(LOOK,)))
        except UsageError:
            pass
        assert client.prompts <= 22


async def test_what_no_probe_foresaw_gets_the_plainest_form() -> None:
    def odd(messages: list[dict[str, Any]], _tools: bool) -> bool:
        return any(message["content"] == "odd" and message["role"] == "system" for message in messages[1:])

    template, client = made(refusing("Not this one", when=odd))
    assert (await written(template, client, asked(*UNUSUAL))).messages == UNUSUAL
    request = await written(template, client, asked(said("user", "1"), said("user", "2"), said("system", "odd")))
    assert [(message.role, message.text) for message in request.messages] == [
        ("user", "1\n\n2\n\n<system>\nodd\n</system>")
    ]


async def test_a_template_that_refuses_empty_turns_gets_none() -> None:
    template, client = made(
        refusing("Empty", when=lambda messages, _tools: not all(one["content"] for one in messages))
    )
    request = await written(template, client, asked(said("user", "1"), said("assistant", ""), said("user", "2")))
    assert [(message.role, message.text) for message in request.messages] == [("user", "1\n\n2")]


async def test_tools_that_a_template_cannot_write_are_told_in_words() -> None:
    template, client = made(
        refusing("This tool is wrong", when=lambda messages, tools: tools and messages[0]["content"] == "1")
    )
    request = await written(template, client, asked(*USUAL, tools=(LOOK,)))
    assert request.tools == ()
    assert "You can call these tools" in request.messages[0].text
    assert request.messages[1:] == USUAL


async def test_a_template_that_refuses_even_that_is_quoted() -> None:
    template, client = made(refusing("Only on Sundays", when=lambda _messages, _tools: True))
    with pytest.raises(UsageError, match=r"@omni/test cannot write this conversation\. It says: Only on Sundays\."):
        await written(template, client, asked(*UNUSUAL))


async def test_another_failure_is_not_the_templates() -> None:
    template, _ = made(plain)

    async def count(_: ChatRequest) -> int:
        raise UsageError("The schema cannot be followed.")

    with pytest.raises(UsageError, match="schema"):
        await template.written(asked(*UNUSUAL), count)


async def test_the_end_of_the_worker_is_not_a_refusal() -> None:
    def write(_messages: list[dict[str, Any]], _tools: bool) -> str:
        raise WorkerGone("The brain's process is not there.")

    template, client = made(write)
    with pytest.raises(WorkerGone):
        await written(template, client, asked(*UNUSUAL))


async def test_a_template_that_takes_for_ever_is_taken_for_one_that_takes_little_this_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(templates, "PATIENCE", 0.05)
    template, client = made(plain)
    at_once = client.json

    async def never(_path: str, _body: Any) -> Any:
        await asyncio.Event().wait()

    monkeypatch.setattr(client, "json", never)
    request = await written(template, client, asked(*UNUSUAL))
    assert [(message.role, message.text) for message in request.messages] == [
        ("user", "1\n\n2\n\n<system>\n3\n</system>")
    ]
    monkeypatch.setattr(client, "json", at_once)
    assert (await written(template, client, asked(*UNUSUAL))).messages == UNUSUAL


async def test_the_scripted_worker_takes_what_the_scripted_engine_takes(keeper: DirectKeeper) -> None:
    worker = keeper.process(scripted_spec())
    await worker.ready()
    assert await Matrix(worker.socket, worker.key).traits() == TRAITS
