"""How much memory there really is: the machine's, and inside containers the least of all limits above this process."""

import msgspec

from omni.hardware.probes import Probes

_UNLIMITED = 1 << 60  # cgroup v1 writes a number near 2^63 where there is no limit


class CgroupLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What the control groups above this process allow; None where they say nothing.

    `memory` is the least of their limits and `memory_free` the least that one of them has left: with groups inside
    groups these may be two different ones.
    """

    memory: int | None = None
    memory_free: int | None = None
    processors: float | None = None


def cgroup_limits(probes: Probes) -> CgroupLimits:
    """The least memory and processor time that any control group from this process up to the root allows (v2 and v1)."""
    memory: list[tuple[int, int | None]] = []
    processors: list[float] = []
    for line in (probes.read("/proc/self/cgroup") or "").splitlines():
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        for folder in _upwards(path):
            if not controllers:
                root = "/sys/fs/cgroup" + folder
                limit = _number(probes.read(f"{root}/memory.max"))
                used = _used(probes.read(f"{root}/memory.current"), probes.read(f"{root}/memory.stat"), "inactive_file")
                share = _share(probes.read(f"{root}/cpu.max"))
            elif "memory" in controllers.split(","):
                root = "/sys/fs/cgroup/memory" + folder
                limit = _number(probes.read(f"{root}/memory.limit_in_bytes"))
                used = _used(
                    probes.read(f"{root}/memory.usage_in_bytes"),
                    probes.read(f"{root}/memory.stat"),
                    "total_inactive_file",
                )
                share = None
            elif "cpu" in controllers.split(","):
                root = "/sys/fs/cgroup/cpu" + folder
                quota, period = probes.read(f"{root}/cpu.cfs_quota_us"), probes.read(f"{root}/cpu.cfs_period_us")
                limit, used, share = None, None, _share(f"{quota or ''} {period or ''}")
            else:
                continue
            if limit is not None:
                memory.append((limit, used))
            if share is not None:
                processors.append(share)
    return CgroupLimits(
        memory=min((limit for limit, _ in memory), default=None),
        memory_free=min((max(limit - (used or 0), 0) for limit, used in memory), default=None),
        processors=min(processors, default=None),
    )


def meminfo(probes: Probes) -> tuple[int, int]:
    """Total and available bytes of the whole machine, as Linux counts them."""
    values = {}
    for line in (probes.read("/proc/meminfo") or "").splitlines():
        name, _, rest = line.partition(":")
        if words := rest.split():
            values[name] = int(words[0]) * 1024
    return values.get("MemTotal", 0), values.get("MemAvailable", values.get("MemFree", 0))


def available_memory(probes: Probes | None = None) -> int:
    """Bytes that a new process could take now without harming others, cgroup limits included."""
    probes = probes or Probes()
    _, available = meminfo(probes)
    limits = cgroup_limits(probes)
    if limits.memory_free is not None:
        available = min(available, limits.memory_free)
    return available


def _upwards(path: str) -> list[str]:
    """ "/a/b" -> ["/a/b", "/a", ""]; inside a container the path of the host may not exist: the root still does."""
    parts = [part for part in path.split("/") if part not in ("", "..")]
    return ["/" + "/".join(parts[:count]) if count else "" for count in range(len(parts), -1, -1)]


def _number(text: str | None) -> int | None:
    text = (text or "").strip()
    if not text.isdigit() or int(text) >= _UNLIMITED:
        return None
    return int(text)


def _used(current: str | None, stat: str | None, reclaimable: str) -> int | None:
    """Used bytes without the page cache that the kernel gives back under pressure."""
    used = _number(current)
    if used is None:
        return None
    for line in (stat or "").splitlines():
        name, _, value = line.partition(" ")
        if name == reclaimable and value.strip().isdigit():
            used -= int(value)
    return max(used, 0)


def _share(text: str | None) -> float | None:
    """ "150000 100000" -> 1.5 processors; "max 100000" and "-1 100000" -> None."""
    words = (text or "").split()
    if len(words) != 2 or not all(word.isdigit() for word in words) or int(words[1]) == 0:
        return None
    return int(words[0]) / int(words[1])
