"""Logs go to a file, one JSON object a line, and never to the terminal."""

import json
import logging
from collections.abc import Iterator

import pytest

from omni.core.logs import JsonLines, log_to_file
from omni.core.paths import Home


@pytest.fixture
def _root_logger() -> Iterator[None]:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield
    for handler in root.handlers:
        if handler not in before:
            handler.close()
    root.handlers[:], root.level = before, level


@pytest.mark.usefixtures("_root_logger")
def test_records_become_lines_of_json_in_a_file(home: Home, capfd: pytest.CaptureFixture[str]) -> None:
    log_to_file(home, "shell")
    logging.getLogger("omni.test").warning("two\nlines %s", "ö", extra={"brain": "@omni/x"})
    line = json.loads((home.logs / "shell.jsonl").read_text("utf-8"))
    assert (line["message"], line["level"], line["brain"]) == ("two\nlines ö", "warning", "@omni/x")
    assert capfd.readouterr() == ("", "")
    assert (home.logs / "shell.jsonl").stat().st_mode & 0o777 == 0o600


def test_a_traceback_stays_in_its_line() -> None:
    try:
        raise ValueError("why")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, __file__, 1, "failed", (), __import__("sys").exc_info())
    text = JsonLines().format(record)
    assert "\n" not in text
    assert "ValueError: why" in json.loads(text)["traceback"]


def test_what_is_no_json_is_written_as_text() -> None:
    record = logging.makeLogRecord({"msg": "x", "where": object()})
    assert "object" in json.loads(JsonLines().format(record))["where"]
