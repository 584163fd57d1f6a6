"""What other programs have and cannot be used: what is not whole yet, what is in a form of their own; and what helps."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from omni.cartridges import Library
from omni.core.errors import BadFile, NotFound
from omni.core.settings import BrainsSettings, Settings
from tests.cartridges.test_finders import Ollama, found, snapshot

Make = Callable[..., bytes]
Open = Callable[..., Library]
VISION = (("v.blk.0.attn_q.weight", (8,), 0), ("mm.input_projection.weight", (8,), 0))


@pytest.fixture
def ollama(tmp_path: Path) -> Ollama:
    return Ollama(tmp_path / "user" / ".ollama" / "models")


@pytest.mark.parametrize(
    ("name", "changes", "reason", "command"),
    [
        (
            "gemma3/4b",
            {"general__architecture": "gemma3", "gemma3__block_count": 34, "more": VISION},
            "Ollama keeps it in a form of its own engine: what it sees or hears with is inside of the model's file",
            "omni pull hf.co/ggml-org/gemma-3-4b-it-GGUF",
        ),
        (
            "medgemma/4b",  # of the same form and size, and another model
            {"general__architecture": "gemma3", "gemma3__block_count": 34, "more": VISION},
            "Ollama keeps it in a form of its own engine",
            "omni pull hf.co/OWNER/REPOSITORY:QUANT",
        ),
        (
            "qwen2.5vl/7b",
            {"general__architecture": "qwen25vl", "qwen25vl__block_count": 28},
            "this engine does not know the architecture 'qwen25vl'",
            "omni pull hf.co/ggml-org/Qwen2.5-VL-7B-Instruct-GGUF",
        ),
        (
            "gpt-oss/20b",
            {"general__architecture": "gptoss", "gptoss__block_count": 24},
            "this engine does not know the architecture 'gptoss'",
            "omni pull @omni/gpt-oss-20b",
        ),
        (
            "llama4/maverick",
            {"general__architecture": "llama4", "llama4__block_count": 48, "llama4__expert_count": 128, "more": VISION},
            "inside of the model's file",
            "omni pull hf.co/OWNER/REPOSITORY:QUANT",
        ),
        (
            "gemma3/1b",
            {"general__architecture": "gemma3", "gemma3__attention__layer_norm_rms_epsilon": None},
            "its header does not say what this engine must know: gemma3.attention.layer_norm_rms_epsilon",
            "omni pull hf.co/OWNER/REPOSITORY:QUANT",
        ),
    ],
)
async def test_what_ollama_keeps_for_its_own_engine_says_what_helps(
    ollama: Ollama, library: Library, gguf: Make, name: str, changes: dict[str, Any], reason: str, command: str
) -> None:
    ollama.model(f"registry.ollama.ai/library/{name}", gguf(**changes))
    brain = (await found(library))[name.replace("/", ":")]
    assert brain.state == "unloadable"
    assert reason in brain.reason
    assert brain.command == command
    assert await library.best() is None


async def test_of_a_folder_that_holds_all_kinds_only_what_can_be_loaded_is_offered(
    ollama: Ollama, open_library: Open, tmp_path: Path, gguf: Make
) -> None:
    ollama.model("registry.ollama.ai/library/good/1b", gguf(salt="1"))
    ollama.model("registry.ollama.ai/library/gemma3/4b", gguf(general__architecture="gemma3", more=VISION))
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "fine.gguf").write_bytes(gguf(salt="2"))
    (mine / "cut.gguf").write_bytes(gguf(salt="3")[:-50])
    (mine / "broken.gguf").write_bytes(gguf(salt="4", tokenizer__chat_template="{{ messages"))
    (mine / "coming.gguf.part").write_bytes(b"GGUF")
    brains = await found(open_library(folders=(str(mine),)))
    assert {name for name, brain in brains.items() if brain.usable} == {"good:1b", "fine"}
    assert all(brain.reason for brain in brains.values() if not brain.usable)
    assert {"gemma3:4b", "cut", "broken", "coming"} <= set(brains)


@pytest.mark.parametrize(
    "ending",
    [
        ".part",
        ".crdownload",
        ".downloadInProgress",
        ".partial",
        ".incomplete",
        ".tmp",
        ".opdownload",
        ".XQ3-b_=.incomplete",
    ],
)
async def test_what_is_still_being_fetched_says_so(open_library: Open, tmp_path: Path, gguf: Make, ending: str) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / f"Tiny-Q8_0.gguf{ending}").write_bytes(gguf()[:300])
    brain = (await found(open_library(folders=(str(mine),))))["Tiny-Q8_0"]
    assert (brain.state, brain.usable) == ("unloadable", False)
    assert f"not finished: Tiny-Q8_0.gguf{ending} has 300 bytes" in brain.reason


async def test_what_came_whole_is_not_told_of_again(open_library: Open, tmp_path: Path, gguf: Make) -> None:
    """Firefox holds the name with an empty file; and a whole file may be fetched anew."""
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "a.gguf").touch()
    (mine / "a.gguf.part").write_bytes(b"GGUF")
    (mine / "b.gguf").write_bytes(gguf())
    (mine / "b.gguf.part").write_bytes(b"GGUF")
    brains = await found(open_library(folders=(str(mine),)))
    assert {name: brain.state for name, brain in brains.items()} == {"a": "unloadable", "b": "installed"}
    (mine / "a.gguf.part").rename(mine / "a.gguf")
    (mine / "a.gguf").write_bytes(gguf(salt="a"))
    brains = await found(open_library(folders=(str(mine),)))
    assert {name: brain.state for name, brain in brains.items()} == {"a": "installed", "b": "installed"}


async def test_a_file_with_room_for_the_rest_is_not_offered(open_library: Open, tmp_path: Path, gguf: Make) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "a.gguf").write_bytes(gguf())
    (mine / "a.gguf.aria2").touch()
    library = open_library(folders=(str(mine),))
    brain = (await found(library))["a"]
    assert (brain.state, "a.gguf.aria2" in brain.reason) == ("unloadable", True)
    (mine / "a.gguf.aria2").unlink()
    assert (await found(library))["a"].state == "installed"


async def test_downloads_of_every_program_are_known_by_its_ways(library: Library, tmp_path: Path, gguf: Make) -> None:
    user = tmp_path / "user"
    for path in (
        user / ".lmstudio/models/lmstudio-community/Tiny-GGUF/Tiny-Q4_K_M.gguf.part",
        user / ".cache/llama.cpp/ggml-org_tiny.gguf.downloadInProgress",
        user / ".local/share/nomic.ai/GPT4All/incomplete-Orca.gguf",
        user / ".cache/huggingface/hub/models--Qwen--Tiny-GGUF/blobs/abc.incomplete",
        user / ".cache/huggingface/hub/models--openai--whisper/blobs/def.incomplete",  # no GGUF, and no brain
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gguf()[:100])
    brains = await found(library)
    assert set(brains) == {"Tiny-Q4_K_M", "ggml-org_tiny", "Orca", "hf.co/Qwen/Tiny-GGUF"}
    assert {brain.state for brain in brains.values()} == {"unloadable"}
    assert all("not finished" in brain.reason for brain in brains.values())


async def test_a_download_into_a_folder_is_found_where_the_hubs_program_keeps_it(
    open_library: Open, tmp_path: Path, gguf: Make
) -> None:
    """As `hf download REPOSITORY FILE --local-dir mine` does."""
    mine = tmp_path / "mine"
    (mine / ".cache/huggingface/download").mkdir(parents=True)
    (mine / ".cache/huggingface/download/tiny.gguf.Xy1=.0123abc.incomplete").write_bytes(b"GGUF")
    (mine / ".cache/huggingface/download/tiny.gguf.metadata").write_text("x")
    brains = await found(open_library(folders=(str(mine),)))
    assert [(name, brain.state) for name, brain in brains.items()] == [("tiny", "unloadable")]


async def test_a_cache_that_has_other_files_of_a_repository_says_nothing_of_the_rest(
    library: Library, tmp_path: Path, gguf: Make
) -> None:
    hub = tmp_path / "user/.cache/huggingface/hub"
    snapshot(hub, "Qwen/Tiny-GGUF", "aaa", "tiny-q4_k_m.gguf", gguf())
    (hub / "models--Qwen--Tiny-GGUF/blobs/abc.incomplete").touch()
    assert set(await found(library)) == {"hf.co/Qwen/Tiny-GGUF:Q4_K_M"}


async def test_a_model_of_ollama_in_two_files_is_not_offered_as_its_first(
    ollama: Ollama, library: Library, parts: Callable[..., list[bytes]]
) -> None:
    manifest = ollama.model("registry.ollama.ai/library/split/70b", parts(2)[0])
    content = json.loads(manifest.read_text())
    layer = {"mediaType": "application/vnd.ollama.image.model", "digest": ollama.blob(parts(2)[1]), "size": 1}
    content["layers"].append(layer)
    manifest.write_text(json.dumps(content))
    brain = (await found(library))["split:70b"]
    assert (brain.state, "keeps it in 2 files" in brain.reason) == ("unloadable", True)


async def test_a_part_of_a_model_in_ollamas_store_says_what_it_is(
    ollama: Ollama, library: Library, parts: Callable[..., list[bytes]]
) -> None:
    ollama.model("registry.ollama.ai/library/half/70b", parts(3)[0])
    brain = (await found(library))["half:70b"]
    assert (brain.state, "is part 1 of 3 of a model" in brain.reason) == ("unloadable", True)


async def test_what_ollama_has_begun_to_fetch_is_told(ollama: Ollama, library: Library, gguf: Make) -> None:
    ollama.model("registry.ollama.ai/library/new/1b", gguf(salt="new"))
    blob = next(path for path in ollama.store.glob("blobs/*") if path.read_bytes()[:4] == b"GGUF")
    blob.rename(blob.with_name(f"{blob.name}-partial"))
    brain = (await found(library))["new:1b"]
    assert (brain.state, brain.reason) == ("unloadable", "Ollama has not finished its download")


async def test_a_folder_that_holds_only_a_download_says_so_when_it_is_added(library: Library, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.gguf.part").write_bytes(b"GGUF")
    with pytest.raises(BadFile, match="its download is not finished"):
        await library.add(tmp_path / "mine")


async def test_what_is_hidden_from_us_is_neither_looked_for_nor_shown(
    ollama: Ollama, open_library: Open, home: Any, tmp_path: Path, gguf: Make
) -> None:
    """Nor by its name, which is how a question for `llama3.2:3b` looks for it."""
    ollama.model("registry.ollama.ai/library/a/1b", gguf())
    library = open_library()
    assert set(await found(library)) == {"a:1b"}
    library.follow(Settings(brains=BrainsSettings(look_around=False)))
    assert [brain for brain in await library.brains() if brain.state != "available"] == []
    for name in ("a:1b", "b:1b"):
        with pytest.raises(NotFound):
            await library.get(name)
    library.follow(Settings())
    assert (await library.get("a:1b")).state == "installed"


async def test_a_look_in_the_background_is_waited_for_by_who_needs_a_brain(
    ollama: Ollama, open_library: Open, gguf: Make
) -> None:
    ollama.model("registry.ollama.ai/library/a/1b", gguf())
    library = open_library()
    assert await library.best() is None
    await library.looked(begin=False)  # nobody looks
    assert await library.best() is None
    library.look_around()
    await library.looked(begin=False)
    best = await library.best()
    assert best is not None
    assert best.name == "a:1b"


async def test_who_needs_a_brain_begins_a_look_once_a_minute(ollama: Ollama, open_library: Open, gguf: Make) -> None:
    clock = Clock()
    library = open_library(clock=clock)
    await library.looked()
    ollama.model("registry.ollama.ai/library/a/1b", gguf())
    await library.looked()
    assert await library.best() is None
    clock.time += 61
    await library.looked()
    assert await library.best() is not None


async def test_a_look_that_takes_long_is_not_waited_for(open_library: Open) -> None:
    library = open_library()
    library.look_around()
    await library.looked(0)
    await library.close()  # ends the look, and whatever it waits for


class Clock:
    """Moves only when told."""

    def __init__(self) -> None:
        self.time = 1000.0

    def now(self) -> float:
        return self.time

    monotonic = now


async def test_nothing_ugly_in_a_folder_holds_up_or_hides_what_is_fine(
    open_library: Open, tmp_path: Path, gguf: Make, parts: Callable[..., list[bytes]]
) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "empty.gguf").touch()
    (mine / "folder.gguf").mkdir()
    (mine / "folder.gguf/inside.gguf").write_bytes(gguf(salt="1"))
    os.mkfifo(mine / "pipe.gguf")
    os.mkfifo(mine / "pipe2.gguf.part")
    (mine / "a.gguf").symlink_to("b.gguf")
    (mine / "b.gguf").symlink_to("a.gguf")
    (mine / "zero.gguf").symlink_to("/dev/zero")
    (mine / "loop").symlink_to(".")
    (mine / "bare.gguf").write_bytes(gguf(tensors=[]))
    (mine / "cut.gguf").write_bytes(gguf()[:400])
    (mine / "one").mkdir()
    (mine / "one/same.gguf").write_bytes(gguf(salt="2"))
    (mine / "same.gguf").write_bytes(gguf(salt="3"))
    (mine / f"{'l' * 250}.gguf").write_bytes(gguf(salt="4"))
    (mine / "two\nlines.gguf").write_bytes(gguf(salt="5"))
    (mine / "no\udcfftext.gguf").write_bytes(gguf(salt="6"))  # no text in UTF-8
    (mine / "much-00001-of-99999.gguf").write_bytes(parts(2)[0])
    brains = await found(open_library(folders=(str(mine),)))
    usable = {name for name, brain in brains.items() if brain.usable}
    assert usable == {"inside", "same", "same (2)", "l" * 250, "two\nlines"}
    assert {"empty", "zero", "bare", "cut", "no�text", "much"} <= set(brains)
    assert "UTF-8" in brains["no�text"].reason
    assert all(brain.reason for name, brain in brains.items() if name not in usable)


@pytest.mark.parametrize(
    "manifest",
    [b"[]", b"7", b"\xff\xfe\0", b"[" * 100_000, b"", b'{"layers": {"a": 1}}', b'{"layers": [null, {"digest": 7, "mediaType": []}]}',
     b'{"layers": [{"mediaType": "application/vnd.ollama.image.model", "digest": "sha256:../../../../etc/passwd"}]}'],
)  # fmt: skip
async def test_a_manifest_that_is_none_hides_nothing(
    ollama: Ollama, library: Library, gguf: Make, manifest: bytes
) -> None:
    ollama.model("registry.ollama.ai/library/fine/1b", gguf())
    path = ollama.store / "manifests/registry.ollama.ai/library/odd/1b"
    path.parent.mkdir(parents=True)
    path.write_bytes(manifest)
    os.mkfifo(path.with_name("2b"))
    (path.parent / "3b").symlink_to("3b")
    (path.parent / "4b").mkdir()
    assert set(await found(library)) == {"fine:1b"}
