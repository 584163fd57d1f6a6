"""How the machine is asked. Everything that looks at a machine goes through `Probes`, so that a recording can stand in."""

import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec


class Vram(msgspec.Struct, frozen=True, kw_only=True):
    """Memory of one graphics processor, as its driver tells it, in bytes."""

    name: str
    used: int
    total: int


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
        import pynvml

        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError:
            return None
        try:
            handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
            sizes = [(pynvml.nvmlDeviceGetName(one), pynvml.nvmlDeviceGetMemoryInfo(one)) for one in handles]
            return [Vram(name=_text(name), used=int(size.used), total=int(size.total)) for name, size in sizes]
        except pynvml.NVMLError:
            return None
        finally:
            with suppress(pynvml.NVMLError):
                pynvml.nvmlShutdown()


def _text(value: Any) -> str:
    """Older drivers' bindings return bytes."""
    return value.decode() if isinstance(value, bytes) else str(value)
