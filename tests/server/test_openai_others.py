"""OpenAI's endpoints besides chat, word by word: models, texts, vectors, and the plain ones."""

import asyncio
import base64
import math
import struct
from typing import Any

from omni.engine import Reply, ScriptedEngine
from tests.server.openai_tools import USER, ask, events_of
from tests.server.server_tools import brain
from tests.waiting import until


async def test_models_and_their_other_names(serving: Any) -> None:
    async with serving() as bench:
        bench.services.library.known.append(brain("llama3.2:3b", origin="ollama"))
        bench.services.set("serve", aliases={"gpt-4o": "@omni/test", "gone": "@no/brain"})
        listing = (await bench.client.get("/v1/models")).json()
        assert listing["object"] == "list"
        assert [(one["id"], one["owned_by"], one["root"]) for one in listing["data"]] == [
            ("@omni/test", "omni", "@omni/test"),
            ("llama3.2:3b", "ollama", "llama3.2:3b"),
            ("gpt-4o", "omni", "@omni/test"),
        ]
        assert all(isinstance(one["created"], int) for one in listing["data"])
        for name in ("@omni/test", "%40omni%2Ftest", "gpt-4o"):
            one = (await bench.client.get(f"/v1/models/{name}")).json()
            assert (one["object"], one["root"]) == ("model", "@omni/test")
        assert one["id"] == "gpt-4o"
        assert (await bench.client.get("/v1/models/")).json() == listing
        nothing = (await bench.client.get("/v1/nothing")).json()["error"]
        assert (nothing["type"], nothing["code"]) == ("invalid_request_error", "unknown_url")
        missing = await bench.client.get("/v1/models/gpt-5")
        error = missing.json()["error"]
        assert (missing.status_code, error["type"], error["code"]) == (404, "invalid_request_error", "model_not_found")
        assert (await ask(bench, model="gpt-5", messages=USER)).status_code == 404
        assert (await ask(bench, model="gpt-4o", messages=USER)).json()["model"] == "gpt-4o"


async def test_models_of_other_programs_are_asked_by_their_names_and_what_cannot_be_loaded_is_not_listed(
    serving: Any,
) -> None:
    async with serving() as bench:
        bench.services.library.known += [
            brain("llama3.2:3b", origin="ollama"),
            brain("gemma3:4b", origin="ollama", state="unloadable", reason="its eyes are in the model"),
        ]
        assert (await ask(bench, model="llama3.2:3b", messages=USER)).status_code == 200
        for path in ("/v1/models", "/api/tags"):
            told = (await bench.client.get(path)).text
            assert ("llama3.2:3b" in told, "gemma3:4b" in told) == (True, False)


async def test_texts_are_gone_on_with(serving: Any) -> None:
    engine = ScriptedEngine(["and on."])
    async with serving(engine) as bench:
        completion = (await ask(bench, "/v1/completions", prompt=["On", "Off we go"], n=2, echo=True, seed=1)).json()
        assert completion["id"].startswith("cmpl-")
        assert [(one["index"], one["text"], one["finish_reason"]) for one in completion["choices"]] == [
            (0, "Onand on.", "stop"),
            (1, "Onand on.", "stop"),
            (2, "Off we goand on.", "stop"),
            (3, "Off we goand on.", "stop"),
        ]
        assert (completion["usage"]["prompt_tokens"], completion["usage"]["completion_tokens"]) == (4, 8)
        response = await ask(
            bench, "/v1/completions", prompt="On", suffix="off", stream=True, stream_options={"include_usage": True}
        )
        *chunks, done = events_of(response.text)
        assert done == "[DONE]"
        assert [(chunk["choices"][0]["text"], chunk["choices"][0]["finish_reason"]) for chunk in chunks[:-1]] == [
            ("and", None),
            (" on.", None),
            ("", "stop"),
        ]
        assert chunks[-1]["usage"]["total_tokens"] == 3


async def test_vectors_as_numbers_and_as_bytes(serving: Any) -> None:
    async with serving() as bench:
        embedded = (await ask(bench, "/v1/embeddings", input=["one two", "three"], model="@omni/test")).json()
        assert [(one["object"], one["index"], len(one["embedding"])) for one in embedded["data"]] == [
            ("embedding", 0, 8),
            ("embedding", 1, 8),
        ]
        assert embedded["usage"] == {"prompt_tokens": 3, "total_tokens": 3}
        short = (await ask(bench, "/v1/embeddings", input="one two", dimensions=3, encoding_format="base64")).json()
        packed = base64.b64decode(short["data"][0]["embedding"])
        vector = struct.unpack("<3f", packed)
        assert math.isclose(math.hypot(*vector), 1, rel_tol=1e-6)
        whole = embedded["data"][0]["embedding"]
        assert math.isclose(vector[0] / vector[1], whole[0] / whole[1], rel_tol=1e-5)


async def test_health_counts_and_tokens(serving: Any) -> None:
    gate = asyncio.Event()
    async with serving(ScriptedEngine([Reply(text="one two", gates={1: gate})])) as bench:
        assert (await bench.client.get("/health")).json()["status"] == "ok"
        asking = asyncio.create_task(ask(bench, messages=USER))
        await until(lambda: bench.server.load() == (1, 0))
        busy = (await bench.client.get("/health")).json()
        assert (busy["running"], busy["queued"]) == (1, 0)
        gate.set()
        await asking
        assert "omni_running 0" in (await bench.client.get("/metrics")).text
        tokens = (await ask(bench, "/tokenize", content="one two")).json()
        assert (len(tokens["tokens"]), tokens["count"]) == (2, 2)
        assert (await ask(bench, "/tokenize")).status_code == 400
