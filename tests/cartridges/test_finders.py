"""What other programs have: found under the names that their users know, and said plainly when it cannot be used."""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from omni.cartridges import Brain, Library, PullDone, Verified
from omni.cartridges.finders import find_all
from omni.cartridges.ollama import licence_of
from omni.cartridges.stores import Surroundings
from omni.core.errors import NotFound, UsageError
from tests.cartridges.conftest import NOT_ASKED

Make = Callable[..., bytes]
Open = Callable[..., Library]


class Ollama:
    """Writes a store as Ollama does."""

    def __init__(self, store: Path) -> None:
        self.store = store

    def blob(self, data: bytes) -> str:
        digest = hashlib.sha256(data).hexdigest()
        path = self.store / "blobs" / f"sha256-{digest}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return f"sha256:{digest}"

    def model(self, place: str, model: bytes, **layers: str) -> Path:
        kinds = {"model": model} | {kind: text.encode() for kind, text in layers.items()}
        manifest = {
            "schemaVersion": 2,
            "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "digest": self.blob(b"{}")},
            "layers": [
                {"mediaType": f"application/vnd.ollama.image.{kind}", "digest": self.blob(data), "size": len(data)}
                for kind, data in kinds.items()
            ],
        }
        path = self.store / "manifests" / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(manifest))
        return path


@pytest.fixture
def ollama(tmp_path: Path) -> Ollama:
    return Ollama(tmp_path / "user" / ".ollama" / "models")


async def found(library: Library) -> dict[str, Brain]:
    return {brain.name: brain for brain in await library.scan()}


async def test_ollama_names_are_those_its_users_type(ollama: Ollama, library: Library, gguf: Make) -> None:
    ollama.model("registry.ollama.ai/library/llama3.2/3b", gguf(salt="1"))
    ollama.model("registry.ollama.ai/library/llama3.2/latest", gguf(salt="1"))
    ollama.model("registry.ollama.ai/somebody/coder/7b", gguf(salt="2"))
    ollama.model("hf.co/bartowski/Tiny-GGUF/Q4_K_M", gguf(salt="3"))
    brains = await found(library)
    assert set(brains) == {"llama3.2:3b", "llama3.2:latest", "somebody/coder:7b", "hf.co/bartowski/Tiny-GGUF:Q4_K_M"}
    assert {brain.state for brain in brains.values()} == {"installed"}
    assert brains["llama3.2:3b"].base == brains["llama3.2:latest"].base
    assert (await library.get("llama3.2")).name == "llama3.2:latest"
    assert (await library.get("llama3.2:3b")).origin == "ollama"


async def test_ollamas_layers_are_used(ollama: Ollama, library: Library, gguf: Make) -> None:
    ollama.model(
        "registry.ollama.ai/library/tiny/1b",
        gguf(tokenizer__chat_template=None),
        template="<|im_start|>user\n{{ .Prompt }}<|im_end|>",
        params=json.dumps(
            {"temperature": 0.3, "num_ctx": 4096, "num_predict": -1, "stop": ["<|im_end|>"], "top_k": "x"}
        ),
        system="Be brief.",
        license="                                 Apache License\n                           Version 2.0",
    )
    brain = (await found(library))["tiny:1b"]
    assert brain.state == "installed"
    assert brain.base is not None
    assert "<|im_start|>" in (brain.base.template or "")
    assert brain.sampling == {"temperature": 0.3, "stop": ("<|im_end|>",)}
    assert (brain.prompt, brain.licence) == ("Be brief.", "Apache-2.0")


async def test_names_on_one_model_keep_their_own_layers(ollama: Ollama, library: Library, gguf: Make) -> None:
    """`ollama create` makes another name for the same file, with another system text, template and parameters."""
    model = gguf(tokenizer__chat_template=None)
    known, place = "<|im_start|>user\n{{ .Prompt }}<|im_end|>", "registry.ollama.ai/library"
    ollama.model(f"{place}/tiny/1b", model, template=known, params='{"temperature": 0.3}')
    ollama.model(f"{place}/pirate/latest", model, template=known, params='{"temperature": 1.5}', system="You are one.")
    ollama.model(f"{place}/raw/latest", model, template="{{ .Prompt }}")
    brains = await found(library)
    tiny, pirate, raw = brains["tiny:1b"], brains["pirate:latest"], brains["raw:latest"]
    assert (tiny.sampling, tiny.prompt) == ({"temperature": 0.3}, "")
    assert (pirate.sampling, pirate.prompt) == ({"temperature": 1.5}, "You are one.")
    assert tiny.base is not None
    assert pirate.base is not None
    assert tiny.base.id == pirate.base.id
    assert (tiny.base.parameters, pirate.base.parameters) == ({"temperature": 0.3}, {"temperature": 1.5})
    await library.mark(tiny.base.id, ready=True)
    brains = await found(library)
    assert [brains[name].state for name in ("tiny:1b", "pirate:latest", "raw:latest")] == ["ready", "ready", "not chat"]
    assert raw.sampling == {}


async def test_the_files_own_template_wins(ollama: Ollama, library: Library, gguf: Make) -> None:
    ollama.model("registry.ollama.ai/library/tiny/1b", gguf(), template="<|im_start|><|im_end|>")
    base = (await found(library))["tiny:1b"].base
    assert base is not None
    assert base.template is None


async def test_a_template_nobody_knows_is_not_guessed(ollama: Ollama, library: Library, gguf: Make) -> None:
    ollama.model("registry.ollama.ai/library/base/1b", gguf(tokenizer__chat_template=None), template="{{ .Prompt }}")
    brain = (await found(library))["base:1b"]
    assert (brain.state, "no chat template" in brain.reason) == ("not chat", True)


@pytest.mark.parametrize(
    ("changes", "state", "reason"),
    [
        ({"general__architecture": "mllama"}, "unloadable", "does not know the architecture 'mllama'"),
        ({"general__architecture": "nomic-bert"}, "not chat", "embedding"),
        ({"general__architecture": "clip"}, "not chat", "eyes"),
        ({"general__type": "adapter"}, "not chat", "adapter"),
        ({"tensors": [("t", (256,), 12), ("u", (32,), 99)]}, "unloadable", "99"),
    ],
)
async def test_what_cannot_answer_says_why(
    ollama: Ollama, library: Library, gguf: Make, changes: dict[str, Any], state: str, reason: str
) -> None:
    ollama.model("registry.ollama.ai/library/odd/1b", gguf(**changes))
    brain = (await found(library))["odd:1b"]
    assert brain.state == state
    assert reason in brain.reason


async def test_a_damaged_store_never_raises(ollama: Ollama, library: Library, gguf: Make) -> None:
    ollama.model("registry.ollama.ai/library/cut/1b", gguf()[:-200])
    gone = ollama.model("registry.ollama.ai/library/gone/1b", gguf(salt="gone"))
    for path in ollama.store.glob("blobs/*"):
        if b"gone" in path.read_bytes():
            path.unlink()
    for name, content in (
        ("broken/1b", "{"),
        ("list/1b", "[]"),
        ("empty/1b", "{}"),
        ("evil/1b", '{"layers": [1, {}]}'),
    ):
        path = ollama.store / "manifests/registry.ollama.ai/library" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    path = ollama.store / "manifests/registry.ollama.ai/library/path/1b"
    path.parent.mkdir(parents=True)
    path.write_text(gone.read_text().replace("sha256:", "sha256:../../"))
    brains = await found(library)
    assert {name: brain.state for name, brain in brains.items()} == {"cut:1b": "corrupt", "gone:1b": "gone"}
    assert "truncated" in brains["cut:1b"].reason


async def test_models_without_a_gguf_are_said_to_be_so(ollama: Ollama, library: Library) -> None:
    path = ollama.store / "manifests/registry.ollama.ai/library/mlx/1b"
    path.parent.mkdir(parents=True)
    digest = ollama.blob(b"tensor")
    path.write_text(json.dumps({"layers": [{"mediaType": "application/vnd.ollama.image.tensor", "digest": digest}]}))
    brain = (await found(library))["mlx:1b"]
    assert (brain.state, "not as GGUF" in brain.reason) == ("unloadable", True)


async def test_ollama_models_names_another_store(open_library: Open, tmp_path: Path, gguf: Make) -> None:
    Ollama(tmp_path / "elsewhere").model("registry.ollama.ai/library/a/1b", gguf())
    library = open_library(environment={"HOME": "/nowhere", "OLLAMA_MODELS": str(tmp_path / "elsewhere")})
    assert set(await found(library)) == {"a:1b"}


async def test_a_model_pulled_by_ollama_later_is_found_by_its_name(
    ollama: Ollama, library: Library, gguf: Make
) -> None:
    with pytest.raises(NotFound):
        await library.get("late:1b")
    ollama.model("registry.ollama.ai/library/late/1b", gguf())
    assert (await library.get("late:1b")).state == "installed"


async def test_an_ollama_name_that_is_nowhere_gets_help(library: Library) -> None:
    with pytest.raises(NotFound, match="Neither Omni nor Ollama's store") as caught:
        await library.get("llama3.1:8b")
    assert "hf.co/OWNER/REPOSITORY:QUANT" in caught.value.hint
    assert "8B" in caught.value.hint
    with pytest.raises(NotFound) as caught:
        await library.get("qwen3:4b")
    assert "@omni/qwen3-4b" in caught.value.hint


async def test_lm_studio_is_found_wherever_its_settings_put_it(library: Library, tmp_path: Path, gguf: Make) -> None:
    user = tmp_path / "user"
    for place, salt in (
        (user / ".lmstudio/models/meta/Llama-3.2-3B-GGUF/Llama-3.2-3B-Q4_K_M.gguf", "1"),
        (user / ".cache/lm-studio/models/a/Two-GGUF/two-Q4_K_M.gguf", "2"),
        (user / ".cache/lm-studio/models/a/Two-GGUF/two-Q8_0.gguf", "3"),
        (tmp_path / "big disk/b/Third/third.gguf", "4"),
        (tmp_path / "big disk/b/Third/mmproj-third.gguf", "5"),
    ):
        place.parent.mkdir(parents=True, exist_ok=True)
        more = {"general__architecture": "clip", "clip__has_vision_encoder": True} if "mmproj" in place.name else {}
        place.write_bytes(gguf(salt=salt, **more))
    (user / ".lmstudio/settings.json").write_text(json.dumps({"downloadsFolder": str(tmp_path / "big disk")}))
    brains = await found(library)
    assert {name: brain.state for name, brain in brains.items()} == {
        "llama-3.2-3b": "installed",
        "two@q4_k_m": "installed",
        "two@q8_0": "installed",
        "third": "installed",
        "mmproj-third": "not chat",
    }
    base = brains["third"].base
    assert base is not None
    assert base.projector is not None
    assert base.projector.path.endswith("mmproj-third.gguf")


def snapshot(hub: Path, repository: str, revision: str, file: str, data: bytes) -> Path:
    folder = hub / f"models--{repository.replace('/', '--')}"
    blob = folder / "blobs" / hashlib.sha256(data).hexdigest()
    link = folder / "snapshots" / revision / file
    for path in (blob, link, folder / "refs" / "main"):
        path.parent.mkdir(parents=True, exist_ok=True)
    blob.write_bytes(data)
    link.symlink_to(os.path.relpath(blob, link.parent))
    (folder / "refs" / "main").write_text(revision)
    return link


async def test_the_hugging_face_cache_is_listed_once_per_file(library: Library, tmp_path: Path, gguf: Make) -> None:
    hub = tmp_path / "user/.cache/huggingface/hub"
    snapshot(hub, "Qwen/Tiny-GGUF", "aaa", "tiny-q4_k_m.gguf", gguf(salt="old"))
    link = snapshot(hub, "Qwen/Tiny-GGUF", "bbb", "tiny-q4_k_m.gguf", gguf(salt="new"))
    brains = await found(library)
    assert set(brains) == {"hf.co/Qwen/Tiny-GGUF:Q4_K_M"}
    base = brains["hf.co/Qwen/Tiny-GGUF:Q4_K_M"].base
    assert base is not None
    assert base.path == str(link)
    assert base.sha256 == hashlib.sha256(link.read_bytes()).hexdigest()


@pytest.mark.parametrize("variable", ["HF_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"])
async def test_the_hugging_face_cache_may_be_elsewhere(
    open_library: Open, tmp_path: Path, gguf: Make, variable: str
) -> None:
    place = {"HF_HUB_CACHE": ".", "HF_HOME": "hub", "XDG_CACHE_HOME": "huggingface/hub"}[variable]
    snapshot(tmp_path / "x" / place, "a/b", "r", "b-Q8_0.gguf", gguf())
    library = open_library(environment={variable: str(tmp_path / "x")})
    assert set(await found(library)) == {"hf.co/a/b:Q8_0"}


async def test_llama_cpps_cache_tells_where_a_file_came_from(library: Library, tmp_path: Path, gguf: Make) -> None:
    cache = tmp_path / "user/.cache/llama.cpp"
    cache.mkdir(parents=True)
    (cache / "ggml-org_tiny-GGUF_tiny-q8.gguf").write_bytes(gguf(salt="1"))
    (cache / "manifest=ggml-org=tiny-GGUF=Q8_0.json").write_text('{"ggufFile": {"rfilename": "tiny-q8.gguf"}}')
    (cache / "other.gguf").write_bytes(gguf(salt="2"))
    assert set(await found(library)) == {"hf.co/ggml-org/tiny-GGUF:Q8_0", "other"}


async def test_own_folders_are_looked_through_without_loops(
    open_library: Open, tmp_path: Path, write_gguf: Callable[..., Path], parts: Callable[..., list[bytes]]
) -> None:
    folder = tmp_path / "models"
    write_gguf(folder / "deep/er/one.gguf", salt="1")
    for number, data in enumerate(parts(2), 1):
        (folder / f"two-0000{number}-of-00002.gguf").write_bytes(data)
    write_gguf(folder / ".hidden/no.gguf", salt="4")
    (folder / "half-00001-of-00003.gguf").write_bytes(parts(3)[0])
    (folder / "deep/loop").symlink_to(folder)
    (folder / "link.gguf").symlink_to(folder / "deep/er/one.gguf")
    (folder / "dangling.gguf").symlink_to(folder / "nothing")
    (folder / "text.gguf").write_text("hello")
    brains = await found(open_library(folders=(str(folder),)))
    states = {name: brain.state for name, brain in brains.items()}
    assert len({"link", "one"} & set(states)) == 1  # one file, one brain
    assert states["two"] == "installed"
    assert (states["half"], states["text"]) == ("unloadable", "corrupt")
    assert "1 of 3 parts" in brains["half"].reason
    assert brains["two"].base is not None
    assert len(brains["two"].base.parts) == 2


async def test_a_pipe_among_the_models_holds_up_nobody(open_library: Open, tmp_path: Path, gguf: Make) -> None:
    (tmp_path / "mine").mkdir()
    os.mkfifo(tmp_path / "mine" / "pipe.gguf")
    os.mkfifo(tmp_path / "mine" / "settings.json")
    (tmp_path / "mine" / "good.gguf").write_bytes(gguf())
    assert [brain.name for brain in await open_library().add_all(tmp_path / "mine")] == ["@me/good"]


async def test_look_around_can_be_switched_off(ollama: Ollama, home: Any, tmp_path: Path, gguf: Make) -> None:
    from omni.core.settings import BrainsSettings, Settings

    ollama.model("registry.ollama.ai/library/a/1b", gguf())
    library = Library(home, Settings(brains=BrainsSettings(look_around=False)), environment={}, user=tmp_path / "user")
    assert await library.scan() == []
    await library.close()


async def test_a_file_that_went_away_is_shown_as_gone(ollama: Ollama, library: Library, gguf: Make) -> None:
    manifest = ollama.model("registry.ollama.ai/library/a/1b", gguf())
    await library.scan()
    manifest.unlink()
    for path in ollama.store.glob("blobs/*"):
        path.unlink()
    assert (await library.get("a:1b")).state == "gone"
    assert (await found(library))["a:1b"].state == "gone"
    await library.remove("a:1b")
    with pytest.raises(NotFound):
        await library.get("a:1b")


async def test_what_belongs_to_others_is_not_removed(ollama: Ollama, library: Library, gguf: Make) -> None:
    ollama.model("registry.ollama.ai/library/a/1b", gguf())
    await library.scan()
    with pytest.raises(UsageError, match="belongs to ollama") as caught:
        await library.remove("a:1b")
    assert caught.value.hint == "ollama rm a:1b"
    await library.collect()
    assert (await library.get("a:1b")).state == "installed"


async def test_what_another_program_has_is_not_pulled_again(ollama: Ollama, library: Library, gguf: Make) -> None:
    ollama.model("registry.ollama.ai/library/a/1b", gguf())
    await library.scan()
    (event,) = [event async for event in library.pull("a:1b", NOT_ASKED)]
    assert isinstance(event, PullDone)
    assert not event.fresh


async def test_a_recorded_hash_survives_a_look_around(
    open_library: Open, tmp_path: Path, write_gguf: Callable[..., Path]
) -> None:
    write_gguf(tmp_path / "m/x.gguf")
    library = open_library(folders=(str(tmp_path / "m"),))
    await library.scan()
    events = [event async for event in library.verify("x")]
    last = events[-1]
    assert isinstance(last, Verified)
    assert last.ok
    await library.scan()
    base = (await library.get("x")).base
    assert base is not None
    assert base.sha256 == last.detail.removeprefix("sha256 ")


async def test_a_second_look_reads_no_header_again(
    ollama: Ollama, library: Library, gguf: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    ollama.model("registry.ollama.ai/library/a/1b", gguf())
    await library.scan()
    monkeypatch.setattr("omni.cartridges.scanning.read_header", lambda path: pytest.fail(f"read {path} again"))
    assert set(await found(library)) == {"a:1b"}


async def test_a_manifest_uses_a_copy_that_ollama_has(
    ollama: Ollama, open_library: Open, tmp_path: Path, gguf: Make
) -> None:
    data = gguf()
    shipped = tmp_path / "shipped" / "one"
    shipped.mkdir(parents=True)
    (shipped / "cartridge.toml").write_text(
        'name = "@omni/one"\nversion = "1.0.0"\ntitle = "One"\nsummary = "One."\nlicence = "MIT"\n'
        f'[base]\nsource = "url"\nurl = "https://example.org/x.gguf"\nsize = {len(data)}\n'
        f'sha256 = "{hashlib.sha256(data).hexdigest()}"\n'
    )
    library = open_library(shipped=shipped.parent)
    assert (await library.get("@omni/one")).state == "available"
    ollama.model("registry.ollama.ai/library/a/1b", data)
    await library.scan()
    brain = await library.get("@omni/one")
    assert (brain.state, brain.origin) == ("installed", "ollama")
    assert "not checked by Omni" in brain.verified


def test_licences_are_told_from_their_text() -> None:
    assert licence_of("MIT License\n\nCopyright") == "MIT"
    assert licence_of("LLAMA 3.2 COMMUNITY LICENSE AGREEMENT") == "Llama 3.2"
    assert licence_of("All rights reserved") == ""


@pytest.mark.real
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
@pytest.mark.parametrize(
    ("mode", "group", "member", "command"),
    [
        (0o750, "games", False, "sudo usermod -aG games $USER"),
        (0o750, "games", True, None),
        (0o700, "games", False, "sudo chmod -R o+rX"),
    ],
)
def test_a_store_that_may_not_be_read_names_the_command_that_helps(
    mode: int, group: str, member: bool, command: str | None
) -> None:
    grp = pytest.importorskip("grp")
    try:
        gid = grp.getgrnam(group).gr_gid
    except KeyError:
        pytest.skip(f"no group {group}")
    with tempfile.TemporaryDirectory() as top:
        os.chmod(top, 0o755)
        store = Path(top) / "usr/share/ollama/.ollama/models"
        (store / "manifests/registry.ollama.ai/library/a").mkdir(parents=True)
        os.chown(Path(top) / "usr/share/ollama", 0, gid)
        os.chmod(Path(top) / "usr/share/ollama", mode)
        code = (
            "import os, sys, json; from pathlib import Path\n"
            f"sys.path.insert(0, {str(Path(__file__).parents[2])!r})\n"
            "from omni.cartridges.ollama import find_ollama\nfrom omni.cartridges.stores import Surroundings\n"
            f"os.setgroups([{gid if member else ''}]); os.setgid(65534); os.setuid(65534)\n"
            f"found = list(find_ollama(Surroundings(environment={{}}, user=Path('/nonexistent'), root=Path({top!r}))))\n"
            "print(json.dumps([[each.name, each.problem, each.reason, each.command] for each in found]))\n"
        )
        answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd="/")
        assert answer.returncode == 0, answer.stderr
    stores = json.loads(answer.stdout)
    if command is None:
        assert stores == []
        return
    assert [(each[0], each[1]) for each in stores] == [("Ollama's models", "unreadable")]
    assert stores[0][3].startswith(command)
    assert "usr/share/ollama" in stores[0][2]


def test_an_empty_machine_has_nothing(tmp_path: Path) -> None:
    assert list(find_all(Surroundings(environment={}, user=tmp_path, root=tmp_path))) == []
