"""The loop of the shell is watched in every test of this room."""

import logging
from collections.abc import Iterator

import pytest
from blockbuster import blockbuster_ctx

from tests.shell.unseen import _nothing_fails_unseen, fails_on_purpose

__all__ = ["_nothing_fails_unseen", "fails_on_purpose"]


@pytest.fixture(autouse=True)
def _nothing_blocks() -> Iterator[None]:
    """The loop of the shell may not wait for a file, a lock or a sleep."""
    with blockbuster_ctx("omni.shell") as watched:
        for function in watched.functions.values():
            function.can_block_in("tests/shell/fakes.py", "shell")  # in life the app is made before the loop
        yield


@pytest.fixture
def all_of_omni_watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Not only the shell may not wait, and the terminal is a plain one of 256 colours."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("TMUX", raising=False)
    with blockbuster_ctx("omni"):
        yield


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """All that is logged."""
    caplog.set_level(logging.INFO)
    return caplog
