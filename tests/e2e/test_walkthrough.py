"""The main steps of `docs/walkthrough.md` in a real terminal of 80 x 24; what is looked for stands there, word for word."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from functools import partial
from operator import ne
from pathlib import Path

import pytest

from tests.e2e.conftest import OMNI, ROOT, Person
from tests.e2e.terminal import Terminal
from tests.fixtures_starter import SHA256

pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(180),
    pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed"),
]
SECTIONS = re.compile(r"^### (\d+)\. (.*?)(?=^### |^## |\Z)", re.DOTALL | re.MULTILINE)
WALK = (ROOT / "docs" / "walkthrough.md").read_text("utf-8")
LOOK_FOR = {
    int(number): re.findall(r"`([^`]+)`", text.partition("Look for:")[2].partition("\n\n")[0])
    for number, text in SECTIONS.findall(WALK)
}


@pytest.fixture
def newcomer(starter_gguf: Path) -> Iterator[Person]:
    """Somebody with an empty home, but for the file of the starter: nothing is fetched."""
    with tempfile.TemporaryDirectory(prefix="omni-e2e-", ignore_cleanup_errors=True) as name:
        person = Person(Path(name))
        person.home.blobs.mkdir(parents=True)
        try:
            os.link(starter_gguf, person.home.blobs / f"sha256-{SHA256}")
        except OSError:  # another disk
            shutil.copy(starter_gguf, person.home.blobs / f"sha256-{SHA256}")
        (person.project / "sums.py").write_text("def add(a, b):\n    return a - b\n")
        yield person
        person.close()


def is_marked(screen: str, words: str) -> bool:
    """Whether the bar stands on the line with these words."""
    return re.search(rf"▌ +[●\s]*{re.escape(words)}", screen) is not None


class Walk:
    """One terminal, and the papers that say what stands in it."""

    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal

    def vision(self, step: int, *which: int) -> None:
        """Wait for the words of a step, or for some of them by their place."""
        for place in which or range(len(LOOK_FOR[step])):
            self.terminal.until(LOOK_FOR[step][place], seconds=60)

    def leaves(self, words: str) -> None:
        """Press escape, and wait until it was seen: the next key would be alt and that key."""
        self.terminal.key("Escape")
        self.terminal.wait(lambda screen: words not in screen, f"an end of {words!r}")

    def bar_at(self, words: str) -> None:
        """Wait until the bar stands on the line with these words."""
        self.terminal.wait(lambda screen: is_marked(screen, words), f"the bar at {words!r}")

    def moves_to(self, words: str) -> None:
        """Move the bar down from the first line to the one with these words. What else changes on the screen may be taken for
        its step, so that it runs past: then once more."""
        for _ in range(3):
            self.terminal.key("Home")
            for _ in range(20):
                if is_marked(before := self.terminal.screen, words):
                    return
                self.terminal.key("Down")
                self.terminal.wait(partial(ne, before), "the bar at the next line")
        pytest.fail(f"the bar never came to {words!r}:\n{self.terminal.screen}")

    def consents(self, key: str, title: str) -> None:
        """Answer a question that takes no key within half a second of another."""
        self.terminal.until(title)
        for _ in range(5):
            self.terminal.key(key)
            try:
                self.terminal.wait(lambda screen: title not in screen, "an end of the question", seconds=1)
            except AssertionError:
                continue
            return
        pytest.fail(f"the question never took {key!r}:\n{self.terminal.screen}")


@pytest.fixture
def walk(newcomer: Person) -> Iterator[Walk]:
    """The shell as a newcomer has it before them."""
    command = ["sh", "-c", 'cd "$1" && shift && exec "$@"', "sh", str(newcomer.project), *OMNI, "run"]
    environment = {key: value for key, value in newcomer.environment.items() if key != "COLORTERM"}
    with Terminal(newcomer.folder, command, size=(80, 24), environment=environment) as terminal:
        yield Walk(terminal)


def test_the_papers_have_twenty_five_steps_each_with_keys_and_with_what_to_look_for() -> None:
    assert list(LOOK_FOR) == list(range(1, 26))
    assert all(LOOK_FOR.values())
    assert all("Keys: " in text for _, text in SECTIONS.findall(WALK))


def looks_for_a_brain_of_ones_own(walk: Walk) -> None:
    terminal = walk.terminal
    terminal.key("o")
    terminal.until("A brain of your own")
    terminal.type("/nowhere/brain.gguf")
    terminal.key("Enter")
    walk.vision(4)
    walk.leaves("A brain of your own")


def chooses_a_brain_and_a_theme(walk: Walk) -> None:
    terminal = walk.terminal
    terminal.key("Home")
    walk.bar_at("@omni/smollm2")
    terminal.key("Enter")
    walk.vision(5)
    terminal.key("Down")
    walk.bar_at("Light")
    terminal.key("Up")
    walk.bar_at("Dark")
    terminal.key("Enter")
    walk.vision(6)
    terminal.until("Everything is here.")
    terminal.key("Enter")
    walk.vision(7)


def asks(walk: Walk) -> None:
    terminal = walk.terminal
    terminal.type("Write a haiku about the sea")
    terminal.key("Enter")
    walk.vision(8)
    terminal.type("/")
    walk.vision(13)
    walk.leaves("/system")
    terminal.key("C-u")
    walk.vision(7)


def looks_at_the_brains(walk: Walk) -> None:
    terminal = walk.terminal
    terminal.key("F5")
    walk.vision(16)
    walk.bar_at("@omni/smollm2")
    terminal.key("v")
    walk.vision(18)


def ends_a_worker(walk: Walk) -> None:
    terminal = walk.terminal
    terminal.key("F10")
    walk.vision(19)
    terminal.key("End")
    walk.bar_at("worker  @omni/smollm2")
    terminal.key("k")
    walk.vision(21)
    walk.consents("e", "End the worker")
    terminal.wait(lambda screen: "worker  @omni/smollm2" not in screen, "a list without the worker")


def shuts_and_opens_the_doors(walk: Walk) -> None:
    terminal = walk.terminal
    terminal.key("F12")
    walk.vision(22)
    terminal.key("F5")
    terminal.until("Cartridges")
    walk.moves_to("@omni/coder")  # it fits everywhere: nothing is asked before the pull
    terminal.key("p")
    walk.vision(23)
    terminal.key("F12")
    walk.vision(24, 0)
    walk.consents("o", "Open the doors again?")
    walk.vision(24, 1)


def finds_its_way_and_leaves(walk: Walk) -> None:
    terminal = walk.terminal
    terminal.key("C-p")
    terminal.until("What do you want?")
    terminal.type("light")
    walk.vision(25, 0)
    walk.leaves("Theme: Light")
    terminal.key("F2")
    walk.vision(25, 1)
    terminal.key("F3")
    terminal.until("@omni/smollm2   ")
    terminal.key("C-c")
    walk.vision(25, 2)
    terminal.key("C-c")
    assert terminal.ended() == 0


def test_the_walk(walk: Walk) -> None:
    walk.vision(1)
    walk.vision(2)
    looks_for_a_brain_of_ones_own(walk)
    chooses_a_brain_and_a_theme(walk)
    asks(walk)
    looks_at_the_brains(walk)
    ends_a_worker(walk)
    shuts_and_opens_the_doors(walk)
    finds_its_way_and_leaves(walk)
