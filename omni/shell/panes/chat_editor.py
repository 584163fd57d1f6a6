"""Writing a question in the person's own editor."""

import asyncio
from contextlib import nullcontext
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any

from textual.app import SuspendNotSupported

from omni.core.errors import UsageError

if TYPE_CHECKING:
    from omni.shell.panes.chat import ChatPane


async def edit_outside(pane: "ChatPane") -> None:
    """Hand terminal and text to the person's editor and take the text back."""
    starter = pane.services.starter
    if starter is None:
        raise UsageError("No editor can be started here.")
    text = pane.composer.text
    path = await asyncio.to_thread(_draft, pane.services.home.root, text)
    try:
        try:
            suspended: Any = pane.app.suspend()
            suspended.__enter__()
        except SuspendNotSupported:
            suspended = nullcontext()
            suspended.__enter__()
        try:
            with pane.app.batch_update():  # nothing is drawn over the editor
                await starter.editor(path)
        finally:
            suspended.__exit__(None, None, None)
        found = await asyncio.to_thread(path.read_text, "utf-8", "replace")
        pane.composer.put(found.rstrip("\n"))
    except OSError as error:
        raise UsageError(f"What was written cannot be read: {error.strerror}.") from error
    finally:
        await asyncio.to_thread(path.unlink, missing_ok=True)
    pane.app.refresh()
    pane.take_focus()


def _draft(folder: Path, text: str) -> Path:
    with NamedTemporaryFile("w", encoding="utf-8", prefix="question-", suffix=".md", dir=folder, delete=False) as file:
        file.write(text)
    return Path(file.name)
