"""Reading hash-locked requirements: which versions are pinned, and by which hashes."""

import re
import sys
from dataclasses import dataclass
from pathlib import Path

from omni.core.errors import BadFile

_PIN = re.compile(
    r"^(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[^\s;\\]+)\s*(?:;\s*(?P<marker>[^\\]*?))?\s*(?=--hash|\\|$)"
)
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})\b")


@dataclass(frozen=True, kw_only=True, slots=True)
class Pin:
    """One locked package: its name, its version, the environments it is meant for, and the files that may be it."""

    name: str
    version: str
    marker: str
    hashes: frozenset[str]

    def applies(self, platform: str = sys.platform) -> bool:
        """Whether it is meant for a platform."""
        return not self.marker or f"'{platform}'" in self.marker


def normalised(name: str) -> str:
    """A project's name in the one spelling that the index uses (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_lock(path: Path) -> list[Pin]:
    """The pins of a lock file. Raises BadFile when a line is no pin or a pin has no hash."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadFile(f"The lock file {path} cannot be read: {error}.") from error
    return parse_lock(text, str(path))


def parse_lock(text: str, name: str = "lock file") -> list[Pin]:
    """The pins in the text of a lock file, in its order."""
    pins = []
    for line in re.sub(r"\\\r?\n", " ", text).splitlines():
        entry = line.strip()
        if not entry or entry.startswith("#"):
            continue
        match, hashes = _PIN.match(entry), frozenset(_HASH.findall(entry))
        if match is None or not hashes:
            raise BadFile(
                f"{name}: {entry[:60]!r} is not a version with its hash.", hint="Write it again with `make lock`."
            )
        pins.append(
            Pin(
                name=normalised(match["name"]),
                version=match["version"],
                marker=(match["marker"] or "").strip(),
                hashes=hashes,
            )
        )
    return pins
