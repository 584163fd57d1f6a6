"""Completes `@path`: the files of a project by parts of their names, near ones first, within a bounded look."""

import os
import re
import time
from collections import deque
from collections.abc import Iterator
from fnmatch import translate
from itertools import islice
from pathlib import Path

from omni.chat.attachments import open_file, printable

MOST_ENTRIES, MOST_IN_A_FOLDER = 20_000, 5_000
MOST_SECONDS = 1.0  # somebody types meanwhile, and waits for it
MOST_RULES, LONGEST_RULE = 500, 1_000
DEEPEST = 12
# What no one attaches, whether or not a .gitignore says so.
NEVER = frozenset(
    {".git", ".hg", ".svn", "node_modules", "__pycache__", ".venv", "venv", ".tox", ".mypy_cache", ".ruff_cache"}
)


def complete_path(prefix: str, root: Path, *, limit: int = 20, seconds: float = MOST_SECONDS) -> list[str]:
    """Paths below `root` whose letters hold those of `prefix` in order, the best first; folders end in "/".

    Hidden files come when the prefix asks for a dot. What .gitignore names is left out, and so is what cannot be read, has
    gone meanwhile, or is neither file nor folder. Reads at most 20,000 entries, 5,000 of a folder, nearest folders first,
    for at most so many `seconds`; call it off the event loop.
    """
    wanted = prefix.lstrip("./") if prefix.startswith("./") else prefix
    hidden = any(part.startswith(".") for part in wanted.split("/"))
    scored = []
    for path, folder in _walk(Path(root), hidden=hidden, end=time.monotonic() + seconds):
        if (score := _score(wanted.lower(), path.lower())) is not None:
            scored.append((score, len(path), path + ("/" if folder else "")))
    return [path for _, _, path in sorted(scored)[:limit]]


def _score(wanted: str, path: str) -> int | None:
    """Lower is better; None when the letters are not there in order."""
    if not wanted:
        return path.count("/") * 10
    name = path.rpartition("/")[2]
    if path.startswith(wanted):
        return 0 + path.count("/", len(wanted))
    if name.startswith(wanted):
        return 10 + path.count("/")
    if (at := name.find(wanted)) >= 0:
        return 20 + at + path.count("/")
    if wanted in path:
        return 60 + path.count("/")
    place, gaps = -1, 0
    for sign in wanted:
        following = path.find(sign, place + 1)
        if following < 0:
            return None
        gaps += following - place - 1 if place >= 0 and path[following - 1] not in "/_-. " else 0
        place = following
    return 100 + gaps


def _walk(root: Path, *, hidden: bool, end: float) -> Iterator[tuple[str, bool]]:
    """Relative paths and whether each is a folder, breadth first, until `end`. Links to folders are not followed."""
    waiting: deque[tuple[str, int, tuple[_Rule, ...]]] = deque([("", 0, ())])
    left = MOST_ENTRIES
    top = os.path.realpath(root)
    while waiting and left > 0:
        folder, depth, rules = waiting.popleft()
        rules = (*rules, *_rules(root / folder, folder))
        for entry in islice(_entries(root / folder), min(left, MOST_IN_A_FOLDER)):
            left -= 1
            if time.monotonic() > end:
                return
            path = f"{folder}{entry.name}"
            if entry.name in NEVER or (entry.name.startswith(".") and not hidden) or printable(path) != path:
                continue
            kind = _kind(entry, top)
            is_folder = kind == "folder"
            if not kind or _ignored(path, is_folder, rules):
                continue
            yield path, is_folder
            if is_folder and depth < DEEPEST:
                waiting.append((f"{path}/", depth + 1, rules))


def _entries(folder: Path) -> Iterator["os.DirEntry[str]"]:
    """What is in a folder, as far as it can be read."""
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except OSError:
        return


def _kind(entry: "os.DirEntry[str]", top: str) -> str:
    """What may be offered: a folder, or a file; a link only to a file inside."""
    try:
        if entry.is_dir(follow_symlinks=False):
            return "folder"
        if entry.is_file(follow_symlinks=False):
            return "file"
    except OSError:  # where the folder does not tell, the entry itself is asked: it is gone, or closed to us
        return ""
    real = os.path.realpath(entry.path)
    return "file" if real.startswith(top + os.sep) and os.path.isfile(real) else ""  # noqa: PTH113 - its method raises


class _Rule:
    """One line of a .gitignore: where it holds, what it matches. Git's finer points are left to git."""

    def __init__(self, line: str, folder: str) -> None:
        self.keeps = line.startswith("!")
        line = line.removeprefix("!")
        self.folders_only = line.endswith("/")
        line = line.rstrip("/")
        anchored = "/" in line
        pattern = line.lstrip("/").removeprefix("**/") if not line.startswith("/") else line.lstrip("/")
        self.folder, self.anchored = folder, anchored and not line.startswith("**/")
        self.matches = re.compile(translate(pattern)).match


def _rules(path: Path, folder: str) -> list[_Rule]:
    try:
        with open_file(path / ".gitignore") as file:
            text = file.read(64 << 10).decode("utf-8", "replace")
    except OSError:
        return []
    lines = [line.strip() for line in text.splitlines()[:MOST_RULES]]
    return [
        _Rule(line, folder)
        for line in lines
        if line and len(line) <= LONGEST_RULE and not line.startswith("#") and line.strip("!/")
    ]


def _ignored(path: str, is_folder: bool, rules: tuple[_Rule, ...]) -> bool:
    verdict = False
    for rule in rules:  # the last rule that matches decides
        if rule.folders_only and not is_folder:
            continue
        relative = path[len(rule.folder) :]
        if rule.matches(relative) or (not rule.anchored and rule.matches(relative.rpartition("/")[2])):
            verdict = not rule.keeps
    return verdict
