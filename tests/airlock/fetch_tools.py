"""What the tests of downloads share: a megabyte, its hash, and how it is fetched."""

import hashlib
import random
from pathlib import Path
from typing import Any

from omni.airlock import NetSettings, download

NET = NetSettings(timeout=5.0)

DATA = random.Random(1).randbytes(1_000_003)

SHA = hashlib.sha256(DATA).hexdigest()


def fetch(url: str, target: Path, **more: Any) -> Any:
    return download(url, target, **{"net": NET, "pause": lambda seconds: None, **more})


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
