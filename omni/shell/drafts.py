"""What somebody writes, in a file: while an editor has it, and when the shell ends before it is sent."""

import os
from pathlib import Path
from tempfile import mkstemp

from omni.core.files import storage_error
from omni.core.paths import Home


def keep(home: Home, text: str, kind: str = "draft") -> Path:
    """Write `text` to a new file of this user alone, and return its path. Raises StorageError or SetupError."""
    path = home.root
    try:
        descriptor, name = mkstemp(prefix=f"{kind}-", suffix=".md", dir=home.root)
        path = Path(name)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as file:
            file.write(text)
            file.flush()
            os.fsync(descriptor)
    except OSError as error:
        raise storage_error(path, error) from error
    return path
