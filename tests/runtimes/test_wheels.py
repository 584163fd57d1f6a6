"""Wheels that carry an engine: for this machine, and unpacked without trusting them."""

import stat
import zipfile
from pathlib import Path
from typing import NoReturn

import pytest

from omni.core.errors import BadFile, SetupError
from omni.core.paths import Home
from omni.environment import WheelMachine, unfit, wheel_name
from omni.runtimes import Runtimes, add, offered
from omni.runtimes.wheels import order, unpack
from tests.runtime_tools import fake_server, wheel

LINUX = WheelMachine((3, 11), "Linux", "x86_64", (2, 36))
ALPINE = WheelMachine((3, 11), "Linux", "x86_64", None)
MAC = WheelMachine((3, 12), "Darwin", "arm64", None)
ANY = "engine-1.0-py3-none-any.whl"


def _no_airlock() -> NoReturn:
    raise AssertionError("nothing of this needs the network")


@pytest.mark.parametrize(
    ("name", "machine", "fits"),
    [
        ("engine-1.0-py3-none-manylinux_2_35_x86_64.whl", LINUX, True),
        ("engine-1.0-py3-none-manylinux_2_37_x86_64.whl", LINUX, False),
        ("engine-1.0-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl", LINUX, True),
        ("engine-1.0-py3-none-manylinux_2_17_aarch64.whl", LINUX, False),
        ("engine-1.0-py3-none-manylinux_2_17_x86_64.whl", ALPINE, False),
        ("engine-1.0-py3-none-musllinux_1_2_x86_64.whl", ALPINE, True),
        ("engine-1.0-cp310-abi3-manylinux_2_17_x86_64.whl", LINUX, True),
        ("engine-1.0-cp310-cp310-manylinux_2_17_x86_64.whl", LINUX, False),
        ("engine-1.0-cp311-cp311-linux_x86_64.whl", LINUX, True),
        ("engine-1.0-cp312-cp312-linux_x86_64.whl", LINUX, False),
        ("engine-1.0-cp312-cp312-macosx_11_0_arm64.whl", MAC, True),
        ("engine-1.0-cp312-cp312-macosx_11_0_x86_64.whl", MAC, False),
        ("engine-1.0-py3-none-win_amd64.whl", LINUX, False),
        (ANY, MAC, True),
    ],
)
def test_a_wheel_is_for_a_machine_by_its_tags(name: str, machine: WheelMachine, fits: bool) -> None:
    reason = unfit(wheel_name(name), machine)
    assert (reason == "") is fits, reason


def test_versions_are_ordered_as_numbers_and_what_is_no_release_comes_before() -> None:
    assert min(["2.10", "2.9", "2.10rc1", "2.10.1", "2.10.post1"], key=order) == "2.9"
    assert order("2.10rc1") < order("2.10") < order("2.10.post1") < order("2.10.1")


async def test_a_wheel_for_another_machine_is_refused_in_words(home: Home, tmp_path: Path) -> None:
    path = wheel(tmp_path, "engine-1.0-py3-none-manylinux_2_17_sparc.whl", {"engine/x": b""})
    with pytest.raises(SetupError, match=r"cannot be used here: it is for manylinux_2_17_sparc, and this is "):
        await offered(home, str(path), _no_airlock)


async def test_a_wheel_that_carries_a_server_becomes_an_engine(home: Home, tmp_path: Path) -> None:
    server = fake_server(tmp_path / "llama-server").read_bytes()
    path = wheel(tmp_path, ANY, {"engine/bin/llama-server": server, "engine/bin/libggml-vulkan.so": b"\x7fELF"})
    runtime = add(home, await offered(home, str(path), _no_airlock))
    assert (runtime.name, runtime.kind, runtime.version) == ("engine", "llama_server", "1.0")
    assert runtime.program == home.engines / "engine" / "packages" / "engine" / "bin" / "llama-server"
    assert stat.S_IMODE(runtime.program.stat().st_mode) == 0o700
    assert runtime.library_folders == (runtime.program.parent,)
    runtime.program.with_name("libggml-vulkan.so").write_bytes(b"\x7fELF, another")
    with pytest.raises(BadFile, match=r"libggml-vulkan.so: it is not the file that was added"):
        Runtimes(home).check(runtime)


async def test_a_wheel_of_the_engine_that_comes_with_omni_gets_a_name_with_its_version(
    home: Home, tmp_path: Path
) -> None:
    path = wheel(tmp_path, "xllamacpp-2026.9-py3-none-any.whl", {"xllamacpp/__init__.py": b"Server = None"})
    runtime = add(home, await offered(home, str(path), _no_airlock))
    assert (runtime.name, runtime.kind) == ("xllamacpp-2026.9", "xllamacpp")
    assert (runtime.packages / "xllamacpp" / "__init__.py").read_bytes() == b"Server = None"


async def test_a_wheel_without_an_engine_is_refused_and_leaves_nothing(home: Home, tmp_path: Path) -> None:
    offer = await offered(home, str(wheel(tmp_path, ANY, {"engine/x.py": b""})), _no_airlock)
    with pytest.raises(
        BadFile, match="none of the packages xllamacpp, llama_cpp, mlx_lm and no program named 'llama-server'"
    ):
        add(home, offer)
    assert list(home.engines.iterdir()) == []


async def test_a_wheel_that_is_changed_after_its_hash_was_shown_is_refused(home: Home, tmp_path: Path) -> None:
    path = wheel(tmp_path, ANY, {"xllamacpp/__init__.py": b""})
    offer = await offered(home, str(path), _no_airlock)
    wheel(tmp_path, ANY, {"xllamacpp/__init__.py": b"import os"})
    with pytest.raises(BadFile, match="was changed while it was added"):
        add(home, offer)


@pytest.mark.parametrize("member", ["../out", "/out", "a/../../out", "a\\..\\out", "x.data/purelib/../../out"])
def test_nothing_is_unpacked_outside_of_the_folder(tmp_path: Path, member: str) -> None:
    with pytest.raises(BadFile, match="does not stay in its folder"):
        unpack(wheel(tmp_path, ANY, {member: b"x"}), tmp_path / "target")
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "target").exists()


def test_a_link_in_a_wheel_is_refused(tmp_path: Path) -> None:
    path = tmp_path / ANY
    with zipfile.ZipFile(path, "w") as archive:
        link = zipfile.ZipInfo("engine/etc")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc")
    with pytest.raises(BadFile, match="is a link"):
        unpack(path, tmp_path / "target")


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="two files of one name"):
        unpack(wheel(tmp_path, ANY, {"engine/A": b"1", "engine/a": b"2"}), tmp_path / "target")


def _promising(path: Path, size: int) -> Path:
    """The wheel, whose directory says that each of its files has so many bytes."""
    data = bytearray(path.read_bytes())
    at = -1
    while (at := data.find(b"PK\x01\x02", at + 1)) >= 0:
        data[at + 24 : at + 28] = size.to_bytes(4, "little")
    path.write_bytes(data)
    return path


def test_a_bomb_is_refused_before_a_byte_is_written(tmp_path: Path) -> None:
    path = _promising(wheel(tmp_path, ANY, {f"engine/{n}": bytes(1 << 16) for n in range(5)}), 0xFFFFFFF0)
    with pytest.raises(BadFile, match="would take more than 16 GiB"):
        unpack(path, tmp_path / "target")
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize("size", [10, 1 << 20])
def test_a_file_that_is_not_as_long_as_was_promised_is_refused(tmp_path: Path, size: int) -> None:
    path = _promising(wheel(tmp_path, ANY, {"engine/zeros": bytes(1 << 16)}), size)
    with pytest.raises(BadFile, match="is damaged"):
        unpack(path, tmp_path / "target")


def test_a_file_that_is_no_wheel_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / ANY
    path.write_bytes(b"PK\x03\x04 and nothing else")
    with pytest.raises(BadFile, match="is damaged"):
        unpack(path, tmp_path / "target")
