"""`dimensions` wherever vectors are: cut, of length 1 again, or refused; whatever the engine makes of vectors."""

import base64
import math
from array import array
from typing import Any

import pytest

from omni.engine import ScriptedEngine
from omni.engine.types import Embeddings
from omni.server.openai.embeddings import shaped

EIGHT = 8  # numbers of the scripted engine's vectors, which are of any length


def numbers(packed: str) -> list[float]:
    floats = array("f")
    floats.frombytes(base64.b64decode(packed))
    return list(floats)


def length(vector: list[float]) -> float:
    return math.hypot(*vector)


async def vector_of(bench: Any, path: str, **more: Any) -> list[float]:
    """The vector of one text, however the endpoint wraps it."""
    body = {"model": "@omni/test", "input": "the sea", "prompt": "the sea", **more}
    answer = (await bench.client.post(path, json=body)).json()
    if path == "/v1/embeddings":
        one = answer["data"][0]["embedding"]
        return numbers(one) if isinstance(one, str) else one
    return list(answer["embedding"] if path == "/api/embeddings" else answer["embeddings"][0])


async def test_every_endpoint_gives_vectors_of_length_1(serving: Any) -> None:
    engine = ScriptedEngine()
    (given,) = await engine.embed(["the sea"])
    assert length(given) == pytest.approx(0.951, abs=0.001)
    wanted = pytest.approx([value / length(given) for value in given], abs=1e-6)
    async with serving(engine) as bench:
        for path in ("/v1/embeddings", "/api/embed", "/api/embeddings"):
            assert await vector_of(bench, path) == wanted
        assert await vector_of(bench, "/v1/embeddings", encoding_format="base64") == wanted
        assert await vector_of(bench, "/v1/embeddings", encoding_format=None, dimensions=None, user="me") == wanted


@pytest.mark.parametrize("dimensions", [1, 3, EIGHT, 3.0])
async def test_they_are_cut_and_of_length_1_again(serving: Any, dimensions: Any) -> None:
    engine = ScriptedEngine()
    (given,) = await engine.embed(["the sea"])
    cut = given[: int(dimensions)]
    wanted = pytest.approx([value / length(cut) for value in cut], abs=1e-6)
    async with serving(engine) as bench:
        for more in ({}, {"encoding_format": "base64"}):
            assert await vector_of(bench, "/v1/embeddings", dimensions=dimensions, **more) == wanted
        assert await vector_of(bench, "/api/embed", dimensions=dimensions) == wanted


@pytest.mark.parametrize("path", ["/v1/embeddings", "/api/embed"])
async def test_what_cannot_be_cut_is_refused(serving: Any, path: str) -> None:
    async with serving() as bench:
        for dimensions in (EIGHT + 1, 1 << 40, -1, 2.5, "3"):
            body = {"model": "@omni/test", "input": "the sea", "dimensions": dimensions}
            response = await bench.client.post(path, json=body)
            assert (response.status_code, "dimensions" in response.text) == (400, True)
        none = await bench.client.post(path, json={"model": "@omni/test", "input": "the sea", "dimensions": 0})
        assert none.status_code == (400 if path == "/v1/embeddings" else 200)  # to Ollama's clients 0 is not said
        assert bench.server.load() == (0, 0)


def test_a_vector_without_direction_stays_one() -> None:
    assert shaped([0.0, 0.0, 0.0], 2) == [0.0, 0.0]
    assert shaped([0.0, 3.0], None) == [0.0, 1.0]
    assert shaped([0.0, 0.0, 5.0], 2) == [0.0, 0.0]
    exact = [0.6, 0.8]
    assert shaped(exact, None) == exact
    assert Embeddings([exact], tokens=1) == [exact]
