"""A person who has set Omni up already: a home with the starter, the shell in a terminal, and an end to all of it."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from omni.core.paths import Home
from tests.e2e.terminal import Terminal
from tests.fixtures_starter import steady

ROOT = Path(__file__).resolve().parents[2]
OMNI = [sys.executable, str(ROOT / "omni" / "__main__.py")]


class Person:
    """Somebody with a home of their own, in which nothing is set up again: the tests' environment is used."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home = folder, Home(folder / "home")
        self.project = folder / "shop"
        self.project.mkdir()
        self.environment = {
            "HOME": str(folder),
            "OMNI_HOME": str(folder / "home"),
            "OMNI_ENVIRONMENT": "own",
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "COLORTERM": "truecolor",
        }
        self._terminals = ExitStack()
        self._count = 0

    def omni(self, *words: str, fails: bool = False) -> str:
        """What a command prints."""
        done = subprocess.run(
            [*OMNI, *words], env=self.environment, cwd=self.project, capture_output=True, text=True, check=False,
            timeout=120,
        )  # fmt: skip
        assert fails or done.returncode == 0, f"omni {' '.join(words)}: {done.stdout}{done.stderr}"
        return done.stdout + (done.stderr if fails else "")

    def shell(self, *, size: tuple[int, int] = (120, 36), command: Sequence[str] = (*OMNI, "run")) -> Terminal:
        """Open the shell in a terminal of its own and wait until one can write."""
        self._count += 1
        place = self.folder / f"t{self._count}"
        place.mkdir()
        there = ["sh", "-c", 'cd "$1" && shift && exec "$@"', "sh", str(self.project), *command]
        terminal = self._terminals.enter_context(Terminal(place, there, size=size, environment=self.environment))
        terminal.until("Ask, or type @ for a file")
        return terminal

    def process(self, kind: str) -> int:
        """The process id of the keeper, of the worker ..."""
        listing = json.loads(self.omni("ps", "--json"))
        rows = listing["processes"] if isinstance(listing, dict) else listing
        return next(int(row["pid"]) for row in rows if row["kind"] == kind)

    def owns(self, gguf: Path) -> None:
        """Pull a brain, which says the same every time in their chats."""
        self.omni("pull", str(gguf))
        self.omni("config", "set", "chat.brain", steady(self.home))

    def close(self) -> None:
        """End all that was started."""
        self._terminals.close()
        self.omni("stop", "--all", fails=True)
        shutil.rmtree(self.home.sockets, ignore_errors=True)


@pytest.fixture
def person() -> Iterator[Person]:
    """Somebody whose wizard is behind them and who has no brain yet. The folder is short enough for tmux's socket."""
    with tempfile.TemporaryDirectory(prefix="omni-e2e-", ignore_cleanup_errors=True) as name:
        someone = Person(Path(name))
        someone.omni("config", "set", "ui.ready", "true")
        yield someone
        someone.close()


@pytest.fixture
def owner(person: Person, starter_gguf: Path) -> Person:
    """Somebody who has the starter."""
    person.owns(starter_gguf)
    person.omni("config", "set", "chat.max_completion_tokens", "300")
    return person
