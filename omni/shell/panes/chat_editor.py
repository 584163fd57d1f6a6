"""Writing a question in the person's own editor."""

import asyncio
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from textual.app import SuspendNotSupported

from omni.core.errors import StorageError, UsageError
from omni.shell.drafts import keep

if TYPE_CHECKING:
    from omni.shell.panes.chat import ChatPane


async def edit_outside(pane: "ChatPane") -> None:
    """Hand terminal and text to the person's editor and take the text back. Raises OmniError."""
    starter = pane.services.starter
    if starter is None:
        raise UsageError("No editor can be started here.")
    path = await asyncio.to_thread(keep, pane.services.home, pane.composer.text, "question")
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
    try:
        found = await asyncio.to_thread(path.read_text, "utf-8", "replace")
    except OSError as error:
        hint = "The composer has what it had before."
        raise StorageError(f"What was written to {path} cannot be read: {error.strerror}.", hint=hint) from error
    pane.composer.put(found.rstrip("\n"))
    await asyncio.to_thread(path.unlink, missing_ok=True)
    pane.app.refresh()
    pane.take_focus()
