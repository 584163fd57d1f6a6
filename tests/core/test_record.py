"""Records of several rooms in one folder; what one record holds to is in tests/airlock/test_record.py."""

import json
from pathlib import Path

from omni.core.record import AuditRecord


def test_records_in_one_folder_do_not_mix(tmp_path: Path) -> None:
    first, second = AuditRecord(tmp_path / "audit", "first"), AuditRecord(tmp_path / "audit", "second")
    for number in range(5):
        first.add({"number": number}, limit=200)
        second.add({"letter": "abcde"[number]})
    assert len(first.files()) > 1
    lines = [json.loads(line) for path in second.files() for line in path.read_text().splitlines()]
    assert [line["letter"] for line in lines] == list("abcde")
    for record in (first, second):
        assert record.verify().faults == []
        assert record.verify().lines == 5
    second.files()[0].write_text("")
    assert second.verify().faults != []
    assert first.verify().faults == []
