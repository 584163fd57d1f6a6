"""Images in requests: in the words of every protocol, through its official client; and what is none, or cannot be seen."""

import base64
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anthropic
import msgspec
import ollama
import openai
import pytest
import pytest_asyncio

from omni.cartridges import Projector
from omni.engine import ChatRequest, ScriptedEngine
from tests.image_tools import GIF, IMAGE_TOKENS, JPEG, WEBP, bmp, claimed, png, shown, write_projector
from tests.server.real_tools import Real, real_server
from tests.server.server_tools import base, brain

MODEL = "@omni/test"


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def address(data: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{b64(data)}"


def part(url: str) -> Any:
    return {"type": "image_url", "image_url": {"url": url}}


def text(said: str) -> Any:
    return {"type": "text", "text": said}


def block(data: bytes, kind: str = "image/png") -> Any:
    return {"type": "image", "source": {"type": "base64", "media_type": kind, "data": b64(data)}}


@asynccontextmanager
async def seeing(make: Any, engine: ScriptedEngine) -> AsyncIterator[Any]:
    """A bench whose brain sees."""
    eyes = Projector(path="/models/mmproj.gguf", size=1000, kind="mlp")
    async with make(engine) as bench:
        bench.services.library.known = [brain(MODEL, base=msgspec.structs.replace(base(), projector=eyes))]
        yield bench


def looks() -> ScriptedEngine:
    return ScriptedEngine(["A cat."], vision=True)


def asked(engine: ScriptedEngine, at: int = -1) -> list[Any]:
    """A message of the last request: its texts, and of each image kind and width."""
    request: ChatRequest = engine.requests[-1]
    return shown(request.messages[at])


async def test_openai_chat(live: Any) -> None:
    content: Any = [
        text("What is"),
        part(address(png(7))),
        text("this,"),
        {"type": "image_url", "image_url": address(GIF, "image/gif")},
    ]
    async with (
        seeing(live, engine := looks()) as bench,
        openai.AsyncOpenAI(base_url=f"{bench.url}/v1", api_key="none", max_retries=0) as client,
    ):
        completion = await client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": content}])
        assert completion.choices[0].message.content == "A cat."
        assert asked(engine) == ["What is", ("png", 7), "\nthis,", ("gif", 1)]
        assert completion.usage
        assert completion.usage.prompt_tokens == 1 + 3 + 2 * IMAGE_TOKENS
        result: Any = [
            {"role": "user", "content": "Look."},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "1", "type": "function", "function": {"name": "look", "arguments": "{}"}}],
            },
            {"role": "tool", "tool_call_id": "1", "content": [text("There:"), part(address(JPEG, "image/jpg"))]},
        ]
        await client.chat.completions.create(model=MODEL, messages=result)
        assert [image.kind for message in engine.requests[-1].messages for image in message.images] == ["jpeg"]


async def test_openai_responses_keep_what_was_seen(live: Any, home: Any) -> None:
    content: Any = [
        {"type": "input_text", "text": "What is this?"},
        {"type": "input_image", "image_url": address(png(7)), "detail": "auto"},
    ]
    async with (
        seeing(live, engine := looks()) as bench,
        openai.AsyncOpenAI(base_url=f"{bench.url}/v1", api_key="none", max_retries=0) as client,
    ):
        first = await client.responses.create(model=MODEL, input=[{"role": "user", "content": content}])
        assert first.output_text == "A cat."
        await client.responses.create(model=MODEL, input="Sure?", previous_response_id=first.id)
        assert asked(engine, 0) == ["What is this?", ("png", 7)]
        assert asked(engine) == ["Sure?"]
        await client.responses.create(
            model=MODEL, input=[{"role": "user", "content": "Both:"}, {"role": "user", "content": content}]
        )
        assert [asked(engine, at) for at in (-2, -1)] == [["Both:"], ["What is this?", ("png", 7)]]
        with pytest.raises(openai.BadRequestError, match="No files"):
            await client.responses.create(
                model=MODEL,
                input=[{"role": "user", "content": [{"type": "input_image", "file_id": "f", "detail": "auto"}]}],
            )
    with sqlite3.connect(home.responses) as rows:
        [(kept,)] = rows.execute("SELECT input FROM responses WHERE previous IS NOT NULL")
    assert b64(png(7)).encode() not in kept  # only what was new


async def test_anthropic(live: Any) -> None:
    result: Any = [
        {"role": "user", "content": [block(png(7)), text("Look.")]},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "look", "input": {}}]},
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "t1",
                    "is_error": True,
                    "content": [text("Here:"), block(bmp(3), "image/bmp")],
                },
                text("Well?"),
            ],
        },
    ]
    async with (
        seeing(live, engine := looks()) as bench,
        anthropic.AsyncAnthropic(base_url=bench.url, api_key="any", max_retries=0) as client,
    ):
        message = await client.messages.create(model=MODEL, max_tokens=10, messages=result)
        assert message.content[0].type == "text"
        assert asked(engine, 0) == [("png", 7), "Look."]
        assert asked(engine, 2) == ["Error: Here:", ("bmp", 3)]
        one: Any = [{"role": "user", "content": [text("Look."), block(png())]}]
        without: Any = [{"role": "user", "content": "Look."}]
        counted = await client.messages.count_tokens(model=MODEL, messages=one)
        plain = await client.messages.count_tokens(model=MODEL, messages=without)
        assert counted.input_tokens - plain.input_tokens == IMAGE_TOKENS


async def test_ollama(live: Any) -> None:
    async with seeing(live, engine := looks()) as bench, ollama.AsyncClient(bench.url) as client:
        said: Any = {"role": "user", "content": "What is this?", "images": [png(7), b64(JPEG)]}
        response = await client.chat(model=MODEL, messages=[said])
        assert response.message.content == "A cat."
        assert asked(engine) == [("png", 7), ("jpeg", 1), "What is this?"]
        assert (await client.generate(model=MODEL, prompt="And this?", images=[bmp(5)])).response == "A cat."
        assert asked(engine) == [("bmp", 5), "And this?"]
        assert "vision" in ((await client.show(MODEL)).capabilities or ())
        with pytest.raises(ollama.ResponseError, match="may stand in what a user says"):
            await client.generate(model=MODEL, prompt="x", raw=True, images=[png()])


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://example.org/cat.png", "fetched from no address"),
        ("file:///etc/passwd", "fetched from no address"),
        ("data:image/png,abc", "must be a `data:` address"),
        ("", "must be a `data:` address"),
        ("data:" + "A" * 1_000_000, "must be a `data:` address"),  # at once: half a day with a pattern that goes back
        ("data:image/png;" + "A" * 1_000 + ";base64,", "must be a `data:` address"),
        ("data:image/png;base64,@@@", "not in base64"),
        (address(b"no image at all"), "no image that is known"),
        (address(WEBP, "image/webp"), "WebP"),
        (address(png(), "image/jpeg"), "those of PNG"),
        (address(png(), "text/plain"), "those of PNG"),
        (address(claimed(20_000, 20_000)), "20,000 × 20,000"),
        (address(png()[:20]), "cut off"),
    ],
)
async def test_what_is_no_image_is_refused_with_its_place(serving: Any, url: str, words: str) -> None:
    async with seeing(serving, looks()) as bench:
        chat = {"model": MODEL, "messages": [{"role": "user", "content": [text("See"), part(url)]}]}
        response = await bench.client.post("/v1/chat/completions", json=chat)
        assert response.status_code == 400
        error = response.json()["error"]
        assert words in error["message"]
        assert error["param"] == "messages[0].content[1]"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"messages": [{"role": "system", "content": [part(address(png()))]}]}),
        ("/v1/messages", {"max_tokens": 9, "system": [block(png())], "messages": [{"role": "user", "content": "Hi"}]}),
        ("/api/chat", {"messages": [{"role": "system", "content": "Hi", "images": [b64(png())]}]}),
    ],
)
async def test_images_stand_where_brains_look_for_them(serving: Any, path: str, body: dict[str, Any]) -> None:
    async with seeing(serving, looks()) as bench:
        response = await bench.client.post(path, json={"model": MODEL, **body})
        assert response.status_code == 400
        assert "in what a user says and in what a tool returns only" in response.text


async def test_a_brain_that_has_no_use_for_its_projector_says_why(serving: Any) -> None:
    async with serving(ScriptedEngine()) as bench:
        why = "mmproj.gguf was made for another model"
        bench.services.library.known = [brain(MODEL, base=msgspec.structs.replace(base(), blind=why))]
        body = {"model": MODEL, "messages": [{"role": "user", "content": [part(address(png()))]}]}
        response = await bench.client.post("/v1/chat/completions", json=body)
        assert response.status_code == 400
        assert "cannot see" in response.json()["error"]["message"]
        assert why in response.json()["error"]["message"]
        assert "vision" not in (await bench.client.post("/api/show", json={"model": MODEL})).json()["capabilities"]


ASKED: list[tuple[str, dict[str, Any]]] = [
    ("/v1/chat/completions", {"messages": [{"role": "user", "content": [part(address(png(7)))]}], "n": 2}),
    ("/v1/chat/completions", {"messages": [{"role": "user", "content": [part(address(png(7)))]}], "stream": True}),
    (
        "/v1/responses",
        {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": address(png(7))}]}]},
    ),
    ("/v1/messages", {"max_tokens": 9, "messages": [{"role": "user", "content": [block(png(7))]}]}),
    ("/v1/messages/count_tokens", {"messages": [{"role": "user", "content": [block(png(7))]}]}),
    ("/api/chat", {"messages": [{"role": "user", "content": "Hi", "images": [b64(png(7))]}]}),
    ("/api/generate", {"prompt": "Hi", "images": [b64(png(7))]}),
]


@pytest.mark.parametrize(("path", "body"), ASKED)
async def test_images_that_wait_are_bounded_and_let_go(serving: Any, path: str, body: dict[str, Any]) -> None:
    body = {"model": MODEL, **body}
    async with seeing(serving, engine := looks()) as bench:
        images = bench.server.images
        images.most = len(png(7))
        assert (await bench.client.post(path, json=body)).status_code == 200
        assert images.held == 0
        with images.take(1):
            refused = await bench.client.post(path, json=body)
            assert (refused.status_code, refused.headers["retry-after"]) == (429, "10")
            assert "MiB of images" in refused.text
            text = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}]}
            assert (await bench.client.post("/v1/chat/completions", json=text)).status_code == 200
            assert images.held == 1
        assert images.held == 0
        engine.closed = True  # fails
        assert (await bench.client.post(path, json=body)).status_code in (200, 500)
        assert images.held == 0


async def test_the_detail_that_is_asked_for_changes_nothing(serving: Any) -> None:
    async with seeing(serving, looks()) as bench:
        counts = set()
        for detail in ({}, {"detail": "low"}, {"detail": "high"}, {"detail": "original"}):
            image = {"type": "image_url", "image_url": {"url": address(png(7)), **detail}}
            body = {"model": MODEL, "messages": [{"role": "user", "content": [image]}]}
            response = await bench.client.post("/v1/chat/completions", json=body)
            assert response.status_code == 200, detail
            counts.add(response.json()["usage"]["prompt_tokens"])
        assert len(counts) == 1


async def test_base64_may_be_written_in_lines(serving: Any) -> None:
    lines = "\r\n".join(b64(png(7))[at : at + 10] for at in range(0, 200, 10))
    async with seeing(serving, engine := looks()) as bench:
        body: Any = {"model": MODEL, "messages": [{"role": "user", "content": "Hi", "images": [f" {lines}\t"]}]}
        assert (await bench.client.post("/api/chat", json=body)).status_code == 200
        assert asked(engine)[0] == ("png", 7)
        body["messages"][0]["images"] = ["iVBO\u00e4"]
        assert "not in base64" in (await bench.client.post("/api/chat", json=body)).text


@pytest_asyncio.fixture
async def real(starter_gguf: Path, tmp_path: Path) -> AsyncIterator[Real]:
    """The starter brain with eyes that understand nothing."""
    (tmp_path / "m").mkdir()
    (tmp_path / "m/starter.gguf").symlink_to(starter_gguf)
    write_projector(tmp_path / "m/mmproj-starter.gguf")
    async with real_server(tmp_path / "home", tmp_path / "m/starter.gguf") as bench:
        yield bench


@pytest.mark.real
async def test_the_real_engine_is_shown_images_by_every_client(real: Real) -> None:
    model = real.brain
    async with openai.AsyncOpenAI(base_url=f"{real.url}/v1", api_key="none", max_retries=0) as client:
        message: Any = [{"role": "user", "content": [text("What is this?"), part(address(png(64, 48)))]}]
        whole = await client.chat.completions.create(model=model, messages=message, max_tokens=4, temperature=0)
        assert whole.choices[0].message.content
        assert whole.usage
        assert whole.usage.prompt_tokens > IMAGE_TOKENS
        again = await client.chat.completions.create(model=model, messages=message, max_tokens=4, temperature=0)
        assert again.usage
        assert again.usage.prompt_tokens_details
        assert again.usage.prompt_tokens_details.cached_tokens == whole.usage.prompt_tokens - 1
        item: Any = {
            "role": "user",
            "content": [{"type": "input_image", "image_url": address(png()), "detail": "auto"}],
        }
        first = await client.responses.create(model=model, input=[item], max_output_tokens=4)
        second = await client.responses.create(
            model=model, input="And?", max_output_tokens=4, previous_response_id=first.id
        )
        assert second.usage
        assert first.usage
        assert second.usage.input_tokens > first.usage.input_tokens > IMAGE_TOKENS
        broken: Any = [{"role": "user", "content": [part(address(png(64, 48)[:60]))]}]
        with pytest.raises(openai.BadRequestError, match="whole"):
            await client.chat.completions.create(model=model, messages=broken)
        gone_on = await client.completions.create(
            model=model, prompt=["One, two, three,", "A, b,"], max_tokens=3, temperature=0, logprobs=1, n=2
        )
        assert [choice.text for choice in gone_on.choices[:2]] == [" four, five"] * 2
        many: Any = [{"role": "user", "content": [part(address(png(8, size))) for size in range(1, 300)]}]
        with pytest.raises(openai.BadRequestError, match="tokens too many"):
            await client.chat.completions.create(model=model, messages=many)
    async with anthropic.AsyncAnthropic(base_url=real.url, api_key="any", max_retries=0) as claude:
        shown: Any = [{"role": "user", "content": [block(png()), text("What is this?")]}]
        counted = await claude.messages.count_tokens(model=model, messages=shown)
        answer = await claude.messages.create(model=model, max_tokens=4, messages=shown)
        assert answer.usage.input_tokens + (answer.usage.cache_read_input_tokens or 0) == counted.input_tokens
    async with ollama.AsyncClient(real.url) as llama:
        assert "vision" in ((await llama.show(model)).capabilities or ())
        generated = await llama.generate(
            model=model, prompt="What is this?", images=[png()], options={"num_predict": 4}
        )
        assert generated.response
        plain = {"num_predict": 3, "temperature": 0.0}
        raw = await llama.generate(model=model, prompt="One, two, three,", raw=True, options=plain)
        assert raw.response == " four, five"
