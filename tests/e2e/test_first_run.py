"""A newcomer's first minutes, in a real terminal with the real starter: from an empty home to an answer."""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from operator import ne
from pathlib import Path

import pytest

from omni.core.paths import Home
from tests.e2e.terminal import Terminal

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(600),
    pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed"),
]


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short enough for tmux's socket, whatever pytest's own folders are called."""
    with tempfile.TemporaryDirectory(prefix="omni-e2e-") as name:
        yield Path(name)


@pytest.fixture
def newcomer(folder: Path) -> Iterator[dict[str, str]]:
    """The environment of somebody with an empty home; whatever they started is ended afterwards."""
    keep = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(("PIP_", "SSL_")) or name.endswith("_proxy")
    }
    environment = {
        **keep,
        "HOME": str(folder / "person"),
        "OMNI_HOME": str(folder / "home"),
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
    }
    Path(environment["HOME"]).mkdir()
    # pip's own settings of this machine, which a newcomer here would have too.
    for settings in (Path.home() / ".config" / "pip", Path.home() / ".pip"):
        if settings.is_dir():
            shutil.copytree(settings, Path(environment["HOME"]) / settings.relative_to(Path.home()))
    yield environment
    omni = [sys.executable, str(ROOT / "omni" / "__main__.py")]
    subprocess.run([*omni, "stop", "--all"], env={**environment, "OMNI_ENVIRONMENT": "own"}, check=False, timeout=60)
    shutil.rmtree(Home(environment["OMNI_HOME"]).sockets, ignore_errors=True)


def test_from_an_empty_home_to_an_answer_and_back(folder: Path, newcomer: dict[str, str]) -> None:
    """Set-up, wizard, download, question, answer; then a second question from the command line in the same worker."""
    python = getattr(sys, "_base_executable", sys.executable)  # not the environment that runs the tests
    command = ["sh", "-c", f"cd {shlex.quote(str(ROOT))} && exec {shlex.quote(python)} -m omni run"]
    with Terminal(folder, command, environment=newcomer) as terminal:
        terminal.until("Which brain shall be the first?", seconds=300)
        screen = terminal.until("SmolLM2 starter")
        choose(terminal, screen, "SmolLM2 starter")
        terminal.key("Enter")
        terminal.until("How shall it look?")
        terminal.key("Enter")
        terminal.until("Everything is here", seconds=120)
        terminal.key("Enter")
        terminal.until("Ask, or type @ for a file")
        terminal.type("What is the capital of France? Answer with a whole sentence.")
        terminal.key("Enter")
        screen = terminal.wait(lambda text: "tok/s" in answer_of(text)[0], "an answer with its speed", seconds=120)
        head, text = answer_of(screen)
        assert "@omni/smollm2" in head
        assert len(text.split()) >= 2, screen

        second = subprocess.run(
            [newcomer["OMNI_HOME"] + "/bin/omni", "chat", "--json", "And of Italy?"],
            env=newcomer, cwd=folder, capture_output=True, text=True, check=True, timeout=120,
        )  # fmt: skip
        assert '"type":"turn_ended"' in second.stdout
        assert '"type":"brain_loading"' not in second.stdout, "the shell's worker answers; nothing is loaded twice"
        terminal.key("C-c", "C-c")
        assert terminal.ended() == 0


def choose(terminal: Terminal, screen: str, name: str) -> None:
    """Move the bar to the line that begins with `name`."""
    for _ in range(30):
        line = next(line for line in screen.splitlines() if name in line)
        if "▌" in line.split(name)[0][-6:]:
            return
        marked = next(number for number, each in enumerate(screen.splitlines()) if "▌" in each[20:])
        terminal.key("Up" if screen.splitlines().index(line) < marked else "Down")
        screen = terminal.wait(partial(ne, screen), "the bar at another line")
    raise AssertionError(f"the bar never reached {name!r}:\n{screen}")


def answer_of(screen: str) -> tuple[str, str]:
    """The header line of the answer, and the lines below it down to the composer."""
    lines = screen.splitlines()
    for number, line in enumerate(lines):
        if "@omni/smollm2" in line and "SmolLM2 135M" not in line and "of 8k" not in line:
            below = [each[20:].strip(" │▌") for each in lines[number + 1 : -4]]
            return line, " ".join(" ".join(below).partition("Ask, or type")[0].split())
    return "", ""
