"""What the services tell the engines before each turn: the adapters of a base, and the settings as they are now."""

import hashlib
import json
from collections.abc import AsyncGenerator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from omni.app import Services
from omni.core.events import EngineEvent
from omni.core.paths import Home
from omni.engine import ChatRequest, Engines, ScriptedEngine
from omni.engine.images import Blinding
from tests.cartridges.conftest import gguf_bytes
from tests.image_tools import write_projector

ROLE = """
name = "@me/pirate"
version = "1.0.0"
title = "Pirate"
summary = "Talks like one."
licence = "Apache-2.0"

[base]
source = "cartridge"

[adapter]
file = "pirate.gguf"
sha256 = "{}"
"""


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No keeper, and no other program's models."""

    async def keeper(_self: Any) -> Any:
        return SimpleNamespace()

    monkeypatch.setattr(Services, "keeper", keeper)
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))


@pytest.mark.usefixtures("alone")
async def test_settings_from_another_terminal_hold_from_the_next_turn_on(home: Home, tmp_path: Path) -> None:
    tmp_path.joinpath("base.gguf").write_bytes(gguf_bytes())
    async with Services(home, starter=None, client="test", plugins=False) as services:
        brain = await services.library.add(tmp_path / "base.gguf")
        await services.open(brain)
        engines = await services.engines()
        assert engines.spec(brain).settings["context"] == 2048  # all that the file allows
        home.config.write_text("[engine]\ncontext = 1024\n[chat]\nmax_completion_tokens = 99\n")
        await services.open(brain)
        assert engines.spec(brain).settings["context"] == 1024
        assert services.chat.settings.chat.max_completion_tokens == 99
        home.config.write_text("[engine]\ncontext = 'many'\n")
        await services.open(brain)
        assert engines.spec(brain).settings["context"] == 1024


@pytest.mark.usefixtures("alone")
async def test_a_brain_whose_eyes_end_its_worker_does_without_them(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Ended(ScriptedEngine):
        async def chat(self, request: ChatRequest) -> AsyncGenerator[EngineEvent]:
            for event in list[Any]():
                yield event
            raise Blinding("It ended.")

    async def opened(*_asked: Any, **_more: Any) -> ScriptedEngine:
        return Ended(vision=True)

    tmp_path.joinpath("base.gguf").write_bytes(gguf_bytes())
    write_projector(tmp_path / "mmproj.gguf", width=256)
    monkeypatch.setattr(Engines, "open", opened)
    async with Services(home, starter=None, client="test", plugins=False) as services:
        brain = await services.library.add(tmp_path / "base.gguf")
        assert brain.vision
        engine = await services.open(brain)
        with pytest.raises(Blinding):
            await anext(engine.chat(ChatRequest(messages=())))
        brain = await services.library.get(brain.name)
        assert (brain.usable, brain.vision) == (True, False)


@pytest.mark.usefixtures("alone")
async def test_a_base_is_loaded_with_the_adapters_of_all_its_brains(home: Home, tmp_path: Path) -> None:
    folder = home.cartridges / "own" / "pirate"
    folder.mkdir(parents=True)
    data = gguf_bytes(general__type="adapter", adapter__type="lora")
    folder.joinpath("pirate.gguf").write_bytes(data)
    folder.joinpath("cartridge.toml").write_text(ROLE.format(hashlib.sha256(data).hexdigest()))
    tmp_path.joinpath("base.gguf").write_bytes(gguf_bytes())
    async with Services(home, starter=None, client="test", plugins=False) as services:
        bare, pirate = await services.library.add(tmp_path / "base.gguf"), await services.library.get("@me/pirate")
        await services.open(bare)
        engines = await services.engines()
        assert engines.spec(bare).key == engines.spec(pirate).key
        assert json.loads(str(engines.spec(bare).settings["adapters"])) == [str(folder / "pirate.gguf")]
