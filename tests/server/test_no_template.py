"""A brain without a chat template, and those that cannot be asked at all: what works, and what the others are told."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import ollama
import openai
import pytest

from omni.cartridges import Brain
from omni.engine import Reply, ScriptedEngine
from omni.server.brains import untaught
from tests.server.openai_tools import USER
from tests.server.real_tools import real_server
from tests.server.server_tools import base, brain

CHATS: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": USER},
    "/v1/responses": {"input": "Hi"},
    "/v1/messages": {"messages": USER, "max_tokens": 9},
    "/v1/messages/count_tokens": {"messages": USER},
    "/api/chat": {"messages": USER},
}
KEY = b"tokenizer.chat_template"


def raw(name: str = "@me/base") -> Brain:
    """A base model."""
    return msgspec.structs.replace(brain(name, base=base(chat_template=None)), state="not chat", reason="no template")


@pytest.mark.parametrize("path", CHATS)
async def test_who_wants_to_chat_is_told_what_it_does_instead(serving: Any, path: str) -> None:
    async with serving(ScriptedEngine([Reply(text="Never.")])) as bench:
        bench.services.library.known = [brain("@omni/test"), raw()]
        bench.services.set("serve", aliases={"gpt-4o": "@me/base"})
        for name in ("@me/base", "gpt-4o"):
            response = await bench.client.post(path, json={"model": name, **CHATS[path]})
            assert response.status_code == 400
            assert "@me/base has no chat template" in response.text
            for helps in ("/v1/completions", "/api/generate", "a cartridge that has a `template`"):
                assert helps in response.text
        assert bench.services.engine.requests == []


async def test_a_text_is_gone_on_with(serving: Any) -> None:
    engine = ScriptedEngine([" and on."])
    async with serving(engine) as bench:
        bench.services.library.known = [raw()]
        response = await bench.client.post("/v1/completions", json={"model": "@me/base", "prompt": "On"})
        assert response.json()["choices"][0]["text"] == " and on."
        for more in ({}, {"raw": True}):
            body = {"model": "@me/base", "prompt": "On", "stream": False, **more}
            assert (await bench.client.post("/api/generate", json=body)).json()["response"] == " and on."
            assert [message.text for message in engine.requests[-1].messages] == ["On"]
        for wrong, words in (({"system": "Be."}, "@me/base has none"), ({"think": True}, "does not support thinking")):
            response = await bench.client.post("/api/generate", json={"model": "@me/base", "prompt": "On", **wrong})
            assert (response.status_code, words in response.json()["error"]) == (400, True)
        loaded = await bench.client.post("/api/generate", json={"model": "@me/base", "stream": False})
        assert loaded.json()["done_reason"] == "load"
        shown = (await bench.client.post("/api/show", json={"model": "@me/base"})).json()
        assert (shown["capabilities"], shown["template"]) == (["completion"], "")
        assert (await bench.client.get("/v1/models")).json()["data"] == []
        assert (await bench.client.get("/api/tags")).json()["models"] == []
        assert (await bench.client.get("/v1/models/@me/base")).json()["id"] == "@me/base"
        assert (await bench.client.post("/v1/embeddings", json={"model": "@me/base", "input": "x"})).status_code == 200


def test_who_was_never_taught() -> None:
    assert untaught(raw())
    for other in (brain("@omni/test", base=base()), brain("plug-in")):
        assert not untaught(other)


def odd(kind: str) -> Brain:
    return msgspec.structs.replace(brain("@me/odd", base=base(kind=kind)), state="not chat", reason=f"It is a {kind}.")


@pytest.mark.parametrize(
    "path", ["/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/api/embed", "/tokenize"]
)
@pytest.mark.parametrize("kind", ["adapter", "mmproj", "other"])
async def test_what_is_no_language_model_is_asked_nothing(serving: Any, path: str, kind: str) -> None:
    body = {"model": "@me/odd", "messages": USER, "prompt": "x", "input": "x", "content": "x"}
    async with serving() as bench:
        bench.services.library.known = [odd(kind)]
        response = await bench.client.post(path, json=body)
        assert (response.status_code, f"It is a {kind}. `omni show @me/odd`" in response.text) == (404, True)


@pytest.mark.parametrize(
    ("state", "reason", "command", "status", "words"),
    [
        ("available", "", "", 404, "is not installed. Run `omni pull @me/odd`."),
        ("gone", "the file /x.gguf is not there any more", "", 404, "cannot be asked: the file /x.gguf is not there"),
        ("corrupt", "its file has 3 bytes instead of 9", "omni pull", 500, "9. omni pull"),
        ("unloadable", "This engine cannot load x.gguf: its chat template cannot be used: no.", "", 500, "used: no. `omni show"),
        ("unreadable", "/x.gguf may not be read", "sudo chmod …", 500, "may not be read. sudo chmod …"),
    ],
)  # fmt: skip
async def test_what_cannot_be_asked_is_not_the_fault_of_who_asks(
    serving: Any, state: Any, reason: str, command: str, status: int, words: str
) -> None:
    odd = msgspec.structs.replace(brain("@me/odd", base=base()), state=state, reason=reason, command=command)
    async with serving() as bench:
        bench.services.library.known = [odd]
        for path in (*CHATS, "/v1/completions"):
            body = {"model": "@me/odd", **CHATS.get(path, {"prompt": "x"})}
            response = await bench.client.post(path, json=body)
            assert (response.status_code, words in response.text) == (status, True), response.text
            assert (response.headers.get("x-should-retry") == "false") == (status == 500)


def without_template(whole: Path, file: Path) -> Path:
    """The same model in a file whose header has no template."""
    data = whole.read_bytes()
    assert data.count(KEY) == 1
    file.write_bytes(data.replace(KEY, b"tokenizer.nochat_templat"[: len(KEY)]))
    return file


@pytest.mark.real
async def test_a_real_one_goes_on_with_texts(tmp_path: Path, starter_gguf: Path) -> None:
    """llama.cpp would chat with it in a template of another family's."""
    file = await asyncio.to_thread(without_template, starter_gguf, tmp_path / "plain.gguf")
    async with (
        real_server(tmp_path / "home", starter_gguf) as real,
        openai.AsyncOpenAI(base_url=f"{real.url}/v1", api_key="none", max_retries=0) as client,
        ollama.AsyncClient(real.url) as other,
    ):
        added = await real.server.services.library.add(file)
        assert untaught(added)
        told = await client.completions.create(model=added.name, prompt="One, two, three,", max_tokens=3, temperature=0)
        assert "four" in told.choices[0].text
        messages: list[Any] = list(USER)
        with pytest.raises(openai.BadRequestError, match="no chat template") as refused:
            await client.chat.completions.create(model=added.name, messages=messages)
        assert refused.value.param == "model"
        options = {"num_predict": 3, "temperature": 0.0}
        assert "four" in (await other.generate(added.name, "One, two, three,", options=options)).response
        with pytest.raises(ollama.ResponseError, match="no chat template"):
            await other.chat(added.name, USER)
