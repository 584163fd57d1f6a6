"""Locks end with their holder, however that ends."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from omni.core.locks import born_locked, is_held, locked, take_lock


def test_a_lock_is_exclusive_and_ends(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with locked(path) as mine:
        assert mine
        with locked(path, wait=False) as other:
            assert not other
    with locked(path, wait=False) as again:
        assert again


def test_a_lock_ends_with_a_killed_process(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    code = (
        "import sys; from pathlib import Path; from omni.core.locks import locked\n"
        "with locked(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=_root()
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with locked(path, wait=False) as mine:
            assert not mine
        holder.kill()
        holder.wait()
        with locked(path, wait=False) as mine:
            assert mine


def _root() -> Path:
    return Path(__file__).resolve().parents[2]


def test_a_lock_as_a_descriptor_holds_until_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "run" / "lock"
    assert not is_held(path)
    held = take_lock(path)
    assert held is not None
    assert is_held(path)
    assert take_lock(path) is None
    os.close(held)
    assert not is_held(path)


def test_readers_share_a_lock_and_keep_a_writer_out(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with locked(path, shared=True), locked(path, shared=True, wait=False) as other:
        assert other
        with locked(path, wait=False) as writer:
            assert not writer


def test_a_file_is_never_seen_without_the_lock_it_is_born_with(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    held = born_locked(path, b"{}")
    assert is_held(path)
    assert (os.listdir(tmp_path), path.read_bytes()) == (["state.json"], b"{}")
    os.close(held)
    assert not is_held(path)


def test_who_only_looks_makes_no_lock(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        take_lock(tmp_path / "lock", make=False)
    assert os.listdir(tmp_path) == []


def test_a_link_is_no_lock(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        take_lock(tmp_path / "lock")
    assert not (tmp_path / "elsewhere").exists()
