"""What every test may ask for: a home of its own, the starter brain, a loop that must not be blocked."""

import gc
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from omni.core.paths import Home

pytest_plugins = ["tests.fixtures_starter", "tests.fixtures_server", "tests.fixtures_engines"]


def pytest_collection_finish() -> None:
    """Look for garbage seldom, and not among what was imported: the apps that the tests start are all made of small
    objects, and a third of their time went into looking."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 10, 20)


@pytest.fixture(autouse=True)
def _nobodys_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Shut out the settings of whoever runs the tests."""
    for name in list(os.environ):
        if name.startswith(("OMNI_", "OLLAMA_", "HF_", "XDG_", "TEXTUAL")) and not name.startswith("OMNI_TEST_"):
            monkeypatch.delenv(name)
    # A runner of several processes tells them a size of its own, which would be that of every terminal of a test.
    for name in ("NO_COLOR", "COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMNI_HOME", str(tmp_path / "home"))


@pytest.fixture(autouse=True, scope="session")
def _ctrl_c_works() -> None:
    """Whoever starts the tests in the background of a script gives them, and all that they start, a deaf SIGINT."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """An empty home whose socket folder is removed afterwards."""
    fresh_home = Home(tmp_path / "home").ensure()
    yield fresh_home
    shutil.rmtree(fresh_home.sockets, ignore_errors=True)
