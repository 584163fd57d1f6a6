"""Copying says which way it took, and takes one that works."""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from omni.core.paths import Home
from omni.shell.clipboard import copy


class App:
    def __init__(self) -> None:
        self.text = ""

    def copy_to_clipboard(self, text: str) -> None:
        self.text = text


async def _copy(text: str, folder: Path, **environment: str) -> tuple[str, Any]:
    app: Any = App()
    home = Home(folder)
    said = await copy(text, app=app, home=home, environment={"PATH": os.environ["PATH"], **environment})
    return said, app


async def test_a_terminal_gets_osc_52(tmp_path: Path) -> None:
    said, app = await _copy("text", tmp_path, TERM="xterm-256color")
    assert app.text == "text"
    assert "OSC 52" in said


@pytest.mark.parametrize("term", ["linux", "dumb", "screen", ""])
async def test_a_terminal_without_copies_gets_a_file(tmp_path: Path, term: str) -> None:
    said, app = await _copy("text", tmp_path, TERM=term)
    assert app.text == ""
    assert (tmp_path / "copied.txt").read_text() == "text"
    assert str(tmp_path / "copied.txt") in said


async def test_what_is_too_long_for_osc_52_gets_a_file(tmp_path: Path) -> None:
    await _copy("x" * 100_000, tmp_path, TERM="xterm")
    assert (tmp_path / "copied.txt").stat().st_size == 100_000


async def test_a_tmux_that_does_not_answer_is_passed_over(tmp_path: Path) -> None:
    said, app = await _copy("text", tmp_path, TERM="tmux-256color", TMUX=str(tmp_path / "gone") + ",1,0")
    assert app.text == "text"
    assert "OSC 52" in said


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[list[str]]:
    """A tmux server of its own."""
    base = ["tmux", "-S", str(tmp_path / "s"), "-f", "/dev/null"]
    try:
        subprocess.run([*base, "new-session", "-d", "sleep 60"], check=True)
    except FileNotFoundError:
        pytest.skip("tmux is not installed")
    yield base
    subprocess.run([*base, "kill-server"], check=False)


@pytest.mark.real
def test_inside_tmux_its_buffer_is_filled(tmp_path: Path, tmux: list[str]) -> None:
    said, app = asyncio.run(_copy("text for tmux", tmp_path, TERM="tmux-256color", TMUX=f"{tmux[2]},1,0"))
    assert subprocess.run([*tmux, "show-buffer"], capture_output=True, text=True, check=True).stdout == "text for tmux"
    assert "tmux" in said
    assert app.text == ""
