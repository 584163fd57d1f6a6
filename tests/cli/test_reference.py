"""The generated reference is what the commands say now."""

import sys

import pytest

from omni.cli import reference
from omni.cli.main import COMMANDS
from omni.environment.reference import help_text
from tests.cli.conftest import Call
from tests.cli.tools import ROOT


def test_both_files_are_fresh() -> None:
    for path, text in reference.files(ROOT).items():
        assert path.read_text("utf-8") == text, f"{path} is stale: run `make docs`"


def test_the_check_says_what_is_stale(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["reference", "--check"])
    assert reference.main() == 0
    fresh = reference.files(ROOT)
    monkeypatch.setattr(reference, "files", lambda _: {path: text + "x" for path, text in fresh.items()})
    assert reference.main() == 1
    assert "is stale: run `make docs`" in capsys.readouterr().out


def test_make_docs_writes_it() -> None:
    lines = (ROOT / "Makefile").read_text().splitlines()
    assert "docs.generate" in lines[lines.index("docs:") + 1]


def test_help_before_set_up_is_the_same_help(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    for words in ([], *([name] for name in COMMANDS), ["config", "set"], ["environment", "repair"]):
        assert help_text([*words, "--help"], ROOT / "omni" / "cli" / "reference.txt") == call(*words, "--help").out
