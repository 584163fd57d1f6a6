"""Pulls from a hub: which of its files is taken, and what is believed of what it says."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from omni.cartridges import EMBEDDER_HINT, Library
from omni.core.errors import BadFile, NotFound
from omni.core.paths import Home
from tests.cartridges.pull_tools import Drain, Make, Open, Shop, blobs, sha


class Hub:
    """A repository on the loopback's hub."""

    def __init__(self, web: Any, repository: str = "Qwen/Tiny-GGUF") -> None:
        self.web, self.repository = web, repository
        self.items: list[dict[str, Any]] = []
        web.files[f"/api/models/{repository}/revision/main"] = json.dumps(
            {"sha": "c0ffee", "cardData": {"license": "apache-2.0"}}
        ).encode()
        self.file("README.md", b"hello", lfs=False)

    def file(self, path: str, data: bytes, *, lfs: bool = True, size: int | None = None) -> None:
        item: dict[str, Any] = {"type": "file", "path": path, "size": size or len(data), "oid": "abc"}
        if lfs:
            item["lfs"] = {"oid": sha(data), "size": size or len(data), "pointerSize": 134}
        self.items.append(item)
        self.web.files[f"/{self.repository}/resolve/c0ffee/{path}"] = data
        self.web.files[f"/api/models/{self.repository}/tree/c0ffee"] = json.dumps(self.items).encode()


@pytest.fixture
def hub(shop: Shop) -> Hub:
    return Hub(shop.web)


@pytest.fixture
def library(open_library: Open, shop: Shop) -> Library:
    return shop.library(open_library)


async def test_the_hub_gives_the_quantisation_asked_for(
    shop: Shop, hub: Hub, library: Library, home: Home, gguf: Make, drain: Drain
) -> None:
    hub.file("tiny-q4_k_m.gguf", gguf(salt="4"))
    hub.file("tiny-q8_0.gguf", data := gguf(salt="8"))
    events = await drain(library.pull("hf.co/Qwen/Tiny-GGUF:Q8_0", shop.airlock))
    brain = events[-1].brain
    assert (brain.name, brain.licence, brain.size) == ("hf.co/Qwen/Tiny-GGUF:Q8_0", "Apache-2.0", len(data))
    assert "revision c0ffee" in brain.verified
    assert blobs(home) == [f"sha256-{sha(data)}"]
    assert (await drain(library.pull("hf.co/Qwen/Tiny-GGUF:Q8_0", shop.airlock)))[-1].fresh is False


async def test_without_a_quantisation_the_machine_decides(
    shop: Shop, hub: Hub, open_library: Open, gguf: Make, drain: Drain
) -> None:
    hub.file("tiny-Q2_K.gguf", gguf(salt="2"), size=len(gguf(salt="2")))
    hub.file("tiny-Q4_K_M.gguf", gguf(salt="4"))
    hub.file("tiny-F16.gguf", gguf(salt="16"))
    environment = {"HF_ENDPOINT": shop.web.url}
    events = await drain(open_library(environment=environment).pull("hf.co/Qwen/Tiny-GGUF", shop.airlock))
    assert events[-1].brain.name == "hf.co/Qwen/Tiny-GGUF:Q4_K_M"
    with pytest.raises(NotFound, match="fits into this machine"):
        await drain(open_library(environment=environment, memory=500).pull("hf.co/Qwen/Tiny-GGUF", shop.airlock))


async def test_where_only_whole_weights_are_offered_that_do_not_fit_what_makes_them_smaller_is_named(
    shop: Shop, hub: Hub, open_library: Open, gguf: Make, drain: Drain
) -> None:
    hub.file("tiny-F16.gguf", gguf(), size=12 * 10**9)
    library = open_library(environment={"HF_ENDPOINT": shop.web.url}, memory=8 * 10**9)
    with pytest.raises(NotFound, match="fits into this machine") as large:
        await drain(library.pull("hf.co/Qwen/Tiny-GGUF", shop.airlock))
    assert "about 3.7 GB in Q4_K_M" in large.value.hint
    assert "`omni pull hf.co/Qwen/Tiny-GGUF:F16`, then `omni quantise hf.co/Qwen/Tiny-GGUF:F16`" in large.value.hint
    hub.file("tiny-BF16.gguf", gguf(), size=80 * 10**9)
    hub.items = [item for item in hub.items if item["path"] != "tiny-F16.gguf"]
    hub.file("README.md", b"hello", lfs=False)
    with pytest.raises(NotFound) as larger:
        await drain(library.pull("hf.co/Qwen/Tiny-GGUF", shop.airlock))
    assert "quantise" not in larger.value.hint


@pytest.mark.parametrize(
    "name",
    [
        "https://huggingface.co/Qwen/Tiny-GGUF",
        "https://huggingface.co/Qwen/Tiny-GGUF/tree/main",
        "huggingface.co/Qwen/Tiny-GGUF:q4_k_m",
        "https://huggingface.co/Qwen/Tiny-GGUF/blob/main/tiny-Q4_K_M.gguf",
        "https://huggingface.co/Qwen/Tiny-GGUF/resolve/main/tiny-Q4_K_M.gguf?download=true",
    ],
)
async def test_addresses_from_a_browser_work(
    shop: Shop, hub: Hub, library: Library, gguf: Make, drain: Drain, name: str
) -> None:
    hub.file("tiny-Q4_K_M.gguf", gguf())
    hub.file("mmproj-tiny-F16.gguf", gguf(salt="eyes"))
    assert (await drain(library.pull(name, shop.airlock)))[-1].brain.name == "hf.co/Qwen/Tiny-GGUF:Q4_K_M"


async def test_what_the_hub_does_not_have_is_named(
    shop: Shop, hub: Hub, library: Library, gguf: Make, drain: Drain
) -> None:
    with pytest.raises(NotFound, match="holds no GGUF"):
        await drain(library.pull("hf.co/Qwen/Tiny-GGUF", shop.airlock))
    hub.file("tiny-Q4_K_M.gguf", gguf())
    with pytest.raises(NotFound) as caught:
        await drain(library.pull("hf.co/Qwen/Tiny-GGUF:Q4_K_S", shop.airlock))
    assert "Q4_K_M" in caught.value.hint
    with pytest.raises(NotFound):
        await drain(library.pull("hf.co/Qwen/Nothing", shop.airlock))


async def test_a_model_in_parts_stays_in_parts(
    shop: Shop, hub: Hub, library: Library, home: Home, parts: Any, drain: Drain
) -> None:
    for number, data in enumerate(parts(2), 1):
        hub.file(f"Q4_K_M/tiny-Q4_K_M-0000{number}-of-00002.gguf", data)
    brain = (await drain(library.pull("hf.co/Qwen/Tiny-GGUF:Q4_K_M", shop.airlock)))[-1].brain
    assert brain.base is not None
    assert [Path(part).name for part in brain.base.parts] == [
        "tiny-Q4_K_M-00001-of-00002.gguf",
        "tiny-Q4_K_M-00002-of-00002.gguf",
    ]
    assert (await drain(library.verify(brain.name)))[-1].ok
    assert await library.remove(brain.name) == brain.size
    assert blobs(home) == []


async def test_a_catalogue_entry_is_pinned_at_the_pull(
    shop: Shop, hub: Hub, library: Library, gguf: Make, drain: Drain
) -> None:
    shop.cartridge(
        "hub",
        'source = "huggingface"\nrepository = "Qwen/Tiny-GGUF"\nfile = "old-name-Q4_K_M.gguf"\n'
        'quantisation = "Q4_K_M"\nabout_bytes = 1000\n',
    )
    before = await library.get("@omni/hub")
    assert (before.size, before.size_is_estimate) == (1000, True)
    hub.file("tiny-Q4_K_M.gguf", data := gguf())
    await drain(library.pull("@omni/hub", shop.airlock))
    brain = await library.get("@omni/hub")
    assert (brain.state, brain.size, brain.size_is_estimate) == ("installed", len(data), False)
    assert brain.base is not None
    assert brain.base.sha256 == sha(data)
    assert "not verified by us" not in brain.verified


async def test_the_hub_lying_about_a_hash_is_noticed(
    shop: Shop, hub: Hub, library: Library, home: Home, gguf: Make, drain: Drain
) -> None:
    hub.file("tiny-Q4_K_M.gguf", gguf())
    data = bytearray(gguf())
    data[-40] ^= 1
    shop.web.files["/Qwen/Tiny-GGUF/resolve/c0ffee/tiny-Q4_K_M.gguf"] = bytes(data)
    with pytest.raises(BadFile):
        await drain(library.pull("hf.co/Qwen/Tiny-GGUF:Q4_K_M", shop.airlock))
    assert blobs(home) == []
    assert await library.unfinished() == []


async def test_noise_from_the_hub_is_an_error_of_ours(shop: Shop, hub: Hub, library: Library, drain: Drain) -> None:
    shop.web.files["/api/models/Qwen/Tiny-GGUF/tree/c0ffee"] = b"<html>"
    with pytest.raises(BadFile, match="not what its interface promises"):
        await drain(library.pull("hf.co/Qwen/Tiny-GGUF", shop.airlock))


async def test_the_command_that_is_told_for_vectors_fetches_a_brain_for_them(
    shop: Shop, open_library: Open, gguf: Make, drain: Drain
) -> None:
    hub = Hub(shop.web, "nomic-ai/nomic-embed-text-v1.5-GGUF")
    changes = {"general__architecture": "nomic-bert", "tokenizer__chat_template": None}
    for quant in ("Q4_K_M", "Q8_0", "f16"):
        hub.file(f"nomic-embed-text-v1.5.{quant}.gguf", gguf(salt=quant, **changes))
    with pytest.raises(NotFound) as unknown:
        await shop.library(open_library).get("nomic-embed-text")
    assert unknown.value.hint == EMBEDDER_HINT
    library = open_library(environment={"HF_ENDPOINT": shop.web.url})  # with the cartridges that Omni ships
    (name,) = re.findall(r"omni pull (@\S+)`", EMBEDDER_HINT)
    for fresh in (True, False):
        done = (await drain(library.pull(name, shop.airlock)))[-1]
        assert (done.brain.name, done.brain.embeds, done.brain.usable, done.fresh) == (name, True, False, fresh)
    shop.web.files.clear()  # what is here is not asked for again
    assert not (await drain(library.pull(name, shop.airlock)))[-1].fresh
