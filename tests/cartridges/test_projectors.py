"""Projectors: which file lets which model see, wherever it lies, and what becomes of it."""

import hashlib
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from omni.cartridges import Brain, Library, PullProgress, pulls
from omni.cartridges.gguf import read_header
from omni.cartridges.holds import in_thread, pulling
from omni.cartridges.projectors import beside, in_repository, look
from omni.cartridges.sources import resolve_url
from omni.core.errors import BadFile, NotFound, UsageError
from omni.core.paths import Home
from tests.cartridges.pull_tools import Drain, Make, Open, Shop, blobs, left, sha
from tests.cartridges.test_pull_hub import Hub
from tests.image_tools import write_projector

WIDTH = 256  # of the models of these tests


@pytest.fixture
def eyes(tmp_path: Path) -> bytes:
    """A projector for them."""
    return write_projector(tmp_path / "made.gguf", width=WIDTH).read_bytes()


@pytest.mark.parametrize(
    ("model", "others", "projector"),
    [
        ("m/Tiny-Q4_K_M.gguf", ["m/mmproj-model-f16.gguf"], "m/mmproj-model-f16.gguf"),
        ("m/Tiny-Q4_K_M.gguf", ["m/mmproj-F16.gguf", "m/Tiny-Q8_0.gguf"], "m/mmproj-F16.gguf"),
        ("m/Tiny-Q4_K_M.gguf", ["m/mmproj-F32.gguf", "m/mmproj-BF16.gguf", "m/mmproj-Q8_0.gguf"], "m/mmproj-Q8_0.gguf"),
        ("m/Tiny-Q4_K_M.gguf", ["m/mmproj-Tiny-f16.gguf", "m/Other-Q4_0.gguf"], "m/mmproj-Tiny-f16.gguf"),
        ("m/Tiny-Q4_K_M.gguf", ["m/Tiny-mmproj-fp16.gguf", "m/Other-Q4_0.gguf"], "m/Tiny-mmproj-fp16.gguf"),
        ("m/Tiny-Q4_K_M.gguf", ["m/mmproj-Other-f16.gguf", "m/Other-Q4_0.gguf"], ""),
        ("m/Tiny-Q4_K_M.gguf", ["m/mmproj-f16.gguf", "m/Other-Q4_0.gguf"], ""),  # whose it is, nobody knows
        ("m/Tiny-Q4_K_M.gguf", ["n/mmproj-Tiny-f16.gguf"], ""),
        ("m/Tiny-Q4_K_M.gguf", ["m/mmproj-Tiny-f16.txt", "m/Tiny-Q8_0.gguf"], ""),
        (
            "m/Tiny-4b-Q4_0.gguf",
            ["m/mmproj-Tiny-4b-f16.gguf", "m/mmproj-Tiny-4b-it-f16.gguf"],
            "m/mmproj-Tiny-4b-f16.gguf",
        ),
        ("m/mmproj-Tiny-f16.gguf", ["m/mmproj-Tiny-f32.gguf"], ""),
        ("m/Q4_0.gguf", ["m/mmproj-Tiny-f16.gguf", "m/Other-Q4_0.gguf"], ""),
    ],
)
def test_the_projector_of_a_model_is_known_by_its_name(model: str, others: list[str], projector: str) -> None:
    assert beside(model, [model, *others]) == projector


def test_projectors_may_lie_above_the_models_of_a_repository() -> None:
    names = ["Q4_0/tiny-Q4_0.gguf", "Q8_0/tiny-Q8_0.gguf", "mmproj-F32.gguf", "mmproj-F16.gguf"]
    assert in_repository(names[0], names) == "mmproj-F16.gguf"
    assert in_repository("tiny.gguf", ["tiny.gguf"]) == ""


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"width": 128}, "gives 128 numbers a token, not 256"),
        ({"clip__has_vision_encoder": None, "clip__has_audio_encoder": True}, "for sound"),
        ({"general__architecture": "llama", "general__type": "model"}, "no projector"),
    ],
)
def test_a_projector_that_cannot_be_this_models_is_not_used(
    tmp_path: Path, gguf: Make, changes: dict[str, Any], said: str
) -> None:
    (tmp_path / "model.gguf").write_bytes(gguf())
    path = write_projector(tmp_path / "mmproj.gguf", **{"width": WIDTH, **changes})
    assert look(path, model := read_header(tmp_path / "model.gguf")) == (None, look(path, model)[1])
    assert said in look(path, model)[1]


def test_what_an_old_projector_says_of_its_width_is_not_believed(tmp_path: Path, gguf: Make) -> None:
    (tmp_path / "model.gguf").write_bytes(gguf())
    path = write_projector(tmp_path / "mmproj.gguf", width=WIDTH, general__type=None, clip__vision__projection_dim=768)
    projector, _ = look(path, read_header(tmp_path / "model.gguf"))
    assert projector is not None
    assert (projector.kind, projector.size, projector.looks_at_once) == ("mlp", path.stat().st_size, False)
    path.write_bytes(path.read_bytes()[:-100])
    assert "truncated" in look(path, read_header(tmp_path / "model.gguf"))[1]
    assert "no file" in look(tmp_path / "none.gguf", read_header(tmp_path / "model.gguf"))[1]


def put(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def seen_with(brain: Brain) -> str:
    """The name of its projector's file."""
    assert brain.base is not None
    return Path(brain.base.projector.path).name if brain.base.projector else ""


async def test_what_lies_beside_a_file_that_is_added_is_used(library: Library, tmp_path: Path, gguf: Make) -> None:
    model = put(tmp_path / "m/Tiny-Q4_K_M.gguf", gguf())
    assert not (await library.add(model)).vision
    write_projector(tmp_path / "m/mmproj-Tiny-F16.gguf", width=128)
    brain = await library.add(model)
    assert not brain.vision
    assert brain.base is not None
    assert "made for another model" in brain.base.blind
    write_projector(tmp_path / "m/mmproj-Tiny-F16.gguf", width=WIDTH)
    brain = await library.add(tmp_path / "m")
    assert (brain.vision, seen_with(brain)) == (True, "mmproj-Tiny-F16.gguf")


async def test_what_an_earlier_omni_wrote_of_projectors_is_still_known(
    open_library: Open, home: Home, gguf: Make, tmp_path: Path
) -> None:
    library = open_library()
    model = put(tmp_path / "m/Tiny-Q4_K_M.gguf", gguf())
    write_projector(tmp_path / "m/mmproj-Tiny-F16.gguf", width=WIDTH)
    await library.add(model)
    await library.close()
    with sqlite3.connect(home.library) as rows:
        rows.execute("DELETE FROM migrations WHERE name = 'projector'")
        rows.execute("UPDATE bases SET data = replace(data, '\"projector\":', '\"eyes\":')")
    known = {seen_with(brain) for brain in await open_library().brains() if brain.origin == "file"}
    assert known == {"mmproj-Tiny-F16.gguf"}


async def test_projectors_in_the_stores_of_other_programs_are_used(
    library: Library, tmp_path: Path, gguf: Make, eyes: bytes
) -> None:
    user = tmp_path / "user"
    put(user / ".lmstudio/models/a/Studio-GGUF/Studio-Q4_K_M.gguf", gguf(salt="1"))
    put(user / ".lmstudio/models/a/Studio-GGUF/mmproj-model-f16.gguf", eyes)
    cache = user / ".cache/llama.cpp"
    put(cache / "a_Cpp-GGUF_Cpp-Q4_K_M.gguf", gguf(salt="2"))
    put(cache / "a_Cpp-GGUF_mmproj-Cpp-f16.gguf", eyes)
    named = {"ggufFile": {"rfilename": "Cpp-Q4_K_M.gguf"}, "mmprojFile": {"rfilename": "mmproj-Cpp-f16.gguf"}}
    (cache / "manifest=a=Cpp-GGUF=Q4_K_M.json").write_text(json.dumps(named))
    snapshot = user / ".cache/huggingface/hub/models--a--Face-GGUF/snapshots/c0ffee"
    put(snapshot / "Face-Q4_K_M.gguf", gguf(salt="3"))
    put(snapshot / "mmproj-F16.gguf", eyes)
    store = user / ".ollama/models"
    layers = []
    for kind, data in {"model": gguf(salt="4"), "projector": eyes}.items():
        digest = hashlib.sha256(data).hexdigest()
        put(store / f"blobs/sha256-{digest}", data)
        layers.append({"mediaType": f"application/vnd.ollama.image.{kind}", "digest": f"sha256:{digest}"})
    put(store / "manifests/registry.ollama.ai/library/llava/7b", json.dumps({"layers": layers}).encode())
    vision = {brain.name: brain.vision for brain in await library.scan() if brain.usable}
    assert vision == {
        "studio": True,
        "hf.co/a/Cpp-GGUF:Q4_K_M": True,
        "hf.co/a/Face-GGUF:Q4_K_M": True,
        "llava:7b": True,
    }


async def test_a_repositorys_projector_is_pulled_along_and_removed_with_its_model(
    shop: Shop, open_library: Open, home: Home, gguf: Make, drain: Drain, eyes: bytes
) -> None:
    hub, library = Hub(shop.web), shop.library(open_library)
    hub.file("tiny-Q4_K_M.gguf", model := gguf())
    hub.file("tiny-Q8_0.gguf", gguf(salt="8"))
    hub.file("mmproj-tiny-F32.gguf", eyes + b"0")
    hub.file("mmproj-tiny-F16.gguf", eyes)
    events = await drain(library.pull("hf.co/Qwen/Tiny-GGUF:Q4_K_M", shop.airlock))
    assert "the projector" in [event.what for event in events if isinstance(event, PullProgress)]
    brain = events[-1].brain
    assert (brain.vision, seen_with(brain)) == (True, f"sha256-{sha(eyes)}")
    assert blobs(home) == sorted([f"sha256-{sha(model)}", f"sha256-{sha(eyes)}"])
    assert await library.collect() == 0
    other = (await drain(library.pull("hf.co/Qwen/Tiny-GGUF:Q8_0", shop.airlock)))[-1].brain
    assert other.vision
    assert (await drain(library.verify(brain.name)))[-1].ok
    assert sum(path.endswith("mmproj-tiny-F16.gguf") for path, _ in shop.web.asked) == 1
    assert await library.remove(brain.name) == len(model)
    assert await library.remove(other.name) == other.size + len(eyes)
    assert blobs(home) == []


async def test_a_damaged_projector_is_noticed_and_brought_anew(
    shop: Shop, open_library: Open, home: Home, gguf: Make, drain: Drain, eyes: bytes
) -> None:
    hub, library = Hub(shop.web), shop.library(open_library)
    hub.file("tiny-Q4_K_M.gguf", gguf())
    hub.file("mmproj-tiny-F16.gguf", eyes)
    name = (await drain(library.pull("hf.co/Qwen/Tiny-GGUF:Q4_K_M", shop.airlock)))[-1].brain.name
    (home.blobs / f"sha256-{sha(eyes)}").write_bytes(eyes[:-1] + b"x")
    checked = (await drain(library.verify(name)))[-1]
    assert (checked.ok, "projector" in checked.detail) == (False, True)
    assert not (home.blobs / f"sha256-{sha(eyes)}").exists()
    brain = await library.get(name)
    assert (brain.usable, brain.vision) == (True, False)
    await library.remove(name)
    assert (await drain(library.pull(name, shop.airlock)))[-1].brain.vision
    assert (await drain(library.verify(name)))[-1].ok


async def test_of_a_damaged_model_its_damage_is_told_beside_that_of_its_projector(
    shop: Shop, open_library: Open, home: Home, gguf: Make, drain: Drain, eyes: bytes
) -> None:
    hub, library = Hub(shop.web), shop.library(open_library)
    hub.file("tiny-Q4_K_M.gguf", model := gguf())
    hub.file("mmproj-tiny-F16.gguf", eyes)
    name = (await drain(library.pull("hf.co/Qwen/Tiny-GGUF:Q4_K_M", shop.airlock)))[-1].brain.name
    for data in (model, eyes):
        (home.blobs / f"sha256-{sha(data)}").write_bytes(data[:-1] + b"x")
    detail = (await drain(library.verify(name)))[-1].detail
    assert "sha256" in detail
    assert "projector" in detail
    assert (await library.get(name)).state == "corrupt"


async def test_eyes_that_ended_a_worker_are_not_used_again(
    open_library: Open, tmp_path: Path, gguf: Make, eyes: bytes
) -> None:
    library = open_library()
    model, projector = put(tmp_path / "m/x.gguf", gguf()), put(tmp_path / "m/mmproj-f16.gguf", eyes)
    brain = await library.add(model)
    assert brain.base is not None
    assert brain.base.projector is not None
    await library.drop_projector(brain.base.id, brain.base.projector)
    for current in (await library.get(brain.name), await library.add(model)):
        assert current.base is not None
        assert current.usable
        assert (current.vision, current.base.blind[:34]) == (False, "its projector ended the engine (mm")
    put(projector, eyes + bytes(32))  # another one has a chance
    assert (await library.add(model)).vision
    await library.drop_projector(brain.base.id, brain.base.projector)  # the first ones, which are no longer its own
    assert (await library.get(brain.name)).vision


async def test_eyes_are_not_lost_to_another_name_of_the_model(
    library: Library, tmp_path: Path, gguf: Make, eyes: bytes
) -> None:
    store = tmp_path / "user/.ollama/models"

    def write(name: str, **layers: bytes) -> None:
        descriptors = []
        for kind, data in layers.items():
            digest = hashlib.sha256(data).hexdigest()
            put(store / f"blobs/sha256-{digest}", data)
            descriptors.append({"mediaType": f"application/vnd.ollama.image.{kind}", "digest": f"sha256:{digest}"})
        put(store / f"manifests/registry.ollama.ai/library/{name}", json.dumps({"layers": descriptors}).encode())

    write("llava/7b", model=gguf(), projector=eyes)
    write("later/7b", model=gguf())
    write("worse/7b", model=gguf(), projector=b"junk")
    for _ in range(2):
        vision = {brain.name: brain.vision for brain in await library.scan() if brain.usable}
        assert vision == {"llava:7b": True, "later:7b": True, "worse:7b": True}
    (store / f"blobs/sha256-{sha(eyes)}").unlink()
    assert not any(brain.vision for brain in await library.scan())


async def test_a_projector_that_is_none_leaves_the_brain_blind(
    shop: Shop, open_library: Open, home: Home, gguf: Make, drain: Drain
) -> None:
    hub, library = Hub(shop.web), shop.library(open_library)
    hub.file("tiny-Q4_K_M.gguf", model := gguf())
    hub.file("mmproj-tiny-F16.gguf", b"not a projector, and not even a GGUF file")
    brain = (await drain(library.pull("hf.co/Qwen/Tiny-GGUF:Q4_K_M", shop.airlock)))[-1].brain
    assert (brain.usable, brain.vision) == (True, False)
    assert brain.base is not None
    assert "its projector cannot be used" in brain.base.blind
    assert blobs(home) == [f"sha256-{sha(model)}"]


@pytest.mark.parametrize("named", [True, False])
async def test_a_cartridge_has_the_projector_that_its_manifest_names(
    shop: Shop, open_library: Open, gguf: Make, drain: Drain, eyes: bytes, named: bool
) -> None:
    hub, library = Hub(shop.web), shop.library(open_library)
    more = 'projector = "mmproj-tiny-F16.gguf"\n' if named else ""
    shop.cartridge("hub", f'source = "huggingface"\nrepository = "Qwen/Tiny-GGUF"\nfile = "tiny-Q4_K_M.gguf"\n{more}')
    hub.file("tiny-Q4_K_M.gguf", gguf())
    hub.file("mmproj-tiny-F16.gguf", eyes)
    await drain(library.pull("@omni/hub", shop.airlock))
    assert (await library.get("@omni/hub")).vision == named


async def test_a_projector_at_an_address_is_compared_with_its_hash(
    shop: Shop, open_library: Open, gguf: Make, drain: Drain, eyes: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = shop.library(open_library)
    shop.web.files["/tiny.gguf"], shop.web.files["/mmproj.gguf"] = gguf(), eyes
    bases = {"good": f"#sha256={sha(eyes)}", "bare": "", "bad": f"#sha256={'0' * 64}"}
    monkeypatch.setattr(pulls, "resolve_url", lambda url, **more: resolve_url(url.replace("https:", "http:"), **more))
    host = shop.web.url.replace("http:", "https:")
    for name, more in bases.items():
        shop.cartridge(name, f'source = "url"\nurl = "{host}/tiny.gguf"\nprojector = "{host}/mmproj.gguf{more}"\n')
    vision = {
        name: (await drain(library.pull(f"@omni/{name}", shop.airlock)))[-1].brain.vision for name in ("good", "bare")
    }
    assert vision == {"good": True, "bare": True}
    await library.remove("@omni/good")
    await library.remove("@omni/bare")
    assert not (await drain(library.pull("@omni/bad", shop.airlock)))[-1].brain.vision


async def test_a_model_that_is_its_own_projector_is_refused(
    shop: Shop, open_library: Open, gguf: Make, drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulls, "resolve_url", lambda url, **more: resolve_url(url.replace("https:", "http:"), **more))
    shop.web.files["/tiny.gguf"] = gguf()
    url = shop.web.url.replace("http:", "https:") + "/tiny.gguf"
    shop.cartridge("own", f'source = "url"\nurl = "{url}"\nprojector = "{url}"\n')
    with pytest.raises(UsageError, match="its own file as its projector"):
        await drain(shop.library(open_library).pull("@omni/own", shop.airlock))


async def test_widths_that_an_earlier_omni_did_not_read_are_read(
    shop: Shop, open_library: Open, home: Home, gguf: Make, drain: Drain, tmp_path: Path
) -> None:
    hub, library = Hub(shop.web), shop.library(open_library)
    hub.file("tiny-Q4_K_M.gguf", gguf())
    await drain(library.pull("hf.co/Qwen/Tiny-GGUF:Q4_K_M", shop.airlock))
    more = 'file = "tiny-Q4_K_M.gguf"\nprojector = "mmproj-tiny-F16.gguf"\n'
    shop.cartridge("hub", f'source = "huggingface"\nrepository = "Qwen/Tiny-GGUF"\n{more}')
    user = shop.shipped.parent / "user/.lmstudio/models/a/Studio-GGUF"
    put(user / "Studio-Q4_K_M.gguf", gguf(salt="1"))
    await library.scan()
    await library.close()
    with sqlite3.connect(home.library) as rows:  # as it was before
        rows.execute("DELETE FROM migrations WHERE name = 'widths'")
        rows.execute("UPDATE bases SET data = json_remove(data, '$.header.width')")
        rows.execute("UPDATE headers SET header = json_remove(header, '$.width')")
    library = shop.library(open_library)
    hub.file("mmproj-tiny-F16.gguf", other := write_projector(tmp_path / "other.gguf", width=128).read_bytes())
    put(user / "mmproj-model-f16.gguf", other)
    assert not any(brain.vision for brain in await library.scan())
    brain = (await drain(library.pull("@omni/hub", shop.airlock)))[-1].brain
    assert not brain.vision
    assert "128 numbers a token, not 256" in brain.base.blind


async def test_an_export_carries_the_projector(
    open_library: Open, tmp_path: Path, gguf: Make, eyes: bytes, home: Home, drain: Drain
) -> None:
    library = open_library()
    put(tmp_path / "m/mmproj-f16.gguf", eyes)
    brain = await library.add(put(tmp_path / "m/x.gguf", gguf()))
    await drain(library.export([brain.name], tmp_path / "usb"))
    assert {path.name for path in (tmp_path / "usb/brains").iterdir()} == {"brains.json", "x.gguf", "mmproj-x.gguf"}
    await library.remove(brain.name)
    back = await library.add(tmp_path / "usb")
    assert (back.vision, seen_with(back)) == (True, f"sha256-{sha(eyes)}")
    assert await library.collect() == 0
    await library.remove(back.name)
    assert blobs(home) == []
    put(tmp_path / "usb/brains/mmproj-x.gguf", eyes[:-1] + b"x")
    with pytest.raises(BadFile, match="damaged"):
        await library.add(tmp_path / "usb")
    assert blobs(home) == left(home) == []
    (tmp_path / "usb/brains/mmproj-x.gguf").unlink()
    with pytest.raises(NotFound, match="missing"):
        await library.add(tmp_path / "usb")
    assert blobs(home) == left(home) == []
    put(tmp_path / "usb/brains/mmproj-x.gguf", eyes)
    async with in_thread(pulling(home, sha(eyes))):
        with pytest.raises(UsageError, match="by another Omni now"):
            await library.add(tmp_path / "usb")
    assert (await library.add(tmp_path / "usb")).vision


async def test_a_list_that_names_no_hashes_is_no_export(
    library: Library, tmp_path: Path, gguf: Make, drain: Drain
) -> None:
    brain = await library.add(put(tmp_path / "m/x.gguf", gguf()))
    await drain(library.export([brain.name], tmp_path / "usb"))
    listed = tmp_path / "usb/brains/brains.json"
    listed.write_text(listed.read_text().replace(sha(gguf()), "../../../" + "0" * 55))
    with pytest.raises(BadFile, match="names no sha256"):
        await library.add(tmp_path / "usb")


async def test_without_its_projector_a_brain_is_exported_when_it_is_known_to_be_blind(
    open_library: Open, tmp_path: Path, gguf: Make, eyes: bytes, drain: Drain
) -> None:
    library = open_library()
    projector = put(tmp_path / "m/mmproj-f16.gguf", eyes)
    brain = await library.add(put(tmp_path / "m/x.gguf", gguf()))
    projector.unlink()
    with pytest.raises(NotFound, match=r"mmproj-f16.gguf is not there") as missing:
        await drain(library.export([brain.name], tmp_path / "usb"))
    assert not (tmp_path / "usb").exists()
    assert str(tmp_path / "m/x.gguf") in missing.value.hint
    assert not (await library.add(tmp_path / "m/x.gguf")).vision
    await drain(library.export([brain.name], tmp_path / "usb"))
    assert {path.name for path in (tmp_path / "usb/brains").iterdir()} == {"brains.json", "x.gguf"}


async def test_a_manifest_says_where_a_projector_lies(shop: Shop, open_library: Open) -> None:
    shop.cartridge("bad", 'source = "url"\nurl = "https://x/y.gguf"\nprojector = "ftp://x/mmproj.gguf"\n')
    with pytest.raises(UsageError, match="projector"):
        await shop.library(open_library).brains()
