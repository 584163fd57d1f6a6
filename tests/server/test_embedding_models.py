"""A brain that was made for vectors: asked for them by the official clients, beside one that chats; and what is said where
it is asked for more, or where there is none."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import ollama
import openai
import pytest
import pytest_asyncio

from omni.cartridges import EMBEDDER_HINT, Brain
from tests.embedding_tools import Bert, near
from tests.server.real_tools import Real, real_server
from tests.server.server_tools import base, brain

TEXTS = {"the sea": ("▁the", "▁sea"), "Über hills!": ("▁uber", "▁hill", "s", "▁!"), "한": ("▁ᄒ", "ᅡ", "ᆫ")}
HI: Any = [{"role": "user", "content": "Hi"}]


def embedder(name: str = "@me/bert") -> Brain:
    return msgspec.structs.replace(
        brain(name, base=base(kind="embedding", architecture="bert")), state="not chat", reason="an embedding model"
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def real(starter_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Real]:
    """The starter brain, and a model of random numbers under a name that says nothing."""
    folder = tmp_path_factory.mktemp("real")
    async with real_server(folder / "home", starter_gguf) as bench:
        added = await bench.server.services.library.add(Bert().write(folder / "mystery.gguf"))
        assert added.name == "@me/mystery"
        yield bench


@pytest.mark.real
@pytest.mark.asyncio(loop_scope="module")
async def test_the_official_clients_get_its_vectors(real: Real) -> None:
    bert = Bert()
    async with openai.AsyncOpenAI(base_url=f"{real.url}/v1", api_key="none", max_retries=0) as ai:
        assert "@me/mystery" in [one.id async for one in ai.models.list()]
        packed = await ai.embeddings.create(model="mystery", input=list(TEXTS))  # it asks for base64
        plain = await ai.embeddings.create(model="mystery", input=list(TEXTS), encoding_format="float")
        for words, one, other in zip(TEXTS.values(), packed.data, plain.data, strict=True):
            assert near(one.embedding, bert.vector(*words)) > 0.9999
            assert one.embedding == pytest.approx(other.embedding)
        assert packed.usage.prompt_tokens == sum(len(words) + 2 for words in TEXTS.values())
        short = (await ai.embeddings.create(model="mystery", input="the sea", dimensions=8)).data[0].embedding
        assert len(short) == 8
        assert near(short, short) == pytest.approx(1, abs=1e-5)
        with pytest.raises(openai.BadRequestError, match="65 tokens; 64 can be read") as long:
            await ai.embeddings.create(model="mystery", input=["the sea", "word " * 63])
        assert long.value.code == "context_length_exceeded"
        many, said = await asyncio.gather(
            ai.embeddings.create(model="mystery", input=list(TEXTS) * 100),
            ai.chat.completions.create(model=real.brain, messages=HI, max_tokens=8),
        )
        assert (len(many.data), bool(said.choices[0].message.content)) == (300, True)
        assert many.data[299].embedding == pytest.approx(packed.data[2].embedding, abs=1e-4)
    async with ollama.AsyncClient(real.url) as client:
        shown = await client.show("mystery")
        assert (shown.capabilities, (shown.modelinfo or {})["bert.embedding_length"]) == (["embedding"], 32)
        embedded = await client.embed("mystery", list(TEXTS))
        assert near(list(embedded.embeddings[1]), bert.vector(*TEXTS["Über hills!"])) > 0.9999
        assert len((await client.embeddings("mystery", "the sea")).embedding) == 32
        await client.generate("mystery", "")  # only to load it: in the worker that it has
        workers = await real.server.services.workers_of("@me/mystery")
        assert len(workers) == 1
        assert {one.model for one in (await client.ps()).models} == {"@me/mystery", real.brain}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"messages": HI}),
        ("/v1/completions", {"prompt": "Hi"}),
        ("/v1/responses", {"input": "Hi"}),
        ("/v1/messages", {"messages": HI, "max_tokens": 8}),
        ("/api/chat", {"messages": HI}),
        ("/api/generate", {"prompt": "Hi"}),
        ("/api/generate", {"prompt": "Hi", "raw": True}),
    ],
)
async def test_who_wants_an_answer_of_it_is_told_what_it_is(serving: Any, path: str, body: dict[str, Any]) -> None:
    async with serving() as bench:
        bench.services.library.known.append(embedder())
        response = await bench.client.post(path, json={"model": "bert", **body})
        assert response.status_code == 400
        assert "@me/bert is an embedding model. Ask it at /v1/embeddings" in response.text
        assert bench.server.load() == (0, 0)


@pytest.mark.parametrize("path", ["/v1/embeddings", "/api/embed"])
async def test_a_model_for_vectors_that_is_not_here_is_told_with_what_helps(serving: Any, path: str) -> None:
    async with serving() as bench:

        async def ask(model: str) -> tuple[int, str]:
            response = await bench.client.post(path, json={"model": model, "input": "the sea"})
            error = response.json()["error"] if response.status_code != 200 else ""
            return response.status_code, error["message"] if isinstance(error, dict) else error

        status, said = await ask("text-embedding-3-small")
        assert (status, said.startswith("There is no model 'text-embedding-3-small' here")) == (404, True)
        assert "Installed: @omni/test. None of them was made for vectors." in said
        assert EMBEDDER_HINT in said
        bench.services.library.known.append(embedder())
        status, said = await ask("text-embedding-3-small")
        assert (status, EMBEDDER_HINT in said) == (404, False)
        assert "Installed: @me/bert, @omni/test." in said
        assert "[serve.aliases]" in said
        assert "Did you mean" in (await ask("@me/brt"))[1]
        bench.services.set("serve", aliases={"text-embedding-3-small": "@me/bert"})
        assert (await ask("text-embedding-3-small"))[0] == 200
        bench.services.library.known.clear()
        assert (await ask("nomic-embed-text"))[1] == (
            f"There is no model 'nomic-embed-text' here. Installed: text-embedding-3-small. None of them was made for "
            f"vectors. {EMBEDDER_HINT}"
        )
        bench.services.set("serve", aliases={})
        assert f"There is no model 'x' here, and no other. {EMBEDDER_HINT}" == (await ask("x"))[1]


async def test_without_a_name_the_brain_for_vectors_makes_them(serving: Any) -> None:
    async with serving() as bench:
        response = await bench.client.post("/v1/embeddings", json={"input": "the sea"})
        assert response.json()["model"] == "@omni/test"
        bench.services.library.known.append(embedder())
        response = await bench.client.post("/v1/embeddings", json={"input": "the sea"})
        assert response.json()["model"] == "@me/bert"
