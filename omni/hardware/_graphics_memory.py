"""Memory of graphics processors: how much there is, how much is taken, and what a process took, each by who knows it.

NVIDIA's driver tells by NVML, AMD's in sysfs; what a process holds NVML says, and Linux in `/proc/PID/fdinfo` (AMD, Intel and
others: Documentation/gpu/drm-usage-stats.rst of its sources). What nobody tells stays None: it is not calculated, and not guessed.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec

from omni.core.words import size_words
from omni.hardware._devices import ComputeDevice, pci_address
from omni.hardware.probes import Probes, Vram

_MAKERS = {
    "NVIDIA": re.compile("nvidia|geforce|quadro|tesla", re.IGNORECASE),
    "AMD": re.compile("amd|radeon", re.IGNORECASE),
}
_UNITS = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_HELD = re.compile(r"^drm-(resident|memory|total)-(?:vram|local)(\d*):\s+(\d+)\s*(\w*)\s*$", re.MULTILINE)
_CLIENT = re.compile(r"^drm-(?:pdev|client-id):\s+(\S+)", re.MULTILINE)


class GraphicsMemory(msgspec.Struct, frozen=True, kw_only=True):
    """Memory of the devices that brains use now, which are the `cards`; `taken` is what each worker holds there, in bytes by its pid;
    one of which nobody tells is left out."""

    cards: tuple[Vram, ...] = ()
    taken: dict[int, int] = {}

    @property
    def together(self) -> Vram | None:
        """All of them as one: those with memory of their own, where there are any; None where no device is used."""
        own = [card for card in self.cards if not card.shared]
        if not own:
            return self.cards[0] if self.cards else None
        name = own[0].name if len(own) == 1 else f"{len(own)} cards"
        return Vram(name=name, used=_sum(card.used for card in own), total=_sum(card.total for card in own))

    @property
    def words(self) -> str:
        """The same in a few words: "VRAM 5.2 of 25.8 GB"; "" where no device is used."""
        one = self.together
        if one is None or one.shared:
            return "VRAM is RAM" if one else ""
        if one.used is None and self.taken:
            return f"VRAM {size_words(sum(self.taken.values()))} taken"
        return f"VRAM {one.words}"


def graphics_memory(
    probes: Probes, devices: Iterable[ComputeDevice], processes: Mapping[int, Collection[int]]
) -> GraphicsMemory:
    """Memory of `devices`, which are in use, and what `processes` hold of it: by their pids, each with those of what it has
    started. Blocking for some milliseconds."""
    devices = list(devices)
    told = _cards_of([device for device in devices if not device.shares_memory], vram(probes))
    shared = [_as_the_engine_says(device) for device in devices if device.shares_memory]
    cards = [*dict.fromkeys([*told, *shared])]
    if all(card.shared for card in cards):
        return GraphicsMemory(cards=tuple(cards))  # what lies there is counted as memory of the process
    by_driver = probes.nvidia_processes() if any(_maker(device.description) == "NVIDIA" for device in devices) else {}
    taken = {pid: _taken(probes, family, by_driver) for pid, family in processes.items()}
    return GraphicsMemory(cards=tuple(cards), taken={pid: size for pid, size in taken.items() if size is not None})


def vram(probes: Probes) -> tuple[Vram, ...]:
    """Memory of the cards whose drivers tell: NVIDIA's by NVML, AMD's in sysfs. Of the others nobody knows. Blocking."""
    cards = list(probes.nvidia() or ())
    for device in probes.names("/sys/bus/pci/devices"):
        folder = f"/sys/bus/pci/devices/{device}"
        used, total = ((probes.read(f"{folder}/mem_info_vram_{what}") or "").strip() for what in ("used", "total"))
        if used.isdigit() and total.isdigit():
            cards.append(Vram(name="AMD graphics", used=int(used), total=int(total), address=pci_address(device)))
    return tuple(cards)


def _cards_of(devices: Sequence[ComputeDevice], cards: Sequence[Vram]) -> list[Vram]:
    """The cards that devices are, as their drivers tell of them, else as the engine does. Names that one interface gives are as many
    cards; two interfaces may each have a name of their own for one. Of fewer devices than cards that are all alike nobody knows
    which they are, so that how much of them is taken stays open."""
    names: dict[tuple[str, tuple[int, ...]], set[str]] = {}
    others = []
    for device in devices:
        if alike := _alike(device, cards):
            names.setdefault((device.name.rstrip("0123456789"), alike), set()).add(device.name)
        else:
            others.append(_as_the_engine_says(device))
    told: dict[int, Vram] = {}
    for (_, alike), used in names.items():
        sure = len(used) >= len(alike)
        for at in alike[: len(used)]:
            told[at] = cards[at] if sure else told.get(at, msgspec.structs.replace(cards[at], used=None))
    return [*(told[at] for at in sorted(told)), *others]


def _alike(device: ComputeDevice, cards: Sequence[Vram]) -> tuple[int, ...]:
    """Which of the cards a device may be: by its place in the machine where both tell it, else by maker, name and size."""
    here, maker = pci_address(device.card), _maker(device.description)
    if here and any(card.address == here for card in cards):
        return tuple(at for at, card in enumerate(cards) if card.address == here)
    alike = [at for at, card in enumerate(cards) if maker and _maker(card.name) == maker]
    alike = [at for at in alike if not (here and cards[at].address)]  # that is another place
    alike = [at for at in alike if cards[at].name.casefold() == device.description.casefold()] or alike
    if device.total and alike:
        off = {at: abs((cards[at].total or 0) - device.total) for at in alike}
        alike = [at for at in alike if off[at] == min(off.values())]
    return tuple(alike)


def _as_the_engine_says(device: ComputeDevice) -> Vram:
    if device.shares_memory:
        return Vram(name=device.description or device.name, shared=True)
    return Vram(name=device.description or device.name, total=device.total or None)


def _maker(name: str) -> str:
    return next((maker for maker, pattern in _MAKERS.items() if pattern.search(name)), "")


def _taken(probes: Probes, family: Collection[int], by_driver: Mapping[int, int]) -> int | None:
    parts = [by_driver[pid] for pid in family if pid in by_driver]
    for pid in family:
        parts += _held(probes, pid)
    return sum(parts) if parts else None


def _held(probes: Probes, pid: int) -> Sequence[int]:
    """Bytes of a card's own memory that each of a process's lines to a driver holds; two files of one line count once."""
    lines: dict[tuple[str, ...], int] = {}
    for number in probes.names(f"/proc/{pid}/fdinfo"):
        text = probes.read(f"/proc/{pid}/fdinfo/{number}") or ""
        best: dict[str, tuple[int, int]] = {}
        for kind, region, size, unit in _HELD.findall(text):
            rank = ("total", "memory", "resident").index(kind)
            best[region] = max(best.get(region, (-1, 0)), (rank, int(size) * _UNITS.get(unit, 1)))
        if best:
            lines[tuple(_CLIENT.findall(text)) or (number,)] = sum(size for _, size in best.values())
    return list(lines.values())


def _sum(sizes: Iterable[int | None]) -> int | None:
    known = list(sizes)
    return None if None in known else sum(size for size in known if size is not None)
