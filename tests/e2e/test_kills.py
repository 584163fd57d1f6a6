"""What dies or runs out in mid-answer costs at most that answer, and the next question works in the same shell."""

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Person
from tests.e2e.terminal import Terminal

pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(240),
    pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed"),
]
WRITING = "•Chat"  # the rail marks it
LONG = "Write a long story about a ship, a storm and an island, with many details."


def begun(person: Person) -> Terminal:
    """A shell in which an answer is being written."""
    terminal = person.shell()
    terminal.type(LONG)
    terminal.key("Enter")
    terminal.wait(lambda screen: WRITING in screen and " writing" in screen, "an answer that streams")
    return terminal


def whole(screen: str) -> bool:
    """Whether nothing is written any more, and nothing failed."""
    return WRITING not in screen and "ctrl+r retry" not in screen


def killed(person: Person, *, again: bool = False) -> None:
    """End the worker, and with `again` the one that went on for it, too."""
    first = person.process("worker")
    os.kill(first, signal.SIGKILL)
    while again:
        with contextlib.suppress(StopIteration):  # there is none for a moment
            if (second := person.process("worker")) != first:
                os.kill(second, signal.SIGKILL)
                return


def test_an_answer_goes_on_when_its_worker_dies(owner: Person) -> None:
    terminal = begun(owner)
    killed(owner)
    screen = terminal.wait(whole, "the whole answer", seconds=120)
    assert "process ended" not in screen
    terminal.type("And what is two plus two?")
    terminal.key("Enter")
    terminal.until("2 turns")
    terminal.until(WRITING)
    terminal.wait(whole, "the next answer", seconds=120)


def test_an_answer_whose_second_worker_dies_says_so_in_place_and_o_goes_on(owner: Person) -> None:
    terminal = begun(owner)
    killed(owner, again=True)
    screen = terminal.until("ctrl+r retry")
    assert "shift+tab o go on" in screen
    terminal.key("BTab", "o")
    terminal.wait(lambda screen: WRITING in screen and "ctrl+r retry" not in screen, "that it goes on")
    terminal.key("Escape")
    terminal.until("esc stop")
    terminal.key("Escape")
    terminal.until("stopped")


@pytest.mark.parametrize("kind", ["keeper", "starter"])
def test_an_answer_outlives_keeper_and_starter(owner: Person, kind: str) -> None:
    terminal = begun(owner)
    os.kill(owner.process(kind), signal.SIGKILL)
    terminal.wait(whole, "the whole answer", seconds=120)
    terminal.type("And what is two plus two?")
    terminal.key("Enter")
    terminal.until("2 turns")
    terminal.until(WRITING)
    terminal.wait(whole, "the next answer", seconds=120)


def test_the_air_gap_changes_nothing_for_a_chat(owner: Person) -> None:
    terminal = begun(owner)
    terminal.key("F12")
    terminal.until("air gap verified")
    terminal.wait(whole, "the whole answer", seconds=120)


def test_a_full_disk_says_so_in_place_and_once_there_is_room_all_goes_on(full: Person) -> None:
    terminal = begun(full)
    filler = full.home.root / "filler"
    fill(filler)
    screen = terminal.until("kept in memory", seconds=120)
    assert "ctrl+r retry" not in screen, "nothing is lost"
    filler.unlink()
    terminal.type("Say yes.")
    terminal.key("Enter")
    terminal.until("2 turns")
    terminal.until(WRITING)
    terminal.wait(whole, "the next answer", seconds=120)
    terminal.wait(lambda text: "kept in memory" not in text, "that all is stored")


def fill(path: Path) -> None:
    """Take what is left of the disk."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        for size in (4096, 512, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(size))


@pytest.fixture
def full(person: Person, starter_gguf: Path) -> Iterator[Person]:
    """Somebody whose home stands on a small disk of its own."""
    person.home.root.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(person.home.root)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        person.omni("config", "set", "ui.ready", "true")
        person.owns(starter_gguf)
        person.omni("config", "set", "chat.max_completion_tokens", "300")
        yield person
    finally:
        person.close()
        subprocess.run(["umount", "-l", str(person.home.root)], check=False)
