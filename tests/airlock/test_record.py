"""The audit record: bounded, and whole whoever writes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from omni.airlock import read_record
from omni.airlock.audit import Audit
from omni.airlock.record import KEPT, record_file
from omni.core.paths import Home

WRITER = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from omni.airlock.audit import Audit
audit = Audit(Path(sys.argv[2]), limit=int(sys.argv[4]))
sys.stdin.readline()
for number in range(int(sys.argv[5])):
    line = audit.line(sys.argv[3], "pull", f"host-{number}", "open")
    line.close(number, "whole")
"""


def test_the_record_is_read_across_its_files(home: Home) -> None:
    audit = Audit(record_file(home), limit=1000)
    for number in range(20):
        audit.line("cli-1", "pull", f"host-{number}", "open").close(1, "whole")
    assert len(list(home.audit.glob("*.jsonl"))) > 2
    hosts = [json.loads(line)["host"] for line in read_record(home)]
    assert hosts == [f"host-{number}" for number in range(20 - len(hosts), 20)]
    assert [json.loads(line)["host"] for line in read_record(home, 7)] == hosts[-7:]


def test_it_does_not_grow_for_ever(home: Home) -> None:
    audit = Audit(record_file(home), limit=1000)
    for _ in range(100):
        audit.line("cli-1", "pull", "host", "open").close(1, "whole")
    files = list(home.audit.glob("*.jsonl"))
    assert len(files) == KEPT + 1
    assert all(path.stat().st_size < 1500 for path in files)


def test_a_line_that_was_begun_ends_where_it_is(home: Home) -> None:
    audit = Audit(record_file(home), limit=1)
    begun = audit.line("cli-1", "pull", "first", "open")
    audit.line("cli-1", "pull", "second", "open").close(2, "whole")
    begun.close(7, "whole")
    assert [(one["host"], one["bytes"]) for one in map(json.loads, read_record(home))] == [("first", 7), ("second", 2)]


def test_nobody_has_a_record_yet(home: Home) -> None:
    assert read_record(home) == []
    assert not home.audit.exists()


@pytest.mark.real
def test_no_line_is_lost_when_two_processes_write(home: Home) -> None:
    count, root = 150, str(Path(__file__).parents[2])
    limit = 25_000  # so that files are put aside twice, and none is removed
    writers = [
        subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", WRITER, root, str(record_file(home)), name, str(limit), str(count)],
            stdin=subprocess.PIPE,
        )
        for name in ("one", "two")
    ]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write(b"\n")
        writer.stdin.flush()
    assert [writer.communicate(timeout=60) and writer.returncode for writer in writers] == [0, 0]
    lines = [json.loads(line) for line in read_record(home)]
    assert len(list(home.audit.glob("*.jsonl"))) > 2
    for name in ("one", "two"):
        mine = [(line["host"], line["bytes"]) for line in lines if line["client"] == name]
        assert mine == [(f"host-{number}", number) for number in range(count)]
    assert {line["verdict"] for line in lines} == {"whole"}
