"""What Omni's own worker makes of a model that only says what is likely next: here one of bytes, which says the alphabet."""

import asyncio
import json
import socket
import sys
import threading
from array import array
from collections.abc import Callable, Sequence
from contextlib import aclosing
from typing import Any

import pytest

from omni.core.errors import ContextOverflow, EngineError, UsageError
from omni.core.paths import Home
from omni.engine.http import WorkerClient
from omni.engine.stepwise.model import NoRoom
from omni.engine.stepwise.server import StepServer
from omni.engine.stepwise.vocabulary import Vocabulary, VocabularyFacts

pytest.importorskip("jinja2")  # it comes with the engines, and with tools for tests

END = 256
KEY = "what only its front ends know"
TEMPLATE = (
    "{% for m in messages %}{{ m.role[0] }}:{{ m.content }};{% endfor %}{% if add_generation_prompt %}a:{% endif %}"
)


class Alphabet:
    """Says the letter after the last one, and ends after z. `steps` are what it was asked to read."""

    name, vocabulary, template, begins, end = "alphabet", END + 1, TEMPLATE, False, END
    endings, marks = frozenset([END]), {"bos_token": "", "eos_token": ""}

    def __init__(self, context: int = 64) -> None:
        self.context = context
        self.steps: list[tuple[int, int, int]] = []
        self.forgot: list[tuple[int, int]] = []

    def tokens(self, text: str, *, special: bool, beginning: bool) -> list[int]:
        return list(text.encode())

    def piece(self, token: int) -> bytes:
        return bytes([token]) if token < END else b""

    def words(self) -> list[bytes]:
        return [*(bytes([byte]) for byte in range(256)), b"\xff<end>"]

    def keep(self, slot: int, count: int) -> bool:
        self.forgot.append((slot, count))
        return True

    def read(self, slot: int, at: int, tokens: Sequence[int]) -> "array[float]":
        self.steps.append((slot, at, len(tokens)))
        logits = array("f", [0.0]) * self.vocabulary
        following = tokens[-1] + 1
        logits[following if ord("a") < following <= ord("z") else END if tokens[-1] == ord("z") else ord("a")] = 9.0
        return logits

    def vector(self, tokens: Sequence[int]) -> list[float]:
        return [1.0, 0.0]


Serve = Callable[..., tuple[WorkerClient, Alphabet]]


@pytest.fixture
def serve(home: Home) -> Any:
    """Serves such a model with settings; ends with the test."""
    servers: list[StepServer] = []

    def begin(context: int = 64, **settings: Any) -> tuple[WorkerClient, Alphabet]:
        model = Alphabet(context)
        path = str(home.ensure_sockets() / f"{len(servers)}.sock")
        servers.append(StepServer(path, KEY, settings, lambda: model, batch=4))
        servers[-1].start()
        return WorkerClient(path, KEY), model

    yield begin
    for server in servers:
        ending = threading.Thread(target=server.shutdown)
        ending.start()
        with socket.socket(socket.AF_UNIX) as line:  # else it looks up half a second later
            line.connect(str(server.server_address))
        ending.join()
        server.server_close()


async def drained(client: WorkerClient, body: dict[str, Any]) -> None:
    async with aclosing(client.stream("/completion", body, dict)) as chunks:
        async for _ in chunks:
            pass


async def said(client: WorkerClient, prompt: str, **more: Any) -> dict[str, Any]:
    return dict(await client.json("/completion", {"prompt": prompt, "temperature": 0, "max_tokens": 5, **more}))


async def test_it_goes_on_with_a_text_and_reads_it_in_small_batches(serve: Serve) -> None:
    client, model = serve()
    assert (await said(client, "abcdefghi"))["content"] == "jklmn"
    assert model.steps[:3] == [(0, 0, 4), (0, 4, 4), (0, 8, 1)]
    assert (await said(client, "abcdefghi"))["timings"]["cache_n"] == 8


async def test_it_ends_by_itself_and_before_a_stop(serve: Serve) -> None:
    client, _ = serve()
    answer = await said(client, "x", max_tokens=9)
    assert (answer["content"], answer["stop_type"]) == ("yz", "eos")
    assert (await said(client, "a", max_tokens=9, stop=["ef"]))["content"] == "bcd"


async def test_a_chat_is_written_by_its_template_and_an_answer_that_was_begun_goes_on(serve: Serve) -> None:
    client, _ = serve()
    messages = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ab"}]
    assert (await client.json("/apply-template", {"messages": messages}))["prompt"] == "u:hi;a:ab"
    body = {"messages": messages, "temperature": 0, "max_tokens": 3}
    assert (await client.json("/v1/chat/completions", body))["choices"][0]["message"]["content"] == "cde"


@pytest.mark.parametrize(
    ("template", "words"),
    [("{{ raise_exception('no system text') }}", "no system text"), ("{{ messages[9].role }}", "has no element 9")],
)
async def test_what_a_template_refuses_is_said_in_its_words(serve: Serve, template: str, words: str) -> None:
    client, _ = serve(chat_template=template)
    with pytest.raises(UsageError, match=words):
        await client.json("/apply-template", {"messages": [{"role": "user", "content": "hi"}]})


async def test_a_template_reaches_nothing_of_the_process_that_executes_it(serve: Serve) -> None:
    client, _ = serve(chat_template="{{ ''.__class__.__mro__[1].__subclasses__() }}")
    with pytest.raises(UsageError, match="unsafe"):
        await client.json("/apply-template", {"messages": []})


@pytest.mark.parametrize(
    ("template", "words"),
    [
        (
            "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
            "takes more than 0.2 seconds",
        ),
        ("{% for a in range(99) %}{{ 'sea' * 999999 }}{% endfor %}", "multiplies to more"),
        ("{{ 9 ** 9 ** 9 ** 9 }}", "raises numbers to powers"),
        ("{{ '%0999999999d' % 1 }}", "formats texts with %"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "recursion|takes more"),
        ("{{ 1|round(999999999, 'floor') }}", "round is told a number"),
        ("{{ 1|round(method='floor', precision=999999999) }}", "round is told a number"),
        ("{{ 'a\nb'|indent(999999999) }}", "indent is told a number"),
        ("{{ '{:0999999999d}'.format(1) }}", "formats texts"),
        ("{{ 'a'.ljust(999999999) }}", "'ljust' of 'str' object is unsafe"),
        ("{{ ('a'|attr('ljust'))(999999999) }}", "'ljust' of 'str' object is unsafe"),
        ("{{ ('a' * 999999)|replace('a', 'a' * 999) }}", "replaces by more"),
        ("{{ ('a' * 999999)|replace(new='a' * 999, old='a') }}", "replaces by more"),
        ("{{ ('a' * 999999).replace('a', 'a' * 999) }}", "replaces by more"),
        ("{{ range(99999)|join('a' * 9999) }}", "joins to more"),
        ("{{ ('a' * 9999).join(range(99999)|map('string')) }}", "joins to more"),
        ("{{ [[1]]|sum(start=[]) }}", "sums up what are no numbers"),
        ("{{ ('a' * 999999).strip('b' * 999999) }}", "trims more than 64"),
        ("{% set n = namespace(x='ab') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}", "writes more"),
        (
            "{% set n = namespace(x='ab') %}{% for i in range(60) %}{% set n.x = n.x + n.x %}{% endfor %}",
            "adds up to more",
        ),
        (
            "{% set n = namespace(x=[1]) %}{% for i in range(60) %}{% set n.x = n.x + n.x %}{% endfor %}",
            "adds up to more",
        ),
        (
            "{% set n = namespace(x='ab') %}{% for i in range(60) %}{% set n.x %}{{ n.x }}{{ n.x }}{% endset %}{% endfor %}",
            "writes more",
        ),
        (
            "{% set b = [range(9999)|list] * 99999 %}{{ range(9999)|select('in', b)|list }}",
            "takes more than 0.2 seconds",
        ),
    ],
)
async def test_a_template_that_would_never_end_is_refused_and_its_worker_answers_on(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, template: str, words: str
) -> None:
    monkeypatch.setattr("omni.engine.stepwise.bounded_template.SECONDS", 0.2)
    client, _ = serve(chat_template=template)
    with pytest.raises(
        UsageError, match=f"{words}|takes more than 0.2 seconds"
    ):  # whichever a busy machine meets first
        await client.json("/apply-template", {"messages": []})
    assert (await said(client, "a"))["content"] == "bcdef"


def test_a_template_that_writes_more_than_any_request_holds_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from omni.engine.stepwise import bounded_template

    monkeypatch.setattr(bounded_template, "LONGEST", 1 << 20)
    template = bounded_template.BoundedEnvironment().from_string(
        "{% for a in range(9999) %}{{ 'sea' * 999 }}{% endfor %}"
    )
    with pytest.raises(bounded_template.TemplateUnbounded, match="writes more than 1 million"):
        bounded_template.rendered(template, {})


async def test_images_are_refused(serve: Serve) -> None:
    client, _ = serve()
    content = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,"}}]
    with pytest.raises(UsageError, match="cannot see"):
        await client.json("/v1/chat/completions", {"messages": [{"role": "user", "content": content}]})


async def test_an_answer_follows_a_schema_or_a_grammar_of_omni(serve: Serve) -> None:
    client, _ = serve()
    schema = {
        "type": "object",
        "properties": {"b": {"enum": ["bcd"]}},
        "required": ["b"],
        "additionalProperties": False,
    }
    assert json.loads((await said(client, "a", max_tokens=30, json_schema=schema))["content"]) == {"b": "bcd"}
    grammar = '%llguidance {}\nstart: "x" /[b-d]{2}/ "!"\n'
    assert (await said(client, "a", max_tokens=30, grammar=grammar))["content"] == "xbc!"


@pytest.mark.parametrize("grammar", ['root ::= "x"', "%llguidance {}\nstart: what"])
async def test_a_grammar_that_cannot_be_read_is_an_error_and_no_free_answer(serve: Serve, grammar: str) -> None:
    client, _ = serve()
    with pytest.raises(UsageError, match="cannot be followed"):
        await said(client, "a", grammar=grammar)


async def test_a_prompt_that_does_not_fit_is_refused_with_figures(serve: Serve) -> None:
    client, _ = serve(context=16)
    with pytest.raises(ContextOverflow) as refused:
        await said(client, "a" * 16)
    assert (refused.value.needed, refused.value.allocated) == (16, 16)
    assert (await said(client, "a" * 12, max_tokens=99))["stop_type"] == "limit"


async def test_what_nobody_waits_for_makes_room_for_another_chat(serve: Serve) -> None:
    client, model = serve(slots=2, cells=24)
    await said(client, "a" * 14)
    await said(client, "b" * 14)
    assert (0, 0) in model.forgot[-3:]
    slots = await client.json("/slots")
    assert sum(slot["n_prompt_tokens"] for slot in slots) <= 24


def test_room_that_one_chat_is_about_to_fill_is_no_other_chats(home: Home) -> None:
    path = str(home.ensure_sockets() / "room.sock")
    server = StepServer(path, KEY, {"slots": 2, "cells": 24}, Alphabet, batch=4)
    try:
        with server.slot([1], 0) as one, server.slot([2], 0) as other:
            server.claim(one, 20)
            with pytest.raises(NoRoom):
                server.claim(other, 5)
            server.claim(other, 4)
            server.claim(one, 12)
            server.claim(other, 12)
        with server.slot([1], 0) as one:  # what they claimed and did not read is free again
            server.claim(one, 24)
    finally:
        server.server_close()


async def test_without_any_room_the_answer_ends_with_an_error(serve: Serve) -> None:
    client, _ = serve(cells=8)
    with pytest.raises(EngineError, match="ran out of room"):
        await said(client, "a" * 14)


@pytest.mark.parametrize("streams", [True, False])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("fault", ["raises", "no number"])
async def test_what_cannot_be_computed_ends_the_answer_and_not_the_line(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, fault: str, temperature: float, streams: bool
) -> None:
    client, model = serve()

    def read(_slot: int, _at: int, _tokens: Sequence[int]) -> "array[float]":
        if fault == "raises":
            raise RuntimeError("llama_decode said -3")
        return array("f", [float("nan")]) * model.vocabulary

    with monkeypatch.context() as broken:
        broken.setattr(model, "read", read)
        body = {"prompt": "a", "temperature": temperature, "stream": streams}
        with pytest.raises(EngineError, match=r"could not compute it: (llama_decode said -3|its likelihoods are no n)"):
            await (drained(client, body) if streams else client.json("/completion", body))
    assert (await said(client, "a"))["content"] == "bcdef"


async def test_who_leaves_ends_the_answer(serve: Serve) -> None:
    client, model = serve(context=1 << 20)
    body = {"prompt": "a", "temperature": 0, "stream": True, "ignore_eos": True, "seed": 4}
    async with aclosing(client.stream("/completion", body, dict)) as chunks:
        async for _ in chunks:
            break
    async with asyncio.timeout(10):
        while (await client.json("/slots"))[0]["is_processing"]:
            pass
    steps = len(model.steps)
    assert (await said(client, "a"))["content"] == "bcdef"
    assert len(model.steps) <= steps + 6


async def test_nobody_is_answered_without_the_key(serve: Serve) -> None:
    client, _ = serve()
    with pytest.raises(EngineError):
        await WorkerClient(client.socket, "another").json("/props")


async def raw(client: WorkerClient, *lines: str) -> bytes:
    """What comes back for a head, of which no body follows."""
    reader, writer = await asyncio.open_unix_connection(client.socket)
    writer.write("\r\n".join([*lines, "", ""]).encode())
    async with asyncio.timeout(10):
        answer = await reader.read()
    writer.close()
    return answer


async def test_of_who_does_not_know_the_key_no_body_is_read(serve: Serve) -> None:
    client, _ = serve()
    assert b" 401 " in await raw(client, "POST /completion HTTP/1.1", "Content-Length: 99999999")


@pytest.mark.parametrize("length", ["999999999999", "-1", "many", ""])
async def test_a_body_that_is_too_long_or_of_no_known_length_is_refused(serve: Serve, length: str) -> None:
    client, _ = serve()
    head = ["POST /completion HTTP/1.1", f"Authorization: Bearer {KEY}", f"Content-Length: {length}"]
    answer = await raw(client, *head)
    assert b" 413 " in answer
    assert b"a body of at most" in answer


async def test_who_falls_silent_in_the_middle_of_a_body_is_left(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("omni.engine.protocol_server.PATIENCE", 0.1)
    client, _ = serve()
    head = ["POST /completion HTTP/1.1", f"Authorization: Bearer {KEY}", "Content-Length: 9"]
    assert await raw(client, *head) == b""
    assert (await said(client, "a"))["content"] == "bcdef"


def test_a_vocabulary_without_its_package_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(ImportError):
        Vocabulary(VocabularyFacts([], [], [], "gpt-2"))
