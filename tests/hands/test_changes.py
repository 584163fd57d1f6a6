"""Changes to files: whole or not at all, never over what somebody else wrote, and taken back whenever wanted."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from omni.core.errors import BadFile, NotFound, StorageError, UsageError
from omni.core.paths import Home
from omni.hands import ChangeLog, FileChange


@pytest.fixture
def log(home: Home) -> ChangeLog:
    return ChangeLog(home)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "work" / "a.txt"
    path.parent.mkdir()
    path.write_bytes(b"one\r\ntwo")
    return path


def changed(file: Path, after: bytes | None, before: bytes | None = b"one\r\ntwo") -> FileChange:
    return FileChange(path=str(file), before=before, after=after)


def test_a_change_is_made_listed_and_taken_back(log: ChangeLog, file: Path) -> None:
    file.chmod(0o751)
    project = str(file.parent)
    record = log.apply(changed(file, b"three"), project, agent="coder", conversation="talk")
    assert (file.read_bytes(), stat.S_IMODE(file.stat().st_mode)) == (b"three", 0o751)
    assert [(one.id, one.state, one.agent, one.conversation) for one in log.made(project)] == [
        (1, "done", "coder", "talk")
    ]
    assert log.change_of(record) == changed(file, b"three")
    assert log.undo(project).id == 1
    assert (file.read_bytes(), stat.S_IMODE(file.stat().st_mode)) == (b"one\r\ntwo", 0o751)
    assert log.made(project)[0].state == "undone"
    with pytest.raises(NotFound, match="no change to take back"):
        log.undo(project)


def test_a_new_file_and_a_removed_one_are_taken_back(log: ChangeLog, file: Path) -> None:
    project, new = str(file.parent), file.parent / "deep" / "new.txt"
    log.apply(FileChange(path=str(new), before=None, after=b"x"), project)
    assert new.read_bytes() == b"x"
    log.apply(changed(file, None), project)
    assert not file.exists()
    assert [log.undo(project).id, log.undo(project).id] == [2, 1]
    assert file.read_bytes() == b"one\r\ntwo"
    assert not new.exists()


def test_what_was_changed_meanwhile_is_left_alone(log: ChangeLog, file: Path) -> None:
    project = str(file.parent)
    file.write_bytes(b"theirs")
    with pytest.raises(UsageError, match="changed meanwhile"):
        log.apply(changed(file, b"ours"), project)
    assert file.read_bytes() == b"theirs"
    with pytest.raises(UsageError, match="changed meanwhile"):
        log.apply(FileChange(path=str(file), before=None, after=b"ours"), project)
    assert (file.read_bytes(), log.made(project)) == (b"theirs", [])
    log.apply(changed(file, b"ours", b"theirs"), project)
    file.write_bytes(b"theirs again")
    with pytest.raises(UsageError, match="changed meanwhile"):
        log.undo(project)
    assert file.read_bytes() == b"theirs again"
    assert list(file.parent.iterdir()) == [file]  # nothing was left beside it


@pytest.mark.parametrize("where", ["file", "folder"])
def test_a_link_that_was_put_in_the_way_is_not_followed(log: ChangeLog, file: Path, where: str) -> None:
    outside = file.parent.parent / "outside"
    outside.mkdir()
    (outside / "a.txt").write_bytes(b"one\r\ntwo")
    if where == "file":
        file.unlink()
        file.symlink_to(outside / "a.txt")
    else:
        file.unlink()
        file.parent.rmdir()
        file.parent.symlink_to(outside)
    with pytest.raises((UsageError, StorageError)):
        log.apply(changed(file, b"ours"), str(file.parent))
    assert (outside / "a.txt").read_bytes() == b"one\r\ntwo"


def test_a_change_outlives_the_process_that_made_it(log: ChangeLog, home: Home, file: Path) -> None:
    log.apply(changed(file, b"three"), str(file.parent))
    assert ChangeLog(home).undo(str(file.parent)).path == str(file)
    assert file.read_bytes() == b"one\r\ntwo"


def test_one_that_was_killed_between_writing_down_and_writing_is_there_or_not(log: ChangeLog, file: Path) -> None:
    project = str(file.parent)
    record = log.apply(changed(file, b"three"), project)
    (place,) = list(log.folder_of(project).glob("*.json"))
    place.write_bytes(place.read_bytes().replace(b'"done"', b'"begun"'))
    assert [one.id for one in log.made(project)] == [record.id]  # the file is as it was to be
    assert log.undo(project).id == record.id
    place.write_bytes(place.read_bytes().replace(b'"undone"', b'"begun"'))
    assert log.made(project) == []  # it never came to be


@pytest.mark.real
def test_a_kill_at_any_moment_leaves_a_whole_file_and_a_change_that_can_be_taken_back(home: Home, file: Path) -> None:
    code = (
        "import sys, os\nfrom omni.core.paths import Home\nfrom omni.hands import ChangeLog, FileChange\nfrom pathlib import Path\n"
        f"log, path = ChangeLog(Home(Path({str(home.root)!r}))), {str(file)!r}\n"
        "sides = [b'one\\r\\ntwo', b'x' * 300_000]\nprint(flush=True)\n"
        "while True:\n"
        "    log.apply(FileChange(path=path, before=sides[0], after=sides[1]), os.path.dirname(path)); sides.reverse()\n"
    )
    import random

    for seed in range(12):
        file.write_bytes(b"one\r\ntwo")
        child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2])
        assert child.stdout is not None
        child.stdout.readline()
        try:
            child.wait(random.Random(seed).uniform(0.01, 0.1))
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        log, here = ChangeLog(home), file.read_bytes()
        assert here in (b"one\r\ntwo", b"x" * 300_000)
        made = [one for one in log.made(str(file.parent)) if one.state != "undone"]
        if made:
            log.undo(str(file.parent))
            assert file.read_bytes() != here


def test_damaged_records_hide_no_others_and_damaged_contents_are_not_written(log: ChangeLog, file: Path) -> None:
    project = str(file.parent)
    log.apply(changed(file, b"two"), project)
    log.apply(changed(file, b"three", b"two"), project)
    first, second = sorted(log.folder_of(project).glob("*.json"))
    first.write_bytes(b"{")
    assert [one.id for one in log.made(project)] == [2]
    (log.folder_of(project).parent / "contents" / log.made(project)[0].before).write_bytes(b"something else")
    with pytest.raises(BadFile, match="damaged"):
        log.undo(project)
    assert (file.read_bytes(), second.exists()) == (b"three", True)


def test_only_the_last_changes_are_kept(log: ChangeLog, file: Path) -> None:
    project = str(file.parent)
    before = b"one\r\ntwo"
    for number in range(203):
        log.apply(changed(file, after := b"%d" % number, before), project)
        before = after
    assert [one.id for one in log.made(project)] == list(range(203, 3, -1))
    assert len(list((log.folder_of(project).parent / "contents").iterdir())) == 201


def test_the_difference_is_shown(file: Path) -> None:
    assert changed(file, b"one\r\nthree\r\n").diff(str(file.parent)).splitlines() == [
        "--- a.txt",
        "+++ a.txt",
        "@@ -1,2 +1,2 @@",
        " one",
        "-two",
        "+three",
    ]
    assert "/dev/null" in changed(file, b"x", None).diff(str(file.parent))
    assert changed(file, b"\xff\x00").diff(str(file.parent)) == "a.txt: no text; 8 bytes before, 2 bytes after"
    long = changed(file, b"".join(b"%d\n" % number for number in range(900))).diff(str(file.parent))
    assert long.splitlines()[-1].endswith("lines more")


def test_a_full_disk_changes_nothing(log: ChangeLog, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="is full"):
        log.apply(changed(file, b"three"), str(file.parent))
    monkeypatch.undo()
    assert (file.read_bytes(), log.made(str(file.parent)), list(file.parent.iterdir())) == (b"one\r\ntwo", [], [file])
