"""Adapters that are pulled: with the cartridge that names them, or alone, for a brain that is here."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from omni.cartridges import Library, PullDone, PullProgress
from omni.core.errors import BadFile, NotFound, UsageError
from omni.core.paths import Home
from tests.cartridges.pull_tools import Drain, Make, Open, Shop, blobs, left, sha
from tests.cartridges.test_adapters import halves
from tests.cartridges.test_pull_hub import Hub

Write = Callable[..., Path]

CARTRIDGE = """
name = "@me/pirate"
version = "1.0.0"
title = "Pirate"
summary = "Talks like one."
licence = "Apache-2.0"

[base]
source = "cartridge"
name = "@omni/one"

[adapter]
file = "pirate.gguf"
repository = "me/pirate"
sha256 = "{sha256}"
scale = 0.5
"""


@pytest.fixture
def hub(shop: Shop) -> Hub:
    return Hub(shop.web, "me/pirate")


@pytest.fixture
def library(open_library: Open, shop: Shop) -> Library:
    return shop.library(open_library)


@pytest.fixture
def lora(gguf: Make) -> Make:
    """An adapter that fits what `gguf(ffn=48)` makes, or as its arguments say."""

    def make(*, of: str = "Tiny", repository: str = "", tensors: list[Any] | None = None, **changes: Any) -> bytes:
        facts: dict[str, str | None] = {"general__type": "adapter", "adapter__type": "lora", "general__name": "Pirate"}
        if of or repository:
            facts |= {"general__base_model__0__name": of}
            facts |= {
                "general__base_model__0__repo_url": f"https://huggingface.co/{repository}" if repository else None
            }
        shape = halves("blk.0.ffn_up.weight", width=256, rank=4, rows=48) if tensors is None else tensors
        return gguf(tensors=shape, **(facts | changes))

    return make


def cartridge(home: Home, sha256: str, text: str = CARTRIDGE) -> Path:
    folder = home.cartridges / "own" / "pirate"
    folder.mkdir(parents=True)
    (folder / "cartridge.toml").write_text(text.format(sha256=sha256))
    return folder


async def test_a_brain_is_pulled_with_the_adapter_that_its_cartridge_names(
    shop: Shop, hub: Hub, home: Home, library: Library, gguf: Make, lora: Make, drain: Drain
) -> None:
    shop.one(base := gguf(ffn=48))
    hub.file("pirate.gguf", data := lora())
    cartridge(home, sha(data))
    assert (await library.get("@me/pirate")).state == "available"
    events = await drain(library.pull("@me/pirate", shop.airlock))
    assert any(isinstance(event, PullProgress) and event.what == "the adapter" for event in events)
    assert [type(event) for event in events].count(PullDone) == 1
    brain = events[-1].brain
    assert (brain.name, brain.usable, brain.shares, events[-1].fresh) == ("@me/pirate", True, "@omni/one", True)
    assert (brain.adapter.path, brain.adapter.scale) == (str(home.blobs / f"sha256-{sha(data)}"), 0.5)
    assert blobs(home) == sorted([f"sha256-{sha(base)}", f"sha256-{sha(data)}"])
    assert left(home) == []
    assert await library.adapters() == {brain.base.id: (brain.adapter.path,)}
    assert not (await drain(library.pull("@me/pirate", shop.airlock)))[-1].fresh


async def test_where_only_the_adapter_is_missing_only_that_is_fetched(
    shop: Shop, hub: Hub, home: Home, library: Library, gguf: Make, lora: Make, drain: Drain
) -> None:
    wheel = shop.one(gguf(ffn=48))
    hub.file("pirate.gguf", data := lora())
    cartridge(home, sha(data))
    await drain(library.pull("@omni/one", shop.airlock))
    brain = await library.get("@me/pirate")
    assert (brain.state, brain.reason, brain.command) == (
        "available", "its adapter is not here yet", "omni pull @me/pirate"
    )  # fmt: skip
    del shop.web.files[wheel]
    assert (await drain(library.pull("@me/pirate", shop.airlock)))[-1].brain.usable
    assert await library.collect() == 0  # what a brain needs stays
    assert await library.remove("@me/pirate") == len(data)
    assert (await library.get("@me/pirate")).state == "available"
    assert (await library.get("@omni/one")).usable


async def test_another_adapter_than_the_cartridge_names_is_refused_and_nothing_of_it_stays(
    shop: Shop, hub: Hub, home: Home, library: Library, gguf: Make, lora: Make, drain: Drain
) -> None:
    shop.one(base := gguf(ffn=48))
    hub.file("pirate.gguf", lora())
    cartridge(home, "0" * 64)
    with pytest.raises(BadFile, match=r"holds another pirate\.gguf than the one that @me/pirate was made with"):
        await drain(library.pull("@me/pirate", shop.airlock))
    hub.items[-1].pop("lfs")  # the hub tells no hash, and the file has another one
    shop.web.files["/api/models/me/pirate/tree/c0ffee"] = json.dumps(hub.items).encode()
    with pytest.raises(BadFile, match="sha256"):
        await drain(library.pull("@me/pirate", shop.airlock))
    assert blobs(home) == [f"sha256-{sha(base)}"]


async def test_an_adapter_beside_its_manifest_is_not_fetched(
    shop: Shop, home: Home, library: Library, gguf: Make, lora: Make, drain: Drain
) -> None:
    shop.one(gguf(ffn=48))
    path = cartridge(home, sha(lora())) / "pirate.gguf"
    path.write_bytes(lora())
    brain = (await drain(library.pull("@me/pirate", shop.airlock)))[-1].brain
    assert (brain.usable, brain.adapter.path) == (True, str(path))


@pytest.mark.parametrize(
    "named",
    [
        {"of": "Tiny"},
        {"of": "tiny"},
        {"of": "Other", "repository": "Qwen/Tiny"},
        {"of": "", "repository": "Qwen/Tiny-GGUF"},
    ],
)
async def test_a_repository_that_holds_an_adapter_only_is_a_brain_on_the_base_that_it_names(
    shop: Shop, hub: Hub, home: Home, library: Library, gguf: Make, lora: Make, drain: Drain, named: dict[str, str]
) -> None:
    shop.one(gguf(ffn=48))
    await drain(library.pull("@omni/one", shop.airlock))
    hub.file("pirate-f16.gguf", data := lora(**named))
    brain = (await drain(library.pull("hf.co/me/pirate", shop.airlock)))[-1].brain
    assert (brain.name, brain.state, brain.shares) == ("hf.co/me/pirate:F16", "installed", "@omni/one")
    assert (brain.adapter.path, brain.adapter.sha256) == (str(home.blobs / f"sha256-{sha(data)}"), sha(data))
    assert (await library.get("@omni/one")).adapter is None
    assert await library.adapters() == {brain.base.id: (brain.adapter.path,)}
    assert await library.collect() == 0
    assert not (await drain(library.pull("hf.co/me/pirate:F16", shop.airlock)))[-1].fresh
    assert (await drain(library.verify(brain.name)))[-1].ok
    (home.blobs / f"sha256-{sha(data)}").write_bytes(data[:-1] + b"x")
    verified = (await drain(library.verify(brain.name)))[-1]
    assert (verified.ok, "its adapter" in verified.detail) == (False, True)
    assert await library.remove("hf.co/me/pirate:F16") == len(data)
    assert (await library.get("@omni/one")).usable
    with pytest.raises(NotFound):
        await library.get("hf.co/me/pirate:F16")


async def test_an_adapter_whose_base_is_not_here_says_which_and_is_not_fetched_again(
    shop: Shop,
    hub: Hub,
    home: Home,
    library: Library,
    gguf: Make,
    lora: Make,
    drain: Drain,
    write_gguf: Write,
    tmp_path: Path,
) -> None:
    hub.file("pirate-f16.gguf", lora(of="Giant 7B", repository="big/Giant-7B"))
    with pytest.raises(NotFound, match=r"hf.co/me/pirate:F16 is an adapter for Giant 7B, which is not here") as absent:
        await drain(library.pull("hf.co/me/pirate", shop.airlock))
    assert "omni pull hf.co/me/pirate:F16 --base BRAIN" in absent.value.hint
    await library.add(write_gguf(tmp_path / "mine.gguf", ffn=48))
    with pytest.raises(NotFound) as absent:
        await drain(library.pull("hf.co/me/pirate", shop.airlock))
    assert "Of its shape: @me/mine" in absent.value.hint
    del shop.web.files["/me/pirate/resolve/c0ffee/pirate-f16.gguf"]
    done = (await drain(library.pull("hf.co/me/pirate", shop.airlock, base="mine")))[-1]
    assert (done.brain.usable, done.brain.shares) == (True, "@me/mine")


async def test_an_adapter_of_no_name_needs_one(
    shop: Shop, hub: Hub, library: Library, lora: Make, drain: Drain, write_gguf: Write, tmp_path: Path
) -> None:
    await library.add(write_gguf(tmp_path / "mine.gguf", ffn=48))
    hub.file("pirate-f16.gguf", lora(of=""))
    with pytest.raises(UsageError, match="does not say which brain it was made for") as unnamed:
        await drain(library.pull("hf.co/me/pirate", shop.airlock))
    assert "--base BRAIN`. Of its shape: @me/mine" in unnamed.value.hint


@pytest.mark.parametrize("base", ["", "mine"])
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"tensors": halves("blk.0.ffn_up.weight", width=576, rank=4, rows=48)}, "256 × 48 numbers, .*for 576 × 48"),
        ({"tensors": halves("blk.0.ffn_up.weight", width=256, rank=4, rows=48, other=8)}, "have the ranks 4 and 8"),
        (
            {"tensors": halves("blk.9.ffn_up.weight", width=256, rank=4, rows=48)},
            r"blk\.9\.ffn_up\.weight, which its base",
        ),
        ({"general__architecture": "qwen2"}, "made for 'qwen2', and its base is 'llama'"),
    ],
)
async def test_an_adapter_for_another_base_says_what_of_it_does_not_fit(
    shop: Shop, hub: Hub, library: Library, lora: Make, drain: Drain, write_gguf: Write, tmp_path: Path, base: str, changes: Any, reason: str
) -> None:  # fmt: skip
    await library.add(write_gguf(tmp_path / "mine.gguf", ffn=48))
    hub.file("pirate-f16.gguf", lora(**changes))
    with pytest.raises(BadFile, match=f"hf.co/me/pirate:F16 does not go on @me/mine: .*{reason}") as wrong:
        await drain(library.pull("hf.co/me/pirate", shop.airlock, base=base))
    assert wrong.value.hint == "It was made for Tiny."
    assert await library.adapters() == {}


async def test_a_file_that_is_an_adapter_is_used_where_it_lies(
    shop: Shop, library: Library, lora: Make, drain: Drain, write_gguf: Write, tmp_path: Path
) -> None:
    base = await library.add(write_gguf(tmp_path / "mine.gguf", ffn=48))
    path = tmp_path / "Pirate LoRA.gguf"
    path.write_bytes(lora(of=""))
    with pytest.raises(UsageError, match="does not say which"):
        await drain(library.pull(str(path), shop.airlock))
    brain = (await drain(library.pull(str(path), shop.airlock, base="@me/mine")))[-1].brain
    assert (brain.name, brain.shares, brain.adapter.path) == ("@me/pirate-lora", "@me/mine", str(path))
    assert base.base is not None
    assert brain.base.id == base.base.id
    path.unlink()
    brain = await library.get("@me/pirate-lora")
    assert (brain.state, "There is no file" in brain.reason) == ("unloadable", True)
    assert await library.adapters() == {}  # so that the others on its base can be loaded
    assert await library.remove("@me/pirate-lora") == 0


async def test_a_base_is_named_for_adapters_only(
    shop: Shop, hub: Hub, home: Home, library: Library, gguf: Make, drain: Drain, write_gguf: Write, tmp_path: Path
) -> None:
    shop.one(gguf(ffn=48))
    path = write_gguf(tmp_path / "mine.gguf")
    await library.add(path)
    for name, reason in (
        (str(path), "is no adapter"),
        ("@omni/one", "says itself what its base is"),
    ):
        with pytest.raises(UsageError, match=reason):
            await drain(library.pull(name, shop.airlock, base="mine"))
    hub.file("tiny-f16.gguf", gguf(salt="other"))
    with pytest.raises(NotFound):
        await drain(library.pull("hf.co/me/pirate", shop.airlock, base="nobody"))
    done = (await drain(library.pull("hf.co/me/pirate", shop.airlock, base="mine")))[-1]
    assert done.remark == "hf.co/me/pirate:F16 is no adapter, and goes on no other brain."
    assert (done.brain.usable, done.brain.adapter, done.fresh) == (True, None, True)
    assert left(home) == []
    del shop.web.files["/me/pirate/resolve/c0ffee/tiny-f16.gguf"]
    with pytest.raises(UsageError, match="is no adapter"):  # which is known now, before anything is asked for again
        await drain(library.pull("hf.co/me/pirate", shop.airlock, base="mine"))


@pytest.mark.parametrize("told_by", ["parts", "projector", "size"])
async def test_what_cannot_be_an_adapter_is_not_fetched_for_a_base(
    shop: Shop,
    hub: Hub,
    home: Home,
    library: Library,
    gguf: Make,
    drain: Drain,
    write_gguf: Write,
    tmp_path: Path,
    told_by: str,
) -> None:
    await library.add(write_gguf(tmp_path / "mine.gguf"))
    host = (await library.get("mine")).base
    assert host is not None
    data = gguf(salt="other")
    if told_by == "parts":
        for number in (1, 2):
            hub.file(f"tiny-f16-0000{number}-of-00002.gguf", data)
    else:
        hub.file("tiny-f16.gguf", data, size=4 * host.header.parameters + 1 if told_by == "size" else None)
    if told_by == "projector":
        hub.file("mmproj-tiny-f16.gguf", data)
    for path in list(shop.web.files):
        if "/resolve/" in path:
            del shop.web.files[path]
    with pytest.raises(UsageError, match="is no adapter, and goes on no other brain"):
        await drain(library.pull("hf.co/me/pirate", shop.airlock, base="mine"))
    assert blobs(home) == []


async def test_an_adapter_that_another_brain_stands_on_stays_when_its_cartridge_goes(
    shop: Shop, hub: Hub, home: Home, library: Library, gguf: Make, lora: Make, drain: Drain
) -> None:
    shop.one(gguf(ffn=48))
    hub.file("pirate-f16.gguf", data := lora())
    cartridge(home, sha(data), CARTRIDGE.replace('file = "pirate.gguf"', 'file = "pirate-f16.gguf"'))
    await drain(library.pull("@me/pirate", shop.airlock))
    await drain(library.pull("hf.co/me/pirate", shop.airlock, base="@omni/one"))
    assert await library.remove("@me/pirate") == 0
    assert (await library.get("hf.co/me/pirate:F16")).usable


async def test_an_adapter_does_not_change_its_base_without_a_word(
    shop: Shop, library: Library, lora: Make, drain: Drain, write_gguf: Write, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        await library.add(write_gguf(tmp_path / f"{name}.gguf", ffn=48, salt=name))
    path = tmp_path / "pirate.gguf"
    path.write_bytes(lora(of=""))
    await drain(library.pull(str(path), shop.airlock, base="@me/a"))
    with pytest.raises(UsageError, match="is here already, on the base of @me/a") as refused:
        await drain(library.pull(str(path), shop.airlock, base="@me/b"))
    assert "omni rm @me/pirate" in str(refused.value.hint)
    assert (await library.get("@me/pirate")).shares == "@me/a"


async def test_a_brain_that_an_adapter_goes_on_is_not_removed_from_below_it(
    shop: Shop, library: Library, lora: Make, drain: Drain, write_gguf: Write, tmp_path: Path
) -> None:
    await library.add(write_gguf(tmp_path / "a.gguf", ffn=48))
    path = tmp_path / "pirate.gguf"
    path.write_bytes(lora(of=""))
    await drain(library.pull(str(path), shop.airlock, base="@me/a"))
    with pytest.raises(UsageError, match="@me/pirate is an adapter that goes on it"):
        await library.remove("@me/a")
    await library.remove("@me/pirate")
    assert await library.remove("@me/a") == 0


async def test_of_two_who_put_one_adapter_on_two_bases_at_once_the_second_is_told(
    shop: Shop, library: Library, lora: Make, drain: Drain, write_gguf: Write, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        await library.add(write_gguf(tmp_path / f"{name}.gguf", ffn=48, salt=name))
    path = tmp_path / "pirate.gguf"
    path.write_bytes(lora(of=""))
    pulls = [drain(library.pull(str(path), shop.airlock, base=f"@me/{name}")) for name in ("a", "b")]
    ends = await asyncio.gather(*pulls, return_exceptions=True)
    [refused] = [end for end in ends if isinstance(end, BaseException)]
    assert isinstance(refused, UsageError)
    [[*_, done]] = [end for end in ends if not isinstance(end, BaseException)]
    assert f"is here already, on the base of {done.brain.shares}, and would go on" in refused.message
    assert (await library.get(done.brain.name)).shares == done.brain.shares
