"""Layers of a brain on devices: what its worker is told of them, and what the end of one says."""

from collections.abc import Sequence

from omni.core.errors import OmniError
from omni.engine._retrying import Cause, culprit, is_end
from omni.engine.llama import used_devices
from omni.hardware import ComputeDevice, OffloadPlan

SETTINGS = ("gpu_layers", "devices", "tensor_split", "cpu_experts", "software", "placed")
DRIVER = 2 << 30  # bytes that a device's driver may take of the worker's own memory


def device_settings(plan: OffloadPlan, devices: Sequence[ComputeDevice]) -> dict[str, int | str]:
    """What of a plan stands in the spec of a worker, in words too; nothing where the processor does it all."""
    if not plan.layers:
        return {}
    settings: dict[str, int | str] = {
        "gpu_layers": plan.layers,
        "devices": ",".join(device.name for device in devices),
        "tensor_split": ",".join(map(str, plan.split)),
    }
    if plan.cpu_experts:
        settings["cpu_experts"] = plan.cpu_experts
    if any(device.kind == "software" for device in devices):
        settings["software"] = 1
    used = used_devices(settings)
    settings["placed"] = ", ".join(f"{count} {'layer' if count == 1 else 'layers'} on {name}" for name, count in used)
    return settings


def placed_on(placed: str) -> list[str]:
    """The devices that these words of a worker's settings name."""
    return [part.rpartition(" on ")[2] for part in placed.split(", ") if part]


def ended_it(error: OmniError) -> bool:
    """Whether an answer failed because its worker ended, other than at its own ceiling."""
    return is_end(error) or error.message == culprit(Cause.CRASH, "").message
