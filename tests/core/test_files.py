"""Files are whole or not there."""

import errno
import os
from pathlib import Path

import pytest

from omni.core.errors import SetupError, StorageError
from omni.core.files import (
    make_folder,
    own,
    put_aside,
    replacing,
    require_space,
    storage_error,
    storing,
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


def test_a_long_log_is_begun_anew_and_the_last_one_kept(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "keeper.log"
    assert put_aside(log, 3) == log
    log.write_text("abc")
    assert put_aside(log, 3).exists()
    log.write_text("abcd")
    assert not put_aside(log, 3).exists()
    assert (tmp_path / "logs" / "keeper.1.log").read_text() == "abcd"


def test_a_failed_write_inside_is_said_of_the_file_and_other_errors_pass(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="The disk that holds x is full"), storing(Path("x")):
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(ValueError, match="mine"), storing(Path("x")):
        raise ValueError("mine")


def test_what_does_not_fit_on_a_disk_is_refused_with_both_sizes(tmp_path: Path) -> None:
    require_space(tmp_path, 0)
    with pytest.raises(StorageError, match=r"too full: 1000000000\.0 GB more are needed, and .* are free") as caught:
        require_space(tmp_path, 10**18)
    assert "OMNI_HOME" in caught.value.hint
