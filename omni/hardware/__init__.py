"""What this machine is, and which brains fit into it."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omni.hardware.bandwidth import measure_bandwidth
    from omni.hardware.budget import PLEASANT, BaseFacts, Budget, Fit, gigabytes, kv_bytes, memory_class, memory_needed
    from omni.hardware.machine import Cpu, Disk, Gpu, HardwareProfile, Memory, probe, profile
    from omni.hardware.memory import available_memory
    from omni.hardware.notes import Notes, remember_speed
    from omni.hardware.probes import Probes, RecordedProbes

_PLACES = {
    "measure_bandwidth": "bandwidth",
    "BaseFacts": "budget",
    "Budget": "budget",
    "Fit": "budget",
    "gigabytes": "budget",
    "kv_bytes": "budget",
    "memory_class": "budget",
    "memory_needed": "budget",
    "PLEASANT": "budget",
    "available_memory": "memory",
    "Notes": "notes",
    "remember_speed": "notes",
    "Probes": "probes",
    "RecordedProbes": "probes",
    "Cpu": "machine",
    "Disk": "machine",
    "Gpu": "machine",
    "HardwareProfile": "machine",
    "Memory": "machine",
    "probe": "machine",
    "profile": "machine",
}

__all__ = [
    "PLEASANT",
    "BaseFacts",
    "Budget",
    "Cpu",
    "Disk",
    "Fit",
    "Gpu",
    "HardwareProfile",
    "Memory",
    "Notes",
    "Probes",
    "RecordedProbes",
    "available_memory",
    "gigabytes",
    "kv_bytes",
    "measure_bandwidth",
    "memory_class",
    "memory_needed",
    "probe",
    "profile",
    "remember_speed",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    attribute = getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
    globals()[name] = attribute
    return attribute
