"""The audit record: only added to, chained, and whole whoever writes."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from omni.airlock import read_record, verify
from omni.airlock.audit import Audit
from omni.core.paths import Home
from omni.core.record import AuditRecord

WRITER = """
import sys
sys.path.insert(0, sys.argv[1])
from omni.airlock.audit import Audit
from omni.core.paths import Home
from omni.core.record import AuditRecord
audit = Audit(Home(sys.argv[2]), limit=int(sys.argv[4]))
sys.stdin.readline()
for number in range(int(sys.argv[5])):
    line = audit.line(sys.argv[3], "pull", f"host-{number}")
    line.close(number, "whole")
"""
ROOT = str(Path(__file__).parents[2])


def writer(home: Home, name: str, count: int, limit: int) -> "subprocess.Popen[bytes]":
    arguments = [ROOT, str(home.root), name, str(limit), str(count)]
    return subprocess.Popen([sys.executable, "-I", "-S", "-c", WRITER, *arguments], stdin=subprocess.PIPE)


def written(home: Home, count: int = 6, limit: int = 1000) -> list[Path]:
    """A record of some connections, and its files."""
    audit = Audit(home, limit=limit)
    for number in range(count):
        audit.line("cli-1", "pull", f"host-{number}").close(1, "whole")
    return sorted(home.audit.glob("airlock-*.jsonl"))


def faults(home: Home) -> list[str]:
    return verify(home).faults


def test_each_connection_is_read_once_across_all_files(home: Home) -> None:
    assert len(written(home, 20)) > 2
    hosts = [json.loads(line)["host"] for line in read_record(home)]
    assert hosts == [f"host-{number}" for number in range(20)]
    assert [json.loads(line)["host"] for line in read_record(home, 7)] == hosts[-7:]
    assert {json.loads(line)["verdict"] for line in read_record(home)} == {"whole"}


def test_nothing_is_dropped_for_its_size(home: Home) -> None:
    files = written(home, 300)
    assert len(files) > 50
    assert all(path.stat().st_size < 1500 for path in files)
    assert len(read_record(home)) == 300
    assert verify(home) == (600, len(files), 0, [], [])


def test_a_connection_ends_in_a_later_file_than_it_began(home: Home) -> None:
    audit = Audit(home, limit=1)
    begun = audit.line("cli-1", "pull", "first")
    audit.line("cli-1", "pull", "second").close(2, "whole")
    begun.close(7, "whole")
    begun.close(9, "cut")
    assert [(one["host"], one["bytes"]) for one in map(json.loads, read_record(home))] == [("first", 7), ("second", 2)]
    assert faults(home) == []


def test_few_lines_hold_at_least_half_of_what_came(home: Home) -> None:
    line = Audit(home).line("cli-1", "pull", "host")
    for count in range(0, 100_000, 100):
        line.progress(count)
    [last] = [json.loads(one) for one in read_record(home)]
    assert last["verdict"] == "open"
    assert last["bytes"] >= 50_000
    assert verify(home).lines < 14


def test_nobody_has_a_record_yet(home: Home) -> None:
    assert read_record(home) == []
    assert verify(home) == (0, 0, 0, [], [])
    assert not home.audit.exists()


def change(path: Path, old: bytes, new: bytes) -> None:
    path.write_bytes(path.read_bytes().replace(old, new, 1))


def cut_last_line(path: Path) -> None:
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))


def swap(path: Path) -> None:
    first, second, *rest = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([second, first, *rest]))


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda files: change(files[1], b'"bytes": 1', b'"bytes": 0'), "airlock-000002.jsonl, line 1: it was changed"),
        (lambda files: change(files[0], b'"hash": "', b'"hash": "0'), "airlock-000001.jsonl, line 1: it has no hash"),
        (lambda files: change(files[1], files[1].read_bytes(), b""), "airlock-000003.jsonl, line 1: it was changed"),
        (lambda files: change(files[1], b"\n", b"\n{}\n"), "airlock-000002.jsonl, line 2: it has no hash"),
        (lambda files: swap(files[0]), "airlock-000001.jsonl, line 1: it was changed"),
        (lambda files: files[0].unlink(), "airlock-000002.jsonl: the 1 files before it are missing"),
        (lambda files: files[1].unlink(), "airlock-000003.jsonl: the 1 files before it are missing"),
        (lambda files: cut_last_line(files[0]), "airlock-000002.jsonl, line 1: it was changed"),
        (lambda files: cut_last_line(files[-1]), "its end is missing"),
        (lambda files: files[-1].unlink(), "its end is missing"),
        (lambda files: os.truncate(files[-1], files[-1].stat().st_size - 9), "its end is missing"),
        (lambda files: (files[0].parent / "airlock.head").unlink(), "airlock.head: it is missing"),
    ],
)
def test_whatever_is_done_to_it_is_said(home: Home, harm: Callable[[list[Path]], Any], said: str) -> None:
    files = written(home, 10)
    assert faults(home) == []
    harm(files)
    assert any(said in fault for fault in faults(home)), faults(home)


@pytest.mark.parametrize("left", [0, 9])
def test_a_cut_end_is_not_made_good_by_going_on(home: Home, left: int) -> None:
    files = written(home, 10)
    cut_last_line(files[-1])
    os.truncate(files[-1], max(0, files[-1].stat().st_size - left))
    written(home, 3)
    assert faults(home)


@pytest.mark.parametrize("head", [None, b"", b"damaged\n"])
def test_a_cut_end_without_a_head_is_not_made_good_by_going_on(home: Home, head: bytes | None) -> None:
    files = written(home, 10)
    cut_last_line(files[-1])
    (home.audit / "airlock.head").unlink()
    if head is not None:
        (home.audit / "airlock.head").write_bytes(head)
    written(home, 3)
    assert any("airlock.head was missing by then" in fault for fault in faults(home))


def test_a_first_writer_that_died_before_it_wrote_a_head_left_no_fault(home: Home) -> None:
    [path] = written(home, 1, 1 << 20)
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
    (home.audit / "airlock.head").write_bytes(b"")
    written(home, 1, 1 << 20)
    assert faults(home) == []


def test_a_removed_last_file_is_not_made_good_by_going_on(home: Home) -> None:
    files = written(home, 10)
    files[-1].unlink()
    written(home, 3)
    assert faults(home)


def test_a_line_that_was_torn_is_kept_and_the_chain_goes_on(home: Home) -> None:
    [path] = written(home, 2, 1 << 20)
    with path.open("ab") as file:
        file.write(b'{"time": "2026')
    assert verify(home) == (4, 1, 0, ["airlock-000001.jsonl, line 5"], [])
    written(home, 1, 1)
    seen = verify(home)
    assert seen.torn == ["airlock-000001.jsonl, line 5"]
    assert seen.faults == []
    assert b'{"time": "2026\n' in path.read_bytes()


def test_a_writer_that_died_before_it_said_where_the_end_is_forks_nothing(home: Home) -> None:
    written(home, 2)
    head = (home.audit / "airlock.head").read_bytes()
    written(home, 1)
    (home.audit / "airlock.head").write_bytes(head)
    assert faults(home) == []
    written(home, 4)
    assert faults(home) == []


def test_lines_of_earlier_builds_are_read_and_said_to_be_unchained(home: Home) -> None:
    home.audit.mkdir()
    (home.audit / "airlock.1.jsonl").write_text('{"host": "oldest", "bytes": 1}   \n')
    (home.audit / "airlock.jsonl").write_text('{"host": "older", "bytes": 1}   \n')
    written(home, 1)
    assert [json.loads(line)["host"] for line in read_record(home)] == ["oldest", "older", "host-0"]
    assert verify(home) == (2, 1, 2, [], [])


def test_a_full_disk_keeps_what_is_there_and_the_next_line_says_what_was_lost(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    audit = Audit(home)
    audit.line("cli-1", "pull", "before").close(1, "whole")
    [path] = home.audit.glob("airlock-*.jsonl")
    before, pwrite = path.read_bytes(), os.pwrite
    with monkeypatch.context() as full:
        full.setattr(os, "pwrite", lambda file, data, offset: pwrite(file, data[:20], offset))
        audit.line("cli-1", "pull", "meanwhile").close(1, "whole")
    assert path.read_bytes() == before
    assert "The audit line for meanwhile cannot be written: No space" in capsys.readouterr().err
    audit.note("cli-1", "pull", "after", "refused: 404")
    assert json.loads(read_record(home)[-1])["lost"] == 2
    assert faults(home) == []


@pytest.mark.real
def test_no_line_is_lost_and_nothing_forks_when_two_processes_write(home: Home) -> None:
    count, limit = 150, 25_000
    writers = [writer(home, name, count, limit) for name in ("one", "two")]
    for each in writers:
        assert each.stdin is not None
        each.stdin.write(b"\n")
        each.stdin.flush()
    assert [each.communicate(timeout=60) and each.returncode for each in writers] == [0, 0]
    lines = [json.loads(line) for line in read_record(home)]
    assert len(list(home.audit.glob("airlock-*.jsonl"))) > 2
    for name in ("one", "two"):
        mine = [(line["host"], line["bytes"]) for line in lines if line["client"] == name]
        assert mine == [(f"host-{number}", number) for number in range(count)]
    assert {line["verdict"] for line in lines} == {"whole"}
    assert verify(home)[0] == 4 * count
    assert faults(home) == []


@pytest.mark.real
def test_kill_9_at_any_moment_leaves_one_chain(home: Home) -> None:
    for round_number in range(5):
        one = writer(home, f"round-{round_number}", 100_000, 4000)
        assert one.stdin is not None
        one.stdin.write(b"\n")
        one.stdin.flush()
        before = verify(home).lines
        while verify(home).lines < before + 20 + round_number:
            pass
        one.send_signal(signal.SIGKILL)
        one.communicate()
        assert faults(home) == []


def test_the_chain_goes_on_after_a_very_long_line_whose_writer_died_before_the_head(tmp_path: Path) -> None:
    record = AuditRecord(tmp_path, "consent")
    for _ in range(2):
        record.add({"text": "short"})
    head = (tmp_path / "consent.head").read_bytes()
    record.add({"parts": ["\U0001f600" * 200] * 40})
    (tmp_path / "consent.head").write_bytes(head)
    record.add({"text": "after"})
    assert record.verify().faults == []


def test_a_missing_head_is_told_of_by_the_name_of_the_record(tmp_path: Path) -> None:
    record = AuditRecord(tmp_path, "consent")
    for _ in range(2):
        record.add({"text": "short"})
    (tmp_path / "consent.head").unlink()
    record.add({"text": "after"})
    assert any("consent.head was missing by then" in fault for fault in record.verify().faults)
