"""Where engines come from: a package index, a program by its name; and what may happen meanwhile."""

import errno
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from omni.airlock import NetSettings
from omni.core.errors import BadFile, NotFound, SetupError, StorageError, UsageError
from omni.core.paths import Home
from omni.runtimes import Runtimes, add, offered
from omni.runtimes.companions import companions
from tests.fixtures_engines import lent
from tests.runtime_tools import ROOT, added, fake_server, wheel

SERVER = {"own/bin/llama-server": b"\x7fELF"}


@pytest.fixture
def no_network() -> Callable[[], Any]:
    """What files need."""
    return lambda: pytest.fail("needs no network")


@pytest.fixture
def index(tmp_path: Path, direct_airlock: Callable[..., Any]) -> Any:
    """An airlock whose only index is a folder with wheels."""
    folder = tmp_path / "index"
    folder.mkdir()
    for version in ("1.9", "1.10", "2.0rc1"):
        wheel(folder, f"own_server-{version}-py3-none-any.whl", SERVER)
    wheel(folder, "elsewhere-1.0-py3-none-win_amd64.whl", SERVER)
    return direct_airlock(NetSettings(find_links=(folder.as_uri(),), no_index=True))


async def test_the_newest_release_of_a_package_is_taken_and_its_download_does_not_stay(home: Home, index: Any) -> None:
    offer = await offered(home, "own-server", lambda: index)
    assert (offer.name, offer.version, offer.fetched) == ("own-server", "1.10", True)
    assert offer.source == "own-server 1.10, from your package index"
    runtime = add(home, offer)
    assert (runtime.version, runtime.sha256) == ("1.10", offer.sha256)
    assert not list((home.cartridges / "pulls").iterdir())


async def test_a_version_can_be_named(home: Home, index: Any) -> None:
    assert (await offered(home, "own-server==2.0rc1", lambda: index)).version == "2.0rc1"
    with pytest.raises(NotFound):
        await offered(home, "own-server==3.0", lambda: index)


async def test_a_name_that_is_taken_is_told_before_anything_is_fetched(home: Home, index: Any) -> None:
    add(home, await offered(home, "own-server", lambda: index))
    with pytest.raises(UsageError, match="An engine named 'own-server' is here"):
        await offered(home, "own-server==1.9", lambda: index)
    with pytest.raises(UsageError, match="An engine named 'own-server' is here"):
        await offered(home, "elsewhere", lambda: pytest.fail("needs no index"), name="own-server")
    assert not list((home.cartridges / "pulls").iterdir())
    assert (await offered(home, "own-server==1.9", lambda: index, name="older")).name == "older"


async def test_a_package_for_other_machines_only_says_so(home: Home, index: Any) -> None:
    with pytest.raises(SetupError, match=r"No wheel of elsewhere can be used here: .*it is for win_amd64"):
        await offered(home, "elsewhere", lambda: index)


async def test_a_program_on_the_path_is_meant_by_its_name(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = fake_server(tmp_path / "llama-server")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    offer = await offered(home, "llama-server", lambda: pytest.fail("needs no network"))
    assert offer.path == str(program)


@pytest.mark.parametrize(
    ("text", "mode", "told"),
    [
        ("#!/bin/sh\necho hello\n", 0o755, "is no llama-server that runs here: hello"),
        ("#!/bin/sh\nexit 3\n", 0o755, "is no llama-server that runs here: it says nothing"),
        ("#!/bin/sh\necho version: 1\n", 0o644, "is no program that may be run"),
        ("no program", 0o755, "is no llama-server that runs here"),
    ],
)
async def test_what_is_no_server_is_refused_and_leaves_nothing(
    home: Home, tmp_path: Path, text: str, mode: int, told: str
) -> None:
    path = tmp_path / "program"
    path.write_text(text)
    path.chmod(mode)
    with pytest.raises(BadFile, match=told):
        await added(home, path)
    assert Runtimes(home).installed() == []
    assert not home.engines.is_dir() or not list(home.engines.iterdir())


@pytest.mark.parametrize(
    ("head", "hint"), [(b"\x7fELF", "chmod \\+x"), (b"#!/bin/sh", "chmod \\+x"), (b"GGUF", "Give the path")]
)
async def test_only_what_may_be_a_program_is_to_be_made_one(home: Home, tmp_path: Path, head: bytes, hint: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(head)
    with pytest.raises(BadFile) as refused:
        await added(home, path)
    assert re.match(f"`?{hint}", refused.value.hint)


def test_of_two_who_add_the_same_at_once_one_does_and_the_other_is_told(home: Home, tmp_path: Path) -> None:
    path = wheel(tmp_path, "own-1.0-py3-none-any.whl", {**SERVER, "own/large": bytes(1 << 22)})
    code = (
        f"import asyncio, sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from omni.core.errors import UsageError\nfrom omni.core.paths import Home\nfrom omni.runtimes import add, offered\n"
        f"home = Home({str(home.root)!r})\n"
        f"offer = asyncio.run(offered(home, {str(path)!r}, None))\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "try:\n    add(home, offer)\n    print('added')\nexcept UsageError as error:\n    print(error.message)\n"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for one in both:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
    for one in both:
        assert one.stdin is not None
        one.stdin.write("\n")
        one.stdin.flush()
    told = sorted(one.communicate(timeout=60)[0].strip() for one in both)
    assert told == ["An engine named 'own' is here.", "added"]
    Runtimes(home).check(Runtimes(home).get("own"))


async def test_a_full_disk_is_told_and_nothing_stays(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer = await offered(home, str(wheel(tmp_path, "own-1.0-py3-none-any.whl", SERVER)), lambda: pytest.fail("no"))

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="is full"):
        add(home, offer)
    monkeypatch.undo()
    assert list(home.engines.iterdir()) == []


async def test_llama_cpp_python_as_source_only_says_what_there_is_to_do(home: Home, tmp_path: Path, index: Any) -> None:
    (tmp_path / "index" / "llama_cpp_python-0.3.36.tar.gz").write_bytes(b"source")
    with pytest.raises(SetupError, match="as source only") as refused:
        await offered(home, "llama-cpp-python", lambda: index)
    assert "FILE.whl" in refused.value.hint
    assert "omni engine build" in refused.value.hint


@pytest.mark.parametrize("what", ["mlx", "llama_cpp_python-0.3.36-py3-none-any.whl"])
async def test_what_an_engine_needs_beside_itself_is_no_other_file_than_the_pinned_one(
    home: Home, tmp_path: Path, index: Any, what: str
) -> None:
    if what.endswith(".whl"):
        what = str(wheel(tmp_path, what, {"llama_cpp/lib/libllama.so": b"\x7fELF"}))
    with pytest.raises(NotFound, match="None of your package indexes offers what is needed of 'jinja2'"):
        await offered(home, what, lambda: index)
    for kind in ("llama_cpp", "mlx"):
        for pin in companions(kind):
            wheel(tmp_path / "index", f"{pin.name.replace('-', '_')}-{pin.version}-py3-none-any.whl", {"x.py": b""})
    with pytest.raises(BadFile, match="wrong sha256"):
        await offered(home, what, lambda: index)
    assert not Runtimes(home).installed()


def test_each_kind_needs_what_is_made_for_its_platform() -> None:
    linux, mac = ({pin.name for pin in companions("mlx", platform=name)} for name in ("linux", "darwin"))
    assert linux - mac == {"mlx-cpu"}
    assert mac - linux == {"mlx-metal"}
    assert {pin.name for pin in companions("llama_cpp")} <= linux & mac
    assert not companions("xllamacpp")


@pytest.mark.parametrize("what", ["mlx-lm", "mlx_lm==0.31.0", "mlx==0.32.4", "MLX.LM", "mlx-metal"])
async def test_a_part_of_mlx_is_not_fetched_and_the_command_for_all_of_it_is_told(home: Home, what: str) -> None:
    with pytest.raises(UsageError, match="is not added by itself") as caught:
        await offered(home, what, lambda: pytest.fail("needs no network"))
    pins = {pin.name: pin.version for pin in companions("mlx")}
    assert caught.value.hint == f"`omni engine add mlx` brings mlx-lm {pins['mlx-lm']} with mlx {pins['mlx']}."


async def test_a_wheel_of_mlx_lm_alone_is_refused_in_the_same_words(
    home: Home, tmp_path: Path, no_network: Callable[[], Any]
) -> None:
    file = wheel(tmp_path, "mlx_lm-0.31.0-py3-none-any.whl", {"mlx_lm/__init__.py": b""})
    with pytest.raises(UsageError, match="is not added by itself") as caught:
        await offered(home, str(file), no_network)
    assert "`omni engine add mlx`" in caught.value.hint


@pytest.mark.real
async def test_mlx_is_added_with_all_that_it_needs_and_every_file_is_pinned(home: Home, mlx_engine: Path) -> None:
    runtime = lent(home, mlx_engine)
    assert (runtime.kind, runtime.binary) == ("mlx", "")
    names = {pin.path.split("/")[1] for pin in runtime.files}
    assert {"mlx", "mlx_lm", "tokenizers", "llguidance", "jinja2", "markupsafe"} <= names
    Runtimes(home).check(runtime)
    changed = runtime.packages / "mlx_lm" / "models" / "llama.py"
    changed.unlink()
    changed.write_text("import os")
    with pytest.raises(BadFile, match="it is not the file that was added"):
        Runtimes(home).check(runtime)


@pytest.mark.parametrize("way", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
async def test_a_wheel_whose_bytes_are_damaged_is_told_as_that(
    home: Home, tmp_path: Path, no_network: Callable[[], Any], way: int
) -> None:
    path = tmp_path / "own_server-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", way) as archive:
        archive.writestr("own/bin/llama-server", b"\x7fELF" + os.urandom(4000))
    data = bytearray(path.read_bytes())
    data[100:3000] = bytes(2900)
    path.write_bytes(data)
    with pytest.raises(BadFile, match="is damaged"):
        add(home, await offered(home, str(path), no_network))
    assert [one.name for one in Runtimes(home).usable()] == ["xllamacpp"]


async def test_what_is_no_file_is_not_waited_for(home: Home, tmp_path: Path, no_network: Callable[[], Any]) -> None:
    os.mkfifo(tmp_path / "llama-server")
    with pytest.raises(BadFile, match="is no file"):
        await offered(home, str(tmp_path / "llama-server"), no_network)


async def test_a_version_cannot_steer_the_terminal(home: Home, tmp_path: Path, no_network: Callable[[], Any]) -> None:
    program = tmp_path / "llama-server"
    program.write_text("#!/bin/sh\nprintf 'version: 7\\033]0;owned\\007 (\\033[8mhidden)\\n'\n")
    program.chmod(0o755)
    assert add(home, await offered(home, str(program), no_network)).version == "7 hidden"


async def test_what_a_program_leaves_behind_when_it_is_asked_ends_with_it(
    home: Home, tmp_path: Path, no_network: Callable[[], Any]
) -> None:
    program, seconds = tmp_path / "llama-server", f"600.{os.getpid()}"
    program.write_text(f"#!/bin/sh\nsleep {seconds} &\necho version: 7\n")
    program.chmod(0o755)
    runtime = add(home, await offered(home, str(program), no_network))  # though that holds the line for ten minutes
    assert runtime.version == "7"
    assert not any(seconds.encode() in line for line in command_lines())


def command_lines() -> Iterator[bytes]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            yield path.read_bytes()


async def test_a_program_that_never_stops_to_talk_is_ended(
    home: Home, tmp_path: Path, no_network: Callable[[], Any]
) -> None:
    program = tmp_path / "llama-server"
    program.write_text("#!/bin/sh\nexec yes\n")
    program.chmod(0o755)
    with pytest.raises(BadFile, match=r"was asked for --version and said more than 1 MiB"):
        add(home, await offered(home, str(program), no_network))
