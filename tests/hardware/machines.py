"""Machines that are not here, as what their files and commands said."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from omni.hardware import Probes
from omni.hardware.probes import Vram

MEMINFO = "MemTotal:       {total} kB\nMemFree:         1000000 kB\nMemAvailable:   {available} kB\n"


def processors(count: int, *, name: str, flags: str, per_core: int = 2) -> str:
    """A `/proc/cpuinfo` of x86."""
    return "\n\n".join(
        f"processor\t: {n}\nvendor_id\t: x\nmodel name\t: {name}\nphysical id\t: 0\n"
        f"core id\t\t: {n // per_core}\nflags\t\t: fpu {flags}"
        for n in range(count)
    )


CARD = Vram(name="NVIDIA GeForce RTX 3060 Laptop GPU", used=0, total=6 << 30)


class RecordedProbes(Probes):
    """Another machine, from what its files and commands said; nothing of this one is read."""

    def __init__(
        self,
        *,
        system: tuple[str, str],
        files: Mapping[str, str] | None = None,
        commands: Mapping[str, str] | None = None,
        affinity: int | None = None,
        free: int = 100 << 30,
        nvidia: Sequence[Vram] | None = None,
        nvidia_processes: Mapping[int, int] | None = None,
    ) -> None:
        self._system, self._files, self._commands = system, dict(files or {}), dict(commands or {})
        self._affinity, self._free, self._nvidia = affinity, free, nvidia
        self._nvidia_processes = dict(nvidia_processes or {})

    def system(self) -> tuple[str, str]:
        return self._system

    def read(self, path: str) -> str | None:
        return self._files.get(path)

    def names(self, folder: str) -> list[str]:
        prefix = folder.rstrip("/") + "/"
        return sorted({path[len(prefix) :].split("/")[0] for path in self._files if path.startswith(prefix)})

    def run(self, command: Sequence[str]) -> str | None:
        return self._commands.get(" ".join(command))

    def affinity(self) -> int | None:
        return self._affinity

    def disk(self, path: Path) -> int:
        return self._free

    def nvidia(self) -> list[Vram] | None:
        return None if self._nvidia is None else list(self._nvidia)

    def nvidia_processes(self) -> dict[int, int]:
        return self._nvidia_processes


def laptop(*, files: Mapping[str, str] | None = None, nvidia: Sequence[Vram] | None = (CARD,)) -> RecordedProbes:
    """A 16 GB laptop: 8 cores, 16 threads, AVX2, one RTX card with its driver."""
    usual = {
        "/proc/cpuinfo": processors(
            16, name="Intel(R) Core(TM) i7-11800H CPU @ 2.30GHz", flags="sse2 avx2 avx512f avx512_vnni"
        ),
        "/proc/meminfo": MEMINFO.format(total=16_200_000, available=11_000_000),
        "/proc/self/cgroup": "0::/user.slice/user-1000.slice\n",
        "/sys/bus/pci/devices/0000:01:00.0/vendor": "0x10de\n",
        "/sys/bus/pci/devices/0000:01:00.0/class": "0x030000\n",
    }
    return RecordedProbes(system=("Linux", "x86_64"), files={**usual, **(files or {})}, affinity=16, nvidia=nvidia)


def docker(limit: str = "2147483648", cpu: str = "150000 100000") -> RecordedProbes:
    """A container on a 64-thread server, held by control groups of version 2."""
    return RecordedProbes(
        system=("Linux", "x86_64"),
        files={
            "/.dockerenv": "",
            "/proc/cpuinfo": processors(64, name="AMD EPYC 7763 64-Core Processor", flags="avx2"),
            "/proc/meminfo": MEMINFO.format(total=264_000_000, available=200_000_000),
            "/proc/self/cgroup": "0::/\n",
            "/sys/fs/cgroup/memory.max": limit,
            "/sys/fs/cgroup/memory.current": "1073741824",
            "/sys/fs/cgroup/memory.stat": "anon 536870912\ninactive_file 536870912\n",
            "/sys/fs/cgroup/cpu.max": cpu,
        },
        affinity=64,
    )


def kubernetes_v1() -> RecordedProbes:
    """A pod under control groups of version 1; the parent's limit is the tighter one."""
    memory, cpu = "/sys/fs/cgroup/memory/kubepods/pod1", "/sys/fs/cgroup/cpu/kubepods/pod1"
    return RecordedProbes(
        system=("Linux", "x86_64"),
        files={
            "/proc/1/cgroup": "4:memory:/kubepods/pod1/box\n",
            "/proc/cpuinfo": processors(8, name="Xeon", flags="avx2"),
            "/proc/meminfo": MEMINFO.format(total=32_000_000, available=30_000_000),
            "/proc/self/cgroup": "4:memory:/kubepods/pod1/box\n3:cpu,cpuacct:/kubepods/pod1/box\n",
            f"{memory}/box/memory.limit_in_bytes": "9223372036854771712",
            f"{memory}/memory.limit_in_bytes": "4294967296",
            f"{memory}/memory.usage_in_bytes": "1000000000",
            f"{cpu}/cpu.cfs_quota_us": "250000",
            f"{cpu}/cpu.cfs_period_us": "100000",
        },
        affinity=8,
    )


def groups_in_groups() -> RecordedProbes:
    """A wide group that is nearly full around a narrow one that is nearly empty."""
    outer, inner = "/sys/fs/cgroup/user.slice", "/sys/fs/cgroup/user.slice/box"
    return RecordedProbes(
        system=("Linux", "x86_64"),
        files={
            "/proc/cpuinfo": processors(8, name="Xeon", flags="avx2"),
            "/proc/meminfo": MEMINFO.format(total=32_000_000, available=30_000_000),
            "/proc/self/cgroup": "0::/user.slice/box\n",
            f"{outer}/memory.max": str(8 << 30),
            f"{outer}/memory.current": str(7 << 30),
            f"{inner}/memory.max": str(4 << 30),
            f"{inner}/memory.current": str(1 << 28),
        },
        affinity=8,
    )


def apple() -> RecordedProbes:
    """A MacBook with an M3."""
    return RecordedProbes(
        system=("Darwin", "arm64"),
        commands={
            "sysctl -n machdep.cpu.brand_string": "Apple M3\n",
            "sysctl -n hw.physicalcpu": "8\n",
            "sysctl -n hw.logicalcpu": "8\n",
            "sysctl -n hw.memsize": f"{24 << 30}\n",
            "vm_stat": "Mach Virtual Memory Statistics: (page size of 16384 bytes)\n"
            "Pages free:                               100000.\nPages inactive:                           300000.\n",
        },
    )


def raspberry() -> RecordedProbes:
    """A Raspberry Pi 5: no model name in cpuinfo, named in the device tree."""
    block = "processor\t: {n}\nBogoMIPS\t: 108.00\nFeatures\t: fp asimd evtstrm asimddp\nCPU implementer\t: 0x41"
    return RecordedProbes(
        system=("Linux", "aarch64"),
        files={
            "/proc/cpuinfo": "\n\n".join(block.format(n=n) for n in range(4)) + "\n\nRevision\t: c04170\n",
            "/proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0\0",
            "/proc/meminfo": MEMINFO.format(total=8_100_000, available=6_000_000),
        },
        affinity=4,
    )
