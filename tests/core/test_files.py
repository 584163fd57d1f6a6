"""Files are whole or not there; locks end with their holder."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from omni.core.errors import SetupError, StorageError
from omni.core.files import (
    born_locked,
    is_held,
    locked,
    make_folder,
    own,
    put_aside,
    replacing,
    storage_error,
    take_lock,
    write_atomic,
    write_new,
)


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


def test_every_folder_that_is_made_is_this_users_alone(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "b" / "c")
    make_folder(tmp_path / "a" / "b" / "c")
    write_atomic(tmp_path / "d" / "e" / "file", "x")
    for folder in ("a", "a/b", "a/b/c", "d", "d/e"):
        assert (tmp_path / folder).stat().st_mode & 0o777 == 0o700
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        make_folder(tmp_path / "file")


def test_a_block_that_raises_replaces_nothing(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def interrupted() -> None:
        with replacing(path) as file:
            file.write(b"half")
            file.flush()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert (os.listdir(tmp_path), path.read_text()) == (["file"], "old")


def test_two_who_replace_one_file_leave_one_of_both_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with replacing(path) as one, replacing(path, durable=False) as other:
        one.write(b"one")
        other.write(b"other")
    assert (os.listdir(tmp_path), path.read_text()) == (["file"], "one")


def test_texts_kept_aside_never_meet(tmp_path: Path) -> None:
    paths = {write_new(tmp_path, "draft", ".md", f"{number} \ud800") for number in range(20)}
    assert sorted(path.read_text() for path in paths) == sorted(f"{number} ?" for number in range(20))
    assert {path.stat().st_mode & 0o777 for path in paths} == {0o600}
    with pytest.raises(StorageError):
        write_new(tmp_path / "absent", "draft", ".md", "x")


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


def test_a_long_log_is_begun_anew_and_the_last_one_kept(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "keeper.log"
    assert put_aside(log, 3) == log
    log.write_text("abc")
    assert put_aside(log, 3).exists()
    log.write_text("abcd")
    assert not put_aside(log, 3).exists()
    assert (tmp_path / "logs" / "keeper.1.log").read_text() == "abcd"
