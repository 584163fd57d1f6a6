"""What somebody writes, in a file: while an editor has it, and when the shell ends before it is sent."""

import sys
from pathlib import Path

from omni.core.errors import OmniError
from omni.core.files import write_new
from omni.core.paths import Home


def keep(home: Home, text: str, kind: str = "draft") -> Path:
    """Write `text` to a new file of this user alone, and return its path. Raises StorageError or SetupError."""
    return write_new(home.root, kind, ".md", text)


def keep_draft(home: Home, text: str) -> None:
    """Say where the text is that a shell ended with unsent; where no file can be written, the terminal has to do."""
    if not text.strip():
        return
    try:
        sys.stderr.write(f"What you were writing is in {keep(home, text)}\n")
    except OmniError as error:
        sys.stderr.write(f"What you were writing cannot be kept ({error.message}) Here it is:\n\n{text}\n\n")
