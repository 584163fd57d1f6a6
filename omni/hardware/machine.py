"""This machine, as one value."""

import asyncio
import re

import msgspec

from omni.core.paths import Home
from omni.hardware._bandwidth import measure_bandwidth
from omni.hardware._cpu import Cpu, cpu
from omni.hardware._gpu import Gpu, gpus
from omni.hardware._memory import cgroup_limits, meminfo
from omni.hardware._notes import Notes, remember_bandwidth
from omni.hardware.probes import Probes

__all__ = ["Cpu", "Disk", "Gpu", "HardwareProfile", "Memory", "probe", "profile"]


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes of memory. `total` is the machine's, `limit` what a control group allows, `available` what is free now."""

    total: int
    available: int
    limit: int | None = None

    @property
    def usable(self) -> int:
        """What this process and its children could hold at most."""
        return self.total if self.limit is None else min(self.total, self.limit)


class Disk(msgspec.Struct, frozen=True, kw_only=True):
    """Free bytes where the home lies."""

    free: int
    path: str


class HardwareProfile(msgspec.Struct, frozen=True, kw_only=True):
    """What this machine is. `bandwidth` is the measured speed of memory in bytes a second, None before it was measured."""

    system: str
    machine: str
    cpu: Cpu
    memory: Memory
    disk: Disk
    gpus: tuple[Gpu, ...] = ()
    bandwidth: float | None = None
    container: str = ""


def probe(home: Home, probes: Probes | None = None) -> HardwareProfile:
    """Look at the machine; blocking, some milliseconds. Nothing is measured that is not remembered already."""
    probes = probes or Probes()
    system, machine = probes.system()
    limits = cgroup_limits(probes)
    if system == "Darwin":
        total, available = _mac_memory(probes)
    else:
        total, available = meminfo(probes)
    if limits.memory_free is not None:
        available = min(available, limits.memory_free)
    processor = cpu(probes, limits.processors)
    notes = Notes.load(home)
    return HardwareProfile(
        system=system,
        machine=machine,
        cpu=processor,
        memory=Memory(
            total=total,
            available=available,
            limit=limits.memory if limits.memory is not None and limits.memory < total else None,
        ),
        disk=Disk(free=probes.disk(home.root), path=str(home.root)),
        gpus=gpus(probes, total),
        bandwidth=notes.bandwidth if notes.processor == processor.name else None,
        container=_container(probes),
    )


async def profile(home: Home, *, measure: bool = True) -> HardwareProfile:
    """`probe` in a thread; with `measure` the memory's speed is measured there too, once for this home and processor."""
    hardware = await asyncio.to_thread(probe, home)
    if hardware.bandwidth is None and measure:
        bandwidth = await asyncio.to_thread(measure_bandwidth, hardware.cpu.usable)
        await asyncio.to_thread(remember_bandwidth, home, bandwidth, hardware.cpu.name)
        hardware = msgspec.structs.replace(hardware, bandwidth=bandwidth)
    return hardware


def _container(probes: Probes) -> str:
    """What this process is boxed in: "docker", "podman", "kubernetes", "lxc", "wsl" or nothing known."""
    if probes.read("/.dockerenv") is not None:
        return "docker"
    if probes.read("/run/.containerenv") is not None:
        return "podman"
    groups = probes.read("/proc/1/cgroup") or ""
    for mark, name in (("kubepods", "kubernetes"), ("docker", "docker"), ("lxc", "lxc")):
        if mark in groups:
            return name
    return "wsl" if "microsoft" in (probes.read("/proc/version") or "").lower() else ""


def _mac_memory(probes: Probes) -> tuple[int, int]:
    text = (probes.run(["sysctl", "-n", "hw.memsize"]) or "").strip()
    total = int(text) if text.isdigit() else 0
    pages = dict(re.findall(r"Pages ([a-z ]+):\s+(\d+)", probes.run(["vm_stat"]) or ""))
    size = 16384 if probes.system()[1] == "arm64" else 4096
    free = sum(int(pages.get(kind, 0)) for kind in ("free", "inactive", "speculative", "purgeable"))
    return total, free * size
