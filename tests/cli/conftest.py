"""The command line with a real keeper and scripted workers; whatever a test started is ended after it."""

import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from omni.core import confinement
from omni.core.paths import Home
from omni.keeper import stop_everything
from tests.cartridges.conftest import gguf_bytes
from tests.cli.tools import REAL, SCRIPTED, Cli, Result
from tests.fixtures_starter import steady

Call = Callable[..., Result]


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A GGUF file with a header and no sense."""
    path = tmp_path / "tiny.gguf"
    path.write_bytes(gguf_bytes())
    return path


@pytest.fixture
def call(home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Call]:
    """The command line inside this process, which must not be put behind the confinement for good."""
    monkeypatch.setattr(confinement, "confine", lambda **_: confinement.Confinement(False, "none", "a test"))
    monkeypatch.setenv("HOME", str(home.root.parent))
    monkeypatch.chdir(home.root.parent)

    def run(*words: str, stdin: str = "") -> Result:
        from omni.cli.main import main

        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode()), "utf-8"))
        capsys.readouterr()
        code = main(list(words))
        return Result(code, *capsys.readouterr())

    yield run
    stop_everything(home, windows=True)


@pytest.fixture
def cli(home: Home) -> Iterator[Cli]:
    """The command line in processes of their own."""
    runner = Cli(home, REAL)
    yield runner
    runner.close()


@pytest.fixture
def scripted(home: Home, tiny: Path) -> Iterator[Cli]:
    """The same with a brain, `@me/tiny`, whose worker says what a script tells it."""
    runner = Cli(home, SCRIPTED)
    assert runner.run("pull", str(tiny)).code == 0
    yield runner
    runner.close()


@pytest.fixture
def starter(home: Home, starter_gguf: Path) -> Iterator[Cli]:
    """The same with the real starter brain."""
    runner = Cli(home, REAL)
    assert runner.run("pull", str(starter_gguf)).code == 0
    assert runner.run("config", "set", "chat.brain", steady(home)).code == 0
    yield runner
    runner.close()
