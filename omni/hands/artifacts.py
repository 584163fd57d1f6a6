"""What tools returned, kept whole where a brain reads a part of it: one file each, named by its content."""

import re
from hashlib import sha256

from omni.core.errors import BadFile, NotFound
from omni.core.files import write_atomic
from omni.core.paths import Home

LONGEST_RESULT = 8_000  # characters of a result that a brain reads
_NAME = re.compile(r"sha256-[0-9a-f]{64}")


class Artifacts:
    """The artifacts of a home."""

    def __init__(self, home: Home) -> None:
        self._folder = home.artifacts

    def keep(self, text: str) -> str:
        """Keep a text; returns its name. Raises StorageError or SetupError."""
        content = text.encode("utf-8", "replace")
        name = f"sha256-{sha256(content).hexdigest()}"
        if not (path := self._folder / name).exists():
            write_atomic(path, content)
        return name

    def read(self, name: str) -> str:
        """The text of that name. Raises NotFound, and BadFile for one that is damaged."""
        if not _NAME.fullmatch(name):
            raise NotFound(f"{name!r} is no artifact; a name is sha256- and 64 digits.")
        try:
            content = (self._folder / name).read_bytes()
        except OSError as error:
            raise NotFound(f"The artifact {name} is not here.") from error
        if f"sha256-{sha256(content).hexdigest()}" != name:
            raise BadFile(f"The artifact {name} is damaged.")
        return content.decode("utf-8", "replace")


def trimmed(text: str, name: str, longest: int = LONGEST_RESULT) -> str:
    """The beginning and the end of a text that is too long, with a mark of what is missing between them."""
    first, last = longest * 2 // 3, longest // 3
    missing = len(text) - first - last
    return f"{text[:first]}\n[… {missing:,} characters left out here; the whole is kept as {name} …]\n{text[-last:]}"
