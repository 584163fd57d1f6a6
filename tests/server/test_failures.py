"""Whose fault a failure of the engine is, in the words of each protocol: as an answer, and as the last of a stream."""

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from omni.core.errors import BadFile, EngineError, OmniError, SetupError
from omni.engine import NotReady, Reply, ScriptedEngine
from omni.server.errors import headers_of, status_of
from tests.server.openai_tools import USER
from tests.server.real_tools import real_server
from tests.server.server_tools import brain

COUNT = "/v1/chat/completions/input_tokens"
SAID: Any = USER
TEMPLATE = "Unable to generate parser for this template. Automatic parser generation failed: \nError: Jinja Exception: No user query."
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": USER},
    "/v1/responses": {"input": "Hi"},
    "/v1/messages": {"messages": USER, "max_tokens": 50},
    "/api/chat": {"messages": USER},
    "/api/generate": {"prompt": "Hi"},
}
# What the worker says, and what a client is told: status, words, OpenAI's type, Anthropic's type, whether to try again.
KINDS: dict[str, tuple[dict[str, Any], int, str, str, str, bool]] = {
    "the history": ({"code": 400, "message": TEMPLATE}, 400, "It says: No user query", "invalid_request_error", "invalid_request_error", False),
    "the history, as a 500": ({"code": 500, "message": "\nError: Jinja Exception: No user query."}, 400, "It says: No user query", "invalid_request_error", "invalid_request_error", False),
    "too long": (
        {"code": 400, "type": "exceed_context_size_error", "message": "x", "n_prompt_tokens": 9, "n_ctx": 8},
        400, "does not fit", "invalid_request_error", "invalid_request_error", False,
    ),
    "the brain": ({"code": 500, "message": "Compute error."}, 500, "Compute error", "server_error", "api_error", True),
    "Omni": ({"code": 400, "message": "Field 'x': no"}, 500, "Field 'x'", "server_error", "api_error", False),
    "not yet": ({"code": 503, "type": "unavailable_error", "message": "Loading model"}, 503, "still being loaded", "server_error", "overloaded_error", True),
}  # fmt: skip

Over = Callable[..., AbstractAsyncContextManager[Any]]


def message_of(path: str, body: Any) -> str:
    """What a client shows."""
    error = body["error"]
    return str(error if path.startswith("/api/") else error["message"])


def last_of(text: str) -> Any:
    """The last event or line of a stream."""
    *_, last = [line for line in text.splitlines() if line.strip() and not line.startswith("event:")]
    return json.loads(last.removeprefix("data: "))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("kind", KINDS)
async def test_before_anything_is_sent_it_is_a_status(over: Over, kind: str, stream: bool) -> None:
    said, status, words, of_openai, of_anthropic, again = KINDS[kind]
    async with over(refuse=json.dumps({COUNT: said})) as bench:
        for path, body in BODIES.items():
            response = await bench.client.post(path, json={"model": "@omni/test", "stream": stream, **body})
            assert response.status_code == status, (path, response.text)
            assert response.headers["content-type"] == "application/json"
            assert words in message_of(path, response.json())
            assert "llama" not in response.text.lower()
            error = response.json()["error"]
            if path.startswith("/v1/"):
                assert error["type"] == (of_anthropic if path == "/v1/messages" else of_openai)
            retried = status >= 500 and response.headers.get("x-should-retry") != "false"
            assert retried == again
            assert ("retry-after" in response.headers) == (kind == "not yet")
        assert bench.server.load() == (0, 0)


@pytest.mark.parametrize("kind", KINDS)
async def test_in_the_middle_of_a_stream_it_is_the_last_event(over: Over, kind: str) -> None:
    said, status, words, of_openai, of_anthropic, _ = KINDS[kind]
    async with over(fail=json.dumps(said), fail_after=2) as bench:
        for path, body in BODIES.items():
            response = await bench.client.post(path, json={"model": "@omni/test", "stream": True, **body})
            assert response.status_code == 200
            assert "You" in response.text
            assert "said" in response.text
            last = last_of(response.text)
            if path == "/v1/responses":
                assert (last["type"], last["response"]["status"]) == ("response.failed", "failed")
                code = {400: "invalid_prompt"}.get(status, "server_error")
                assert last["response"]["error"]["code"] == ("context_length_exceeded" if kind == "too long" else code)
                last = last["response"]
            elif path == "/v1/messages":
                assert (last["type"], last["error"]["type"]) == ("error", of_anthropic)
            elif path == "/v1/chat/completions":
                assert last["error"]["type"] == of_openai
                assert "[DONE]" not in response.text
            assert words in message_of(path, last)
            whole = await bench.client.post(path, json={"model": "@omni/test", "stream": False, **body})
            assert whole.status_code == status
        assert bench.server.load() == (0, 0)


async def test_the_death_of_a_worker_is_a_failure_that_can_be_tried_again(over: Over) -> None:
    """Of two of them, one after the other: the answer would go on after the first."""
    async with over(die_after=2, reply="one two three four five six seven") as bench:
        for path, body in BODIES.items():
            response = await bench.client.post(path, json={"model": "@omni/test", "stream": True, **body})
            assert response.status_code == 200
            last = last_of(response.text)
            assert "ended in the middle" in message_of(path, last.get("response", last))
            whole = await bench.client.post(path, json={"model": "@omni/test", "stream": False, **body})
            assert (whole.status_code, whole.headers.get("x-should-retry")) == (500, None)


@pytest.mark.parametrize("path", ["/v1/completions", "/v1/embeddings", "/v1/messages/count_tokens", "/tokenize"])
async def test_the_other_endpoints_judge_alike(over: Over, path: str) -> None:
    asked = {"/v1/completions": "/completion", "/v1/embeddings": "/v1/embeddings", "/tokenize": "/tokenize"}.get(
        path, COUNT
    )
    body = {"prompt": "Hi", "input": "Hi", "content": "Hi", "messages": USER, "model": "@omni/test"}
    for said, status in (
        ({"code": 400, "message": "Something new."}, 500),
        ({"code": 500, "message": "Jinja Exception: x"}, 400),
    ):
        async with over(embeddings=1, refuse=json.dumps({asked: said})) as bench:
            response = await bench.client.post(path, json=body)
            assert response.status_code == status, response.text


async def test_a_bias_for_no_token_is_a_400_that_names_it(over: Over) -> None:
    async with over() as bench:
        for path, body in (("/v1/chat/completions", {"messages": USER}), ("/v1/completions", {"prompt": "Hi"})):
            response = await bench.client.post(path, json=body | {"logit_bias": {"1000": 5, "3": 1}})
            assert (response.status_code, response.json()["error"]["param"]) == (400, "logit_bias")
            assert "token 1000" in response.json()["error"]["message"]
            good = await bench.client.post(path, json=body | {"logit_bias": {"999": 5, "0999": 4, "3": 1}})
            assert good.status_code == 200


@pytest.mark.parametrize(
    ("error", "status", "again"),
    [
        (EngineError("It died."), 500, True),
        (NotReady("Soon."), 503, True),
        (BadFile("This engine cannot load it."), 500, False),
        (SetupError("The keeper did not answer within 5 s."), 500, True),
        (OmniError("Omni failed (KeyError); the log says where."), 500, False),
    ],
)
async def test_who_is_told_to_try_again(serving: Any, error: OmniError, status: int, again: bool) -> None:
    assert status_of(error) == status
    assert (headers_of(error).get("X-Should-Retry") == "false") != again
    async with serving(ScriptedEngine([Reply(error=error)])) as bench:
        response = await bench.client.post("/v1/chat/completions", json={"messages": USER})
        assert (response.status_code, "x-should-retry" in response.headers) == (status, not again)


async def test_a_brain_that_is_made_with_a_wrong_value_is_at_fault_itself(serving: Any) -> None:
    async with serving() as bench:
        bench.services.library.known = [brain("@omni/test", sampling={"temperature": -5.0})]
        for path, body in BODIES.items():
            response = await bench.client.post(path, json={"model": "@omni/test", **body})
            assert (response.status_code, response.headers.get("x-should-retry")) == (500, "false")
            assert "@omni/test is made with a `temperature` of -5.0" in message_of(path, response.json())
            body = {"model": "@omni/test", **body, "temperature": 0.5, "options": {"temperature": 0.5}}
            assert (await bench.client.post(path, json=body)).status_code == 200


@pytest.mark.real
async def test_official_clients_try_again_only_where_it_helps(live: Any) -> None:
    for error, tries in ((EngineError("It died."), 3), (BadFile("No."), 1)):
        engine = ScriptedEngine([Reply(error=error)])
        async with (
            live(engine) as bench,
            openai.AsyncOpenAI(base_url=f"{bench.url}/v1", api_key="none") as one,
            anthropic.AsyncAnthropic(base_url=bench.url, api_key="none") as other,
        ):
            with pytest.raises(openai.InternalServerError):
                await one.chat.completions.create(model="", messages=SAID)
            assert len(engine.requests) == tries
            with pytest.raises(anthropic.InternalServerError):
                await other.messages.create(model="@omni/test", max_tokens=9, messages=SAID)
            assert len(engine.requests) == 2 * tries


@pytest.mark.real
async def test_a_real_brain_says_which_token_it_has_not(tmp_path: Path, starter_gguf: Path) -> None:
    async with (
        real_server(tmp_path / "home", starter_gguf) as real,
        openai.AsyncOpenAI(base_url=f"{real.url}/v1", api_key="none", max_retries=0) as client,
    ):
        with pytest.raises(openai.BadRequestError, match="names the token 49152") as refused:
            await client.chat.completions.create(model=real.brain, messages=SAID, logit_bias={"49152": 1})
        assert refused.value.param == "logit_bias"
        told = await client.chat.completions.create(
            model=real.brain, messages=SAID, logit_bias={"49151": 1}, max_tokens=2
        )
        assert told.choices[0].message.content
