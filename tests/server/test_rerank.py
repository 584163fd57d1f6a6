"""Texts ranked by how well they answer a question: by a reranker, by an embedding model, and what is said where neither is."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import pytest_asyncio

from omni.cartridges import RERANKER_HINT, Brain
from omni.server.openai import RERANK
from tests.embedding_tools import RANK, Bert, near
from tests.server.real_tools import Real, real_server
from tests.server.server_tools import base, brain

QUERY = "the sea"
TEXTS = {"a hill": ("▁a", "▁hill"), "The sea!": ("▁the", "▁sea", "▁!"), "word word": ("▁word", "▁word")}


def made_for(kind: str, name: str = "@me/rank") -> Brain:
    return msgspec.structs.replace(
        brain(name, base=base(kind=kind, architecture="bert")), state="not chat", reason=f"a {kind}: no more"
    )


async def ask(bench: Any, **body: Any) -> tuple[int, Any]:
    response = await bench.client.post("/v1/rerank", json={"query": QUERY, "documents": list(TEXTS)} | body)
    return response.status_code, response.json()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def real(starter_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Real]:
    """The starter brain, a reranker and an embedding model of random numbers."""
    folder = tmp_path_factory.mktemp("real")
    async with real_server(folder / "home", starter_gguf) as bench:
        for name, model in {"ranks": Bert(pooling=RANK), "vectors": Bert()}.items():
            await bench.server.services.library.add(model.write(folder / f"{name}.gguf"))
        yield bench


@pytest.mark.real
@pytest.mark.asyncio(loop_scope="module")
async def test_a_reranker_and_an_embedding_model_score_by_their_numbers(real: Real) -> None:
    body = {"query": QUERY, "documents": list(TEXTS)}
    async with httpx.AsyncClient(base_url=real.url, timeout=60) as client:
        for model, scored_by in (("@me/ranks", "reranker"), ("", "reranker"), ("vectors", "cosine")):
            answer = (await client.post("/v1/rerank", json=body | {"model": model})).json()
            assert (answer["scored_by"], answer["model"]) == (scored_by, model or "@me/ranks")
            if scored_by == "reranker":
                bert = Bert(pooling=RANK)
                expected = [bert.relevance(("▁the", "▁sea"), words) for words in TEXTS.values()]
                assert answer["usage"] == {"prompt_tokens": 22, "total_tokens": 22}
            else:
                bert = Bert()
                asked = bert.vector("▁the", "▁sea")
                expected = [near(asked, bert.vector(*words)) for words in TEXTS.values()]
                assert answer["usage"]["prompt_tokens"] == 17
            scores = {one["index"]: one["relevance_score"] for one in answer["results"]}
            assert [scores[at] for at in range(3)] == pytest.approx(expected, abs=0.005)
            assert list(scores.values()) == sorted(scores.values(), reverse=True)
        long = await client.post("/v1/rerank", json=body | {"documents": ["the sea", "word " * 70]})
        assert (long.status_code, long.json()["error"]["code"]) == (400, "context_length_exceeded")
        assert "A text and the question have 75 tokens" in long.text
        assert {"@me/ranks", "@me/vectors"} <= {one["id"] for one in (await client.get("/v1/models")).json()["data"]}


@pytest.mark.parametrize("path", RERANK)
async def test_the_best_texts_come_first_under_every_name_of_the_field(serving: Any, path: str) -> None:
    async with serving() as bench:
        bench.services.library.known = [made_for("reranker")]
        body = {"model": "rank", "query": QUERY, "documents": ["a hill", {"text": "the sea"}, "the hill"]}
        response = await bench.client.post(path, json=body | {"top_n": 2, "return_documents": True})
        answer = response.json()
        assert response.status_code == 200
        assert answer["results"] == [
            {"index": 1, "relevance_score": 1.0, "document": {"text": "the sea"}},
            {"index": 2, "relevance_score": 0.5, "document": {"text": "the hill"}},
        ]
        assert (answer["object"], answer["model"], answer["id"].startswith("rerank-")) == ("list", "rank", True)
        assert answer["usage"] == {"prompt_tokens": 12, "total_tokens": 12}
        plain = (await bench.client.post(path, json=body)).json()["results"]
        assert [(one["index"], "document" in one) for one in plain] == [(1, False), (2, False), (0, False)]


@pytest.mark.parametrize(
    ("body", "param", "words"),
    [
        ({"query": ""}, "query", "There is no question"),
        ({"query": None}, "query", "query"),
        ({"documents": []}, "documents", "There is no text"),
        ({"documents": ["a", ""]}, "documents", "A text is empty"),
        ({"documents": [{"title": "x"}]}, "documents[0]", "text"),
        ({"documents": ["a"] * 2049}, "documents", "2048 texts"),
        ({"top_n": 0}, "top_n", ">= 1"),
    ],
)
async def test_what_cannot_be_ranked_is_told_with_its_place(
    serving: Any, body: dict[str, Any], param: str, words: str
) -> None:
    async with serving() as bench:
        bench.services.library.known = [made_for("reranker")]
        status, answer = await ask(bench, **body)
        assert (status, answer["error"]["type"], words in answer["error"]["message"]) == (
            400, "invalid_request_error", True
        )  # fmt: skip
        assert answer["error"]["param"] in (param, None)


async def test_who_was_not_made_for_it_is_not_asked(serving: Any) -> None:
    async with serving() as bench:
        status, answer = await ask(bench, model="@omni/test")
        assert (status, RERANKER_HINT in answer["error"]["message"]) == (400, True)
        assert "@omni/test was not made to say how well texts answer a question" in answer["error"]["message"]
        assert (await ask(bench))[1]["error"]["message"] == f"No brain is here yet that ranks texts. {RERANKER_HINT}"
        status, answer = await ask(bench, model="rerank-v3.5")
        assert (status, "None of them was made for ranks. " + RERANKER_HINT in answer["error"]["message"]) == (
            404,
            True,
        )
        bench.services.library.known.append(made_for("reranker"))
        bench.services.set("serve", aliases={"rerank-v3.5": "@me/rank"})
        assert (await ask(bench, model="rerank-v3.5"))[0] == 200


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi"}]}, "Ask it at /v1/rerank"),
        ("/v1/completions", {"prompt": "Hi"}, "Ask it at /v1/rerank"),
        ("/v1/embeddings", {"input": "Hi"}, "Ask it at /v1/rerank"),
        ("/api/embed", {"input": "Hi"}, "Ask it at /v1/rerank"),
        ("/api/chat", {"messages": [{"role": "user", "content": "Hi"}]}, "Ask it at /v1/rerank"),
    ],
)
async def test_a_reranker_is_asked_for_nothing_else(serving: Any, path: str, body: dict[str, Any], words: str) -> None:
    async with serving() as bench:
        bench.services.library.known.append(made_for("reranker"))
        response = await bench.client.post(path, json={"model": "rank", **body})
        assert (response.status_code, words in response.text) == (400, True), response.text


async def test_a_reranker_comes_before_an_embedding_model(serving: Any) -> None:
    async with serving() as bench:
        bench.services.library.known.append(made_for("embedding", "@me/bert"))
        assert (await ask(bench))[1]["scored_by"] == "cosine"
        bench.services.library.known.append(made_for("reranker"))
        assert (await ask(bench))[1]["scored_by"] == "reranker"
        shown = (await bench.client.post("/api/show", json={"model": "@me/rank"})).json()
        assert shown["capabilities"] == ["rerank"]
