"""The services tell the engines which adapters belong to a base, so that its brains share one worker."""

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from omni.app import Services
from omni.core.paths import Home
from tests.cartridges.conftest import gguf_bytes

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


async def test_a_base_is_loaded_with_the_adapters_of_all_its_brains(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = home.cartridges / "own" / "pirate"
    folder.mkdir(parents=True)
    data = gguf_bytes(general__type="adapter", adapter__type="lora")
    folder.joinpath("pirate.gguf").write_bytes(data)
    folder.joinpath("cartridge.toml").write_text(ROLE.format(hashlib.sha256(data).hexdigest()))
    tmp_path.joinpath("base.gguf").write_bytes(gguf_bytes())
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))

    async def keeper(_self: Any) -> Any:
        return SimpleNamespace()

    monkeypatch.setattr(Services, "keeper", keeper)
    async with Services(home, starter=None, client="test", plugins=False) as services:
        bare, pirate = await services.library.add(tmp_path / "base.gguf"), await services.library.get("@me/pirate")
        await services.open(bare)
        engines = await services.engines()
        assert engines.spec(bare).key == engines.spec(pirate).key
        assert json.loads(str(engines.spec(bare).settings["adapters"])) == [str(folder / "pirate.gguf")]
