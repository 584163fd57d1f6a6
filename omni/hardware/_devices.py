"""What an engine can compute on beside the processor, as it names it: graphics cards, and programs that pretend to be one."""

import re
from collections.abc import Iterable
from typing import Literal

import msgspec

DeviceKind = Literal["gpu", "integrated", "software"]
GpuUse = Literal["auto", "on", "off"]  # the setting `engine.gpu`

_SOFTWARE = re.compile(r"llvmpipe|lavapipe|softpipe|swiftshader", re.IGNORECASE)
# Such a processor has no memory of its own, by what its drivers call it. Unknown ones count as cards.
_INTEGRATED = re.compile(
    r"\b(Apple|UHD|Iris|HD Graphics|Intel\(R\) Graphics|Orin|Tegra|Thor|GB10|Adreno|Mali)\b|Radeon(\(TM\))? (\d{3}M|Graphics|Vega \d+)",
    re.IGNORECASE,
)
_PLACE = re.compile(r"([0-9a-f]{1,8}):([0-9a-f]{2}:[0-9a-f]{2}\.[0-7])")
_WORDS: dict[DeviceKind, str] = {
    "gpu": "a card",
    "integrated": "shares the machine's memory",
    "software": "software, slow",
}


class ComputeDevice(msgspec.Struct, frozen=True, kw_only=True):
    """A device. `name` is the engine's (`Vulkan0`); `total` and `free` in bytes as they were when it was looked at, `total` 0
    where nobody tells, and `card` its place on the PCI bus, "" where the engine does not say. A "software" device computes on the processor, and more slowly than an engine does there itself."""

    name: str
    description: str = ""
    kind: DeviceKind = "gpu"
    total: int = 0
    free: int = 0
    card: str = ""

    @property
    def shares_memory(self) -> bool:
        """Whether what lies on it takes the machine's own memory."""
        return self.kind != "gpu"

    @property
    def words(self) -> str:
        """What it is: "Vulkan0: llvmpipe (software, slow)"."""
        return f"{self.name}: {self.description} ({_WORDS[self.kind]})"


def device_kind(description: str) -> DeviceKind:
    """What a device is, by what its driver calls it."""
    if _SOFTWARE.search(description):
        return "software"
    return "integrated" if _INTEGRATED.search(description) else "gpu"


def pci_address(told: str) -> str:
    """Where a card is in the machine, as Linux writes it: NVIDIA's driver writes more zeros; "" for what is no such place."""
    match = _PLACE.fullmatch(told.strip().lower())
    return f"{int(match[1], 16):04x}:{match[2]}" if match is not None else ""


def usable_devices(devices: Iterable[ComputeDevice], gpu: GpuUse) -> tuple[ComputeDevice, ...]:
    """Those that brains run on: cards, else what is built into the processor; a software device only where a person says
    "on" and there is nothing else."""
    listed = list(devices) if gpu != "off" else []
    kinds: tuple[DeviceKind, ...] = ("gpu", "integrated", "software") if gpu == "on" else ("gpu", "integrated")
    return next((those for kind in kinds if (those := tuple(one for one in listed if one.kind == kind))), ())
