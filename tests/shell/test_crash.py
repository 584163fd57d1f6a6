"""A crash is loud, and prints nothing of what was written."""

import io
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tests.shell.fakes import settled, shell

SECRET = "the words of a person"


async def crashed(app: Any, fail: Callable[[], None]) -> str:
    """What the terminal would show when `fail` raises in the middle of the shell."""
    app.error_console = Console(file=io.StringIO(), width=120)
    with suppress(ValueError):
        async with app.run_test(size=(120, 36)) as pilot:
            await settled(pilot)
            app.call_later(fail)
            await pilot.pause()
    printed: str = app.error_console.file.getvalue()
    return printed


async def test_a_crash_names_the_place_and_no_local_variable(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        question = SECRET + " in a local variable"
        raise ValueError(f"went wrong with {len(question)} characters")

    text = await crashed(shell(tmp_path), fail)
    assert "went wrong with" in text
    assert "question = SECRET" in text, "the line of code, not what it held"
    assert SECRET not in text
    assert SECRET not in caplog.text
