"""How the machine is asked. Everything that looks at a machine goes through `Probes`, so that a recording can stand in."""

import os
import platform
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from omni.core.words import size_words
from omni.hardware._devices import pci_address


class Vram(msgspec.Struct, frozen=True, kw_only=True):
    """Memory of one graphics processor in bytes, None where nobody tells. `shared`: it has none of its own, and takes the
    machine's. `address`: its place on the PCI bus, where the driver tells."""

    name: str
    used: int | None = None
    total: int | None = None
    shared: bool = False
    address: str = ""

    @property
    def words(self) -> str:
        """How much of it is taken: "5.2 of 25.8 GB"."""
        if self.shared:
            return "the machine's own memory"
        if self.total is None:
            return "nobody tells how much" if self.used is None else f"{size_words(self.used)} taken"
        total = size_words(self.total)
        if self.used is None:
            return f"{total} in all"
        used, unit = size_words(self.used).rsplit(" ", 1)
        return f"{used} of {total}" if total.endswith(f" {unit}") else f"{used} {unit} of {total}"


class Probes:
    """The machine itself."""

    def system(self) -> tuple[str, str]:
        """("Linux", "x86_64") and the like."""
        uname = platform.uname()
        return uname.system, uname.machine

    def read(self, path: str) -> str | None:
        """A small file's text, or None when it cannot be read."""
        try:
            return Path(path).read_text("utf-8", "replace")
        except OSError:
            return None

    def names(self, folder: str) -> list[str]:
        """The names in a folder, sorted; empty when it cannot be read."""
        try:
            return sorted(entry.name for entry in Path(folder).iterdir())
        except OSError:
            return []

    def run(self, command: Sequence[str]) -> str | None:
        """What a command prints, or None when it is missing, fails or takes longer than two seconds."""
        try:
            return subprocess.run(command, capture_output=True, text=True, check=True, timeout=2).stdout
        except (OSError, subprocess.SubprocessError):
            return None

    def affinity(self) -> int | None:
        """How many processors this process may use, or None where the system does not say."""
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None

    def disk(self, path: Path) -> int:
        """Free bytes on the file system that holds `path` or its nearest existing parent."""
        while not path.exists() and path != path.parent:
            path = path.parent
        return shutil.disk_usage(path).free

    def nvidia(self) -> list[Vram] | None:
        """The cards that NVIDIA's driver lists (NVML); None when there is no driver."""
        with _nvml() as cards:
            return [_nvidia(card) for card in cards] if cards is not None else None

    def nvidia_processes(self) -> dict[int, int]:
        """Bytes that each process holds on NVIDIA's cards, by its pid; those of which the driver does not tell are left out."""
        import pynvml

        held: dict[int, int] = {}
        with _nvml() as cards:
            for card in cards or ():
                on_this: dict[int, int] = {}  # Vulkan's are listed as graphics, CUDA's as computing, and some as both
                for listed in (
                    pynvml.nvmlDeviceGetComputeRunningProcesses,
                    pynvml.nvmlDeviceGetGraphicsRunningProcesses,
                ):
                    with suppress(pynvml.NVMLError):
                        on_this |= {
                            one.pid: int(one.usedGpuMemory) for one in listed(card) if one.usedGpuMemory is not None
                        }
                for pid, size in on_this.items():
                    held[pid] = held.get(pid, 0) + size
        return held


@contextmanager
def _nvml() -> Iterator[list[Any] | None]:
    """NVIDIA's cards, as long as the block; None where its driver does not answer."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        yield None
        return
    try:
        try:
            cards = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        except pynvml.NVMLError:
            cards = None
        yield cards
    finally:
        with suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()


def _nvidia(card: Any) -> Vram:
    """One card. Those that share the machine's memory do not tell how much there is."""
    import pynvml

    name, address, size = "NVIDIA graphics", "", None
    with suppress(pynvml.NVMLError):
        name = _text(pynvml.nvmlDeviceGetName(card))
        address = pci_address(_text(pynvml.nvmlDeviceGetPciInfo(card).busId))
        size = pynvml.nvmlDeviceGetMemoryInfo(card)
    known = Vram(name=name, address=address)
    return msgspec.structs.replace(known, used=int(size.used), total=int(size.total)) if size is not None else known


def _text(value: Any) -> str:
    """Older drivers' bindings return bytes."""
    return value.decode() if isinstance(value, bytes) else str(value)
