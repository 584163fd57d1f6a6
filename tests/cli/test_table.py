"""Listings for people."""

import os
import sys

import pytest

from omni.cli.table import print_facts, print_groups, print_json, print_table


def test_columns_are_as_wide_as_their_widest_cell(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("name", "size", ""), [("a", "98 MB", "x"), ("日本語", "1.2 GB", "")], right=("size",))
    assert capsys.readouterr().out == "name      size\na        98 MB  x\n日本語  1.2 GB\n"


def test_groups_share_their_columns(capsys: pytest.CaptureFixture[str]) -> None:
    print_groups(("name", "size"), {"Here:": [("a", "1")], "There:": [("long name", "2")]})
    assert capsys.readouterr().out == "name       size\n\nHere:\na          1\n\nThere:\nlong name  2\n"


def test_foreign_text_stays_in_its_cell(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("name",), [("a\x1b[2J\nb",)])
    print_facts([("title", "a\x1b[2J\nb"), ("empty", "")])
    assert capsys.readouterr().out == "name\na b\ntitle  a b\n"


def test_a_line_ends_where_the_terminal_does(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("shutil.get_terminal_size", lambda **_: os.terminal_size((20, 24)))
    print_table(("name", "what"), [("a" * 10, "b" * 30), ("c", "d")])
    assert capsys.readouterr().out.splitlines()[1] == "aaaaaaaaaa  bbbbb..."


def test_json_holds_paths_and_structs(capsys: pytest.CaptureFixture[str], tmp_path: object) -> None:
    print_json({"path": tmp_path, "none": None})
    assert str(tmp_path) in capsys.readouterr().out
