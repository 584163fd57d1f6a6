"""Names of wheels, whether one is for this machine, and which file of an index is the one that a lock names."""

import os
import platform
import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from omni.core.errors import BadFile, NotFound
from omni.environment.requirements import Pin

if TYPE_CHECKING:
    from omni.airlock import IndexFile


_NAME = re.compile(r"([A-Za-z0-9][\w.]*)-(\w[\w.!+]*)(?:-\d[\w.]*)?-([\w.]+)-([\w.]+)-([\w.]+)\.whl", re.ASCII)
_LEGACY = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}


class WheelName(NamedTuple):
    """What the name of a wheel says."""

    package: str
    version: str
    pythons: tuple[str, ...]
    abis: tuple[str, ...]
    platforms: tuple[str, ...]


class WheelMachine(NamedTuple):
    """What decides which wheels run here. `glibc` is None where there is none."""

    python: tuple[int, int]
    system: str
    machine: str
    glibc: tuple[int, int] | None

    @classmethod
    def here(cls) -> "WheelMachine":
        """This one."""
        kind, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ") if _has_glibc() else ("", "", "")
        glibc = tuple(int(part) for part in version.split(".")[:2]) if kind == "glibc" else None
        return cls(
            sys.version_info[:2],
            platform.system(),
            platform.machine(),
            (glibc[0], glibc[1]) if glibc is not None and len(glibc) == 2 else None,
        )


def wheel_name(name: str) -> WheelName:
    """The parts of a wheel's name. Raises BadFile for what is no such name."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise BadFile(
            f"{name} is not named as a wheel is.", hint="A wheel is named PACKAGE-VERSION-PYTHON-ABI-PLATFORM.whl."
        )
    package, version, *tags = match.groups()
    package = re.sub(r"[-_.]+", "-", package).lower()
    pythons, abis, platforms = (tuple(tag.split(".")) for tag in tags)
    return WheelName(package, version, pythons, abis, platforms)


def unfit(wheel: WheelName, machine: WheelMachine) -> str:
    """Why a wheel cannot be used on a machine, in words; or ""."""
    if not any(_runs_on(tag, machine) for tag in wheel.platforms):
        libc = f" with glibc {machine.glibc[0]}.{machine.glibc[1]}" if machine.glibc else ""
        here = f"{machine.system} on {machine.machine}{libc}"
        return f"it is for {', '.join(wheel.platforms)}, and this is {here}"
    if not any(_for_python(tag, wheel.abis, machine.python) for tag in wheel.pythons):
        return f"it is for {', '.join(wheel.pythons)}, and this is Python {'.'.join(map(str, machine.python))}"
    return ""


def fits_here(name: str, version: str) -> bool:
    """Whether a file is a wheel of this version that runs on this machine."""
    try:
        wheel = wheel_name(name)
    except BadFile:
        return False
    return wheel.version == version and not unfit(wheel, WheelMachine.here())


def pinned_file(pin: Pin, offered: "Sequence[IndexFile]") -> "IndexFile":
    """Which of the files that an index offers for this machine is the pinned one: a wheel, where there is one.

    Raises NotFound when there is none, BadFile when all have other hashes; a page that says no hash is believed until the
    file is here.
    """
    pinned = [file for file in offered if not file.sha256 or file.sha256 in pin.hashes]
    if not pinned:
        what = "is not the one that Omni pins (wrong sha256)" if offered else "is not offered for this machine"
        error = BadFile if offered else NotFound
        raise error(
            f"{pin.name} {pin.version} of the package index {what}.", hint="Check pip's settings: `pip config list`."
        )
    return min(pinned, key=lambda one: one.name.endswith(".tar.gz"))


def _runs_on(tag: str, machine: WheelMachine) -> bool:
    if tag == "any":
        return True
    name, _, _ = tag.partition("_")
    if machine.system == "Darwin":
        arch = "arm64" if machine.machine == "arm64" else "x86_64"
        return name == "macosx" and tag.endswith((f"_{arch}", "_universal2"))
    if machine.system != "Linux" or not tag.endswith(f"_{machine.machine}"):
        return False
    if name == "linux":
        return True
    if name == "musllinux":
        return machine.glibc is None
    match = re.fullmatch(r"manylinux_(\d+)_(\d+)_\w+", tag)
    needed = (int(match[1]), int(match[2])) if match else _LEGACY.get(name)
    return needed is not None and machine.glibc is not None and machine.glibc >= needed


def _for_python(tag: str, abis: tuple[str, ...], python: tuple[int, int]) -> bool:
    match = re.fullmatch(r"(py|cp)(\d)(\d*)", tag)
    if match is None or int(match[2]) != python[0]:
        return False
    minor = int(match[3]) if match[3] else 0
    if match[1] == "py":
        return minor <= python[1] and "none" in abis
    if minor == python[1]:
        return bool({"none", "abi3", f"cp{python[0]}{python[1]}"} & set(abis))
    return minor < python[1] and "abi3" in abis


def _has_glibc() -> bool:
    return "CS_GNU_LIBC_VERSION" in getattr(os, "confstr_names", {})
