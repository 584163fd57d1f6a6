"""Writing a question in the person's own editor."""

import asyncio
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from textual.app import SuspendNotSupported

from omni.core.errors import StorageError, UsageError
from omni.shell.drafts import keep

if TYPE_CHECKING:
    from textual.app import App

    from omni.app import Services
    from omni.shell.composer import Composer


async def edit_outside(composer: "Composer", *, app: "App[object]", services: "Services") -> None:
    """Hand terminal and text to the person's editor and take the text back. Raises OmniError."""
    starter = services.starter
    if starter is None:
        raise UsageError("No editor can be started here.")
    path = await asyncio.to_thread(keep, services.home, composer.text, "question")
    try:
        suspended: Any = app.suspend()
        suspended.__enter__()
    except SuspendNotSupported:
        suspended = nullcontext()
        suspended.__enter__()
    try:
        with app.batch_update():  # nothing is drawn over the editor
            await starter.editor(path)
    finally:
        suspended.__exit__(None, None, None)
    try:
        text = await asyncio.to_thread(path.read_text, "utf-8", "replace")
    except OSError as error:
        hint = "The composer has what it had before."
        raise StorageError(f"What was written to {path} cannot be read: {error.strerror}.", hint=hint) from error
    composer.put(text.rstrip("\n"))
    await asyncio.to_thread(path.unlink, missing_ok=True)
    app.refresh()
