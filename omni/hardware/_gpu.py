"""Graphics processors: what is there, and plainly what is done with them."""

import msgspec

from omni.hardware.probes import Probes

UNUSED = "the engine that comes with Omni does not use it; one that can be added may (`omni engine`), not tried on a card by us"
_MAKERS = {"0x10de": "NVIDIA", "0x1002": "AMD", "0x8086": "Intel"}


class Gpu(msgspec.Struct, frozen=True, kw_only=True):
    """One graphics processor. `memory` in bytes, None when unknown or shared; `used` says whether brains run on it."""

    name: str
    kind: str  # "nvidia", "amd", "intel" or "metal"
    memory: int | None = None
    used: bool = False
    note: str = ""


def gpus(probes: Probes, memory_total: int) -> tuple[Gpu, ...]:
    """All graphics processors that could run a brain."""
    system, machine = probes.system()
    if system == "Darwin":
        if machine != "arm64":
            return ()
        note = "the prebuilt engine uses it through Metal; untested by us"
        return (Gpu(name="Apple GPU", kind="metal", memory=memory_total, used=True, note=note),)
    cards = probes.nvidia()
    processors = [
        Gpu(
            name=card.name,
            kind="nvidia",
            memory=card.total,
            note=UNUSED,
        )
        for card in cards or ()
    ]
    for device in probes.names("/sys/bus/pci/devices"):
        folder = f"/sys/bus/pci/devices/{device}"
        maker = _MAKERS.get((probes.read(f"{folder}/vendor") or "").strip())
        if maker is None or not (probes.read(f"{folder}/class") or "").startswith("0x03"):
            continue
        if maker == "NVIDIA":
            if cards is None:
                processors.append(
                    Gpu(name="NVIDIA graphics", kind="nvidia", note="present, but its driver does not answer (NVML)")
                )
        else:
            vram = (probes.read(f"{folder}/mem_info_vram_total") or "").strip()
            processors.append(
                Gpu(
                    name=f"{maker} graphics",
                    kind=maker.lower(),
                    memory=int(vram) if vram.isdigit() else None,
                    note=UNUSED,
                )
            )
    return tuple(processors)
