"""Copying that works everywhere: tmux's own buffer inside tmux, else the terminal's OSC 52, else a file."""

import asyncio
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from omni.core.files import write_atomic
from omni.core.paths import Home

if TYPE_CHECKING:
    from textual.app import App

TMUX_SECONDS = 2.0
# Terminals cut or refuse longer OSC 52 sequences; a file is better than half a text.
LONGEST_OSC52 = 74_000


async def copy(text: str, *, app: "App[object]", home: Home, environment: Mapping[str, str] = os.environ) -> str:
    """Copy `text` and say where it went, as words for a person. Raises StorageError when only a file was left."""
    text = text.encode("utf-8", "replace").decode()  # a lone surrogate is no character that anybody takes
    count = f"{len(text):,} characters" if len(text) != 1 else "1 character"
    if environment.get("TMUX") and await _tmux(text, environment):
        return f"Copied {count} to tmux and its terminal."
    if _knows_osc52(environment) and len(text.encode()) <= LONGEST_OSC52:
        app.copy_to_clipboard(text)
        return f"Copied {count} through the terminal (OSC 52)."
    path = home.copied()
    await asyncio.to_thread(write_atomic, path, text)
    return f"Wrote {count} to {path}, as this terminal takes no copies."


def _knows_osc52(environment: Mapping[str, str]) -> bool:
    """False where it is known that nothing would happen: the Linux console, and screen, which swallows it."""
    term = environment.get("TERM", "")
    return term not in ("", "dumb", "linux") and not (term.startswith("screen") and not environment.get("TMUX"))


async def _tmux(text: str, environment: Mapping[str, str]) -> bool:
    """`tmux load-buffer -w -`: fills tmux's buffer and has tmux pass it on to its terminal."""
    try:
        process = await asyncio.create_subprocess_exec(
            "tmux",
            "load-buffer",
            "-w",
            "-",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            env=dict(environment),
        )
    except OSError:
        return False
    try:
        async with asyncio.timeout(TMUX_SECONDS):
            await process.communicate(text.encode("utf-8", "replace"))
    except TimeoutError:
        process.kill()
        await process.wait()
        return False
    return process.returncode == 0
