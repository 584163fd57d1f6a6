"""Files are whole or not there; locks end with their holder."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from omni.core.errors import SetupError, StorageError
from omni.core.files import locked, own, storage_error, write_atomic


def test_a_file_is_replaced_whole_and_private(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    write_atomic(path, "old")
    write_atomic(path, b"new")
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(path.parent) == ["file"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "dotfiles").mkdir()
    link = tmp_path / "config.toml"
    link.symlink_to(tmp_path / "dotfiles" / "omni.toml")
    write_atomic(link, "a = 1\n")
    write_atomic(link, "a = 2\n")
    assert link.is_symlink()
    assert (tmp_path / "dotfiles" / "omni.toml").read_text() == "a = 2\n"


def test_a_failed_write_leaves_the_old_content_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    write_atomic(path, "old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="full"):
        write_atomic(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


def test_the_folder_in_the_place_of_a_file_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()
    with pytest.raises(StorageError):
        write_atomic(tmp_path / "file", "x")
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize(
    ("number", "kind"),
    [(errno.ENOSPC, StorageError), (errno.EDQUOT, StorageError), (errno.EROFS, SetupError), (errno.EACCES, SetupError)],
)
def test_what_went_wrong_decides_the_error(number: int, kind: type[Exception]) -> None:
    assert type(storage_error(Path("x"), OSError(number, "why"))) is kind


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
        "import sys; from pathlib import Path; from omni.core.files import locked\n"
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


def test_a_file_of_ones_own_is_for_nobody_else(tmp_path: Path) -> None:
    path = tmp_path / "a"
    own(path)
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text("x")
    path.chmod(0o644)
    own(path)
    assert (path.stat().st_mode & 0o777, path.read_text()) == (0o600, "x")
