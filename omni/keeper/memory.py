"""How much memory workers may take: the setting, or 80 % of what the machine and its cgroup can spare."""

import os
from collections.abc import Iterable
from pathlib import Path

from omni.core.memory import started_by
from omni.core.paths import Home

SHARE = 0.8
UNKNOWN = 4 << 30  # where the system does not tell


def budget(home: Home, workers: Iterable[int], *, root: Path = Path("/")) -> int:
    """Bytes for all workers together; what the living ones (pids) have taken counts as theirs, not as lost."""
    chosen = setting(home)
    if chosen:
        return chosen
    free = available(root)
    if free is None:
        return UNKNOWN
    return int(SHARE * (free + sum(taken(pid, root) for pid in workers)))


def setting(home: Home) -> int:
    """`engine.memory` in bytes; 0 when it is not set. A broken file is the front ends' to complain about."""
    try:
        text = home.config.read_bytes()
    except OSError:
        return 0
    if b"memory" not in text:
        return 0
    import tomllib  # slow, and rarely needed

    try:
        value = tomllib.loads(text.decode()).get("engine", {}).get("memory", 0)
    except (ValueError, AttributeError):
        return 0
    return value * 1_000_000 if type(value) is int and value > 0 else 0  # a bool is an int, too


def available(root: Path = Path("/")) -> int | None:
    """The least of what the kernel calls available and what is left below the limits of this process's cgroups."""
    sizes = [_field(root / "proc/meminfo", "MemAvailable:"), *_cgroups(root)]
    return min((size for size in sizes if size is not None), default=None)


def taken(pid: int, root: Path = Path("/")) -> int:
    """Bytes that a process and what it started have taken from what was available; file pages can be had back and do not
    count."""
    return sum(_field(root / f"proc/{one}/status", "RssAnon:") or 0 for one in (pid, *started_by(pid, root)))


def resident(pid: int, root: Path = Path("/")) -> int:
    """Bytes of a process, and of what it started, that are in memory, mapped files included."""
    return sum(_field(root / f"proc/{one}/status", "VmRSS:") or 0 for one in (pid, *started_by(pid, root)))


def _cgroups(root: Path) -> Iterable[int]:
    """What each limit on the way up to the root of the hierarchy leaves."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, name = (*line.split(":", 2), "", "")[:3]
        if controllers == "":  # version 2
            top, limit, usage, cache = root / "sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"
        elif "memory" in controllers.split(","):
            top, limit, usage = root / "sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
            cache = "total_inactive_file"
        else:
            continue
        folder = Path(os.path.normpath(f"{top}/{name}"))
        if not folder.is_dir():  # a container sees its own group as the top
            folder = top
        for group in (folder, *folder.parents):
            most, now = _number(group / limit), _number(group / usage)
            if most is not None and now is not None:
                yield max(0, most - now + (_field(group / "memory.stat", cache, unit=1) or 0))
            if group == top:
                break


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # "max": no limit
        return None


def _field(path: Path, name: str, *, unit: int = 1024) -> int | None:
    try:
        with path.open() as file:
            for line in file:
                words = line.split()
                if words and words[0] == name:
                    return int(words[1]) * unit
    except (OSError, ValueError, IndexError):
        pass
    return None
