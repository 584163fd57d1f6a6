"""Which of a brain's layers lie on which device, as llama.cpp counts them.

`n_gpu_layers` counts from the last layer, and one more for what comes after it, which goes first. Those layers are dealt out
to the devices in their order, each taking what comes next. The keys and values of a layer lie where the layer does. Of a
mixture of experts, the experts of the first layers stay behind before a whole layer does: of them a token reads few.
"""

from collections.abc import Sequence

import msgspec

from omni.core.words import size_words
from omni.hardware._devices import ComputeDevice

MARGIN = 256 << 20  # of a device's free memory, for its driver and for others who take some
BUFFERS = 128 << 20  # compute buffers on each device at a batch of 128, beside the rows of likelihoods
_UNKNOWN = 1 << 62  # the room of a device that does not tell


class OffloadFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes of a brain by layer: of all of it, and of its experts (empty: none); of what comes after the layers; of keys and
    values of all layers together; of compute buffers beyond the usual."""

    layer_bytes: tuple[int, ...]
    expert_bytes: tuple[int, ...] = ()
    output_bytes: int = 0
    kv_bytes: int = 0
    buffer_bytes: int = 0


class OffloadPlan(msgspec.Struct, frozen=True, kw_only=True):
    """`layers` of the `most` that there are go to devices, `split` says how many to each, and `taken` the bytes there, buffers
    included. The experts of the first `cpu_experts` layers stay. `weights_bytes` and `kv_bytes` need no memory elsewhere."""

    layers: int = 0
    most: int = 0
    cpu_experts: int = 0
    split: tuple[int, ...] = ()
    taken: tuple[int, ...] = ()
    weights_bytes: int = 0
    kv_bytes: int = 0
    why: str = ""


def offload(facts: OffloadFacts, devices: Sequence[ComputeDevice], *, limit: int | None = None) -> OffloadPlan:
    """What of a brain goes to the devices: as much as their free memory takes, and at most `limit` layers."""
    most = len(facts.layer_bytes) + 1
    fixed = MARGIN + BUFFERS + facts.buffer_bytes
    rooms = [max(0, device.free - fixed) if device.total else _UNKNOWN for device in devices]
    if not rooms or len(facts.layer_bytes) == 0:
        return OffloadPlan(most=most, why="no device" if not rooms else "nobody knows its layers")
    highest = most if limit is None else max(0, min(limit, most))
    for layers, cpu_experts in _choices(facts, highest):
        kept = _kept(facts, layers, cpu_experts)
        split = _dealt([weights + kv for weights, kv in kept], rooms)
        if split is not None:
            return _plan(facts, devices, split, kept, cpu_experts, limited=highest < most)
    return OffloadPlan(
        most=most, why=f"not one layer fits into the {size_words(max(device.free for device in devices))} that are free"
    )


def _choices(facts: OffloadFacts, highest: int) -> list[tuple[int, int]]:
    """(layers, layers whose experts stay), the fastest first."""
    experts = len(facts.expert_bytes) if any(facts.expert_bytes) else 0
    whole = [(highest, stay) for stay in range(experts + 1)] if highest else []
    return [*whole, *((layers, experts) for layers in range(highest - 1, 0, -1))]


def _kept(facts: OffloadFacts, layers: int, cpu_experts: int) -> list[tuple[int, int]]:
    """Weights and cache of each layer that goes to a device, in their order."""
    count = len(facts.layer_bytes)
    cache = -(-facts.kv_bytes // count)
    rows = [
        (size - (facts.expert_bytes[at] if at < min(cpu_experts, len(facts.expert_bytes)) else 0), cache)
        for at, size in enumerate(facts.layer_bytes)
    ]
    return [*rows, (facts.output_bytes, 0)][-layers:]


def _dealt(sizes: Sequence[int], rooms: Sequence[int]) -> tuple[int, ...] | None:
    """How many of them each device takes; None where they do not fit. One device that takes all is better than two."""
    whole = max(range(len(rooms)), key=lambda at: rooms[at])
    if sum(sizes) <= rooms[whole]:
        return tuple(len(sizes) if at == whole else 0 for at in range(len(rooms)))
    counts, left, at = [0] * len(rooms), list(rooms), 0
    for size in sizes:
        while at < len(left) and size > left[at]:
            at += 1
        if at == len(left):
            return None
        left[at] -= size
        counts[at] += 1
    return tuple(counts)


def _plan(
    facts: OffloadFacts,
    devices: Sequence[ComputeDevice],
    split: tuple[int, ...],
    kept: Sequence[tuple[int, int]],
    cpu_experts: int,
    *,
    limited: bool,
) -> OffloadPlan:
    taken, at = [], 0
    for count in split:
        size = sum(weights + kv for weights, kv in kept[at : at + count])
        taken.append(size + BUFFERS + facts.buffer_bytes if count else 0)
        at += count
    layers, most = len(kept), len(facts.layer_bytes) + 1
    used = ", ".join(f"{device.name}" for device, count in zip(devices, split, strict=True) if count)
    why = f"all {most} layers on {used}" if layers == most else f"{layers} of {most} layers on {used}"
    if cpu_experts:
        why += f", the experts of {cpu_experts} on the processor"
    if layers < most or cpu_experts:
        why += ": more did not load" if limited else ": more does not fit into its memory"
    # What comes after the layers may be the table of the texts again, which the processor keeps, too.
    own = [weights for weights, _ in kept[:-1]]
    return OffloadPlan(
        layers=layers,
        most=most,
        cpu_experts=cpu_experts,
        split=split,
        taken=tuple(taken),
        weights_bytes=sum(own),
        kv_bytes=sum(kv for _, kv in kept),
        why=why,
    )
