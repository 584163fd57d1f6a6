"""Ollama's own Python client against a listening server, sync and async; and with the real starter brain."""

import asyncio
from contextlib import closing
from pathlib import Path
from typing import Any

import ollama
import pytest

from omni.core.errors import EngineError
from omni.engine import Reply, ScriptedEngine
from tests.server.real_tools import real_server
from tests.server.server_tools import base, brain


def weather(city: str) -> str:
    """The weather.

    Args:
        city: where
    """
    return f"sun in {city}"


CALL = '{"name": "weather", "arguments": {"city": "Rome"}}'
ASK: list[dict[str, str]] = [{"role": "user", "content": "Hi"}]


async def test_the_sync_client(live: Any) -> None:
    async with live(ScriptedEngine([Reply(reasoning="Hm.", text="A word.")])) as bench:
        bench.services.library.known = [brain("@omni/test", base=base(chat_template="<think>"))]

        def use() -> None:
            with closing(ollama.Client(bench.url)) as client:
                (listed,) = client.list().models
                assert listed.model == "@omni/test"
                assert listed.details is not None
                assert listed.details.parameter_size == "134.52M"
                shown = client.show("@omni/test")
                assert shown.capabilities == ["completion", "tools", "thinking"]
                assert shown.modelinfo is not None
                assert shown.modelinfo["llama.context_length"] == 4096
                assert client.ps().models == []
                answer = client.chat("@omni/test", ASK, think=True)
                assert (answer.message.content, answer.message.thinking) == ("A word.", "Hm.")
                assert (answer.done, answer.done_reason, answer.eval_count) == (True, "stop", 3)
                parts = list(client.chat("@omni/test", ASK, stream=True))
                assert "".join(part.message.content or "" for part in parts) == "A word."
                assert [part.done for part in parts] == [False, False, False, True]
                written = client.generate("@omni/test", "Hi", options={"num_predict": 2})
                assert (written.thinking, written.response, written.done_reason) == ("Hm.", "A", "length")
                lines = list(client.generate("@omni/test", "Hi", stream=True))
                assert "".join(line.response or "" for line in lines) == "A word."
                assert [len(one) for one in client.embed("@omni/test", ["a", "b"], dimensions=4).embeddings] == [4, 4]
                assert len(client.embeddings("@omni/test", "a").embedding) == 8
                assert client.generate("@omni/test", "", keep_alive=0).done_reason == "unload"
                with pytest.raises(ollama.ResponseError, match="Installed: @omni/test") as missing:
                    client.chat("llama3", ASK)
                assert missing.value.status_code == 404
                with pytest.raises(ollama.ResponseError, match="no /api/copy"):
                    client.copy("a", "b")
                assert client.delete("@omni/test").status == "success"

        await asyncio.to_thread(use)
        assert bench.services.removed == ["@omni/test"]


async def test_the_async_client_with_tools(live: Any) -> None:
    def said(request: Any) -> str:
        return "It is sunny." if request.messages[-1].role == "tool" else CALL

    async with live(ScriptedEngine(said)) as bench, ollama.AsyncClient(bench.url) as client:
        messages: list[Any] = list(ASK)
        response = await client.chat("@omni/test", messages, tools=[weather])
        (call,) = response.message.tool_calls or []
        assert (call.function.name, call.function.arguments) == ("weather", {"city": "Rome"})
        messages += [response.message, {"role": "tool", "content": weather("Rome"), "tool_name": "weather"}]
        parts = [part async for part in await client.chat("@omni/test", messages, tools=[weather], stream=True)]
        assert "".join(part.message.content or "" for part in parts) == "It is sunny."


async def test_the_client_hears_of_a_failure_in_mid_answer(live: Any) -> None:
    reply = Reply(text="one two three", error=EngineError("It died."), fail_after=1)
    async with live(ScriptedEngine([reply])) as bench, ollama.AsyncClient(bench.url) as client:
        parts = await client.chat("@omni/test", ASK, stream=True)
        assert (await anext(parts)).message.content == "one"
        with pytest.raises(ollama.ResponseError, match="It died"):
            await anext(parts)


@pytest.mark.real
async def test_the_starter_through_ollamas_client(tmp_path: Path, starter_gguf: Path) -> None:
    async with real_server(tmp_path / "home", starter_gguf) as real, ollama.AsyncClient(real.url) as client:
        options = {"temperature": 0, "seed": 7, "num_predict": 24}
        listed = (await client.list()).models
        assert real.brain in [one.model for one in listed]
        answer = await client.chat(real.brain, [{"role": "user", "content": "Say hello."}], options=options)
        assert answer.message.content
        assert answer.prompt_eval_count
        assert answer.eval_duration
        parts = [
            part
            async for part in await client.chat(
                real.brain, [{"role": "user", "content": "Say hello."}], options=options, stream=True
            )
        ]
        assert "".join(part.message.content or "" for part in parts) == answer.message.content
        schema = {"type": "object", "properties": {"n": {"type": "integer", "maximum": 9}}, "required": ["n"]}
        shaped = await client.generate(real.brain, "A number:", format=schema, options=options)
        assert shaped.response
        assert shaped.response.strip().startswith("{")
        vectors = await client.embed(real.brain, ["the sea", "the ocean", "a screwdriver"])
        sea, ocean, screw = vectors.embeddings
        assert sum(a * b for a, b in zip(sea, ocean, strict=True)) > sum(a * b for a, b in zip(sea, screw, strict=True))
        (running,) = (await client.ps()).models
        assert running.model == real.brain
        with pytest.raises(ollama.ResponseError, match="4,096") as long:
            await client.chat(real.brain, [{"role": "user", "content": "word " * 6000}], options={"num_ctx": 65536})
        assert long.value.status_code == 400
        assert (await client.generate(real.brain, "", keep_alive=0)).done_reason == "unload"
        assert (await client.ps()).models == []
