"""What of a project may be at fault when its tests fail: symbols of its sources, those first that the tests name."""

import re
from collections.abc import Iterator
from pathlib import Path

from omni.core.errors import OmniError
from omni.hands import SKIPPED, is_secret, language_of, outline

MOST = 40  # that a brain chooses from
_MOST_FILES, _LARGEST = 400, 200_000
_TEST = re.compile(
    r"(^|/)(tests?|__tests__|spec)(/|$)|(^|/)(test_[^/]*|[^/]*(_test|\.test|\.spec)\.[a-z]+|conftest\.py)$"
)
_WORD = re.compile(r"\w+")
_KINDS = frozenset(("function", "method", "class", "constructor", "constant"))


def mendable(project: Path) -> list[str]:
    """`path::symbol` of at most 40 of them; none where the feature `code` is not installed. Blocking."""
    files = list(_sources(project))
    tested: set[str] = set()
    for path, name in files:
        if _TEST.search(name):
            tested.update(_WORD.findall(_text(path)))
    ranked: list[tuple[bool, str]] = []
    for path, name in files:
        if _TEST.search(name):
            continue
        content = _text(path).encode()
        try:
            symbols = outline(content, language_of(name, content) or "")
        except OmniError:
            continue
        holders = {one.name.rpartition(".")[0] for one in symbols}
        ranked += [
            (one.name.rpartition(".")[2] in tested, f"{name}::{one.name}")
            for one in symbols
            if one.kind in _KINDS and one.name not in holders and "#" not in one.name
        ]
    named = [where for is_tested, where in ranked if is_tested]
    return (named + [where for is_tested, where in ranked if not is_tested])[:MOST]


def _sources(project: Path) -> Iterator[tuple[Path, str]]:
    seen = 0
    for path in sorted(project.rglob("*")):
        below = path.relative_to(project)
        if SKIPPED.intersection(below.parts) or path.is_symlink() or is_secret(path.name):
            continue
        if (
            language_of(path.name) in (None, "html", "css", "sql")
            or not path.is_file()
            or path.stat().st_size > _LARGEST
        ):
            continue
        seen += 1
        if seen > _MOST_FILES:
            return
        yield path, below.as_posix()


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
