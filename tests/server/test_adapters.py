"""Brains that are adapters, asked by their clients: beside their base, in one worker, each request at its own strength."""

import asyncio
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.engine.engine_tools import write_adapter
from tests.server.real_tools import real_server

HI: Any = [{"role": "user", "content": "Tell me about the sea."}]


@pytest.mark.real
@pytest.mark.long  # nine answers, each read anew; engine/test_adapters.py has a quick one
async def test_an_adapter_answers_beside_its_base_as_strongly_as_each_request_says(
    starter_gguf: Path, tmp_path: Path
) -> None:
    write_adapter(tmp_path / "a.gguf", seed=0, of="SmolLM2 135M")
    write_adapter(tmp_path / "b.gguf", seed=1)
    async with (
        real_server(tmp_path / "home", starter_gguf) as bench,
        openai.AsyncOpenAI(base_url=f"{bench.url}/v1", api_key="none", max_retries=0) as ai,
    ):
        library = bench.server.services.library
        for name in ("a", "b"):
            (brain,) = await library.add_all(tmp_path / f"{name}.gguf", base=bench.brain)
            assert (brain.name, brain.usable) == (f"@me/{name}", True)

        async def said(model: str, scale: float | None = None) -> str:
            answer = await ai.chat.completions.create(
                model=model, messages=HI, max_tokens=32, temperature=0, extra_body={"adapter_scale": scale}
            )
            return str(answer.choices[0].message.content)

        bare, a, b = await said(bench.brain), await said("@me/a"), await said("@me/b")
        assert len({bare, a, b}) == 3
        assert await said("@me/a", 0.0) == bare
        assert await said("@me/a", 3.0) not in (bare, a)
        keeper = await bench.server.services.keeper()
        assert len([one for one in await keeper.processes() if one.kind == "worker"]) == 1
        with pytest.raises(openai.BadRequestError, match="has no adapter that could apply"):
            await said(bench.brain, 0.5)
        with pytest.raises(openai.BadRequestError, match="adapter_scale"):
            await said("@me/a", 5)
        # Slots with other adapters at the same time: no answer is another one's.
        assert len(set(await asyncio.gather(*(said(name) for name in (bench.brain, "@me/a", "@me/b"))))) == 3
