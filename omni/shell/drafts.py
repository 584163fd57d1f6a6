"""What somebody writes, in a file: while an editor has it, and when the shell ends before it is sent."""

from pathlib import Path

from omni.core.files import write_new
from omni.core.paths import Home


def keep(home: Home, text: str, kind: str = "draft") -> Path:
    """Write `text` to a new file of this user alone, and return its path. Raises StorageError or SetupError."""
    return write_new(home.root, kind, ".md", text)
