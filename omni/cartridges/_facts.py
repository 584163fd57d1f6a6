"""What a budget must know of a brain: from the header of its file, or before a pull from its manifest."""

from typing import TYPE_CHECKING

from omni.cartridges.brains import Base, Brain
from omni.cartridges.manifest import Facts

if TYPE_CHECKING:
    from omni.hardware import BaseFacts, OffloadFacts

_DENSE_SHARE = 0.1  # of a mixture of experts, what every token reads beside its experts


def base_facts(base: Base, *, projector: bool = True) -> "BaseFacts":
    """The facts of a base that is here, by its header; with its projector, where it has one, or without."""
    from omni.hardware import BaseFacts

    header = base.header
    weights = base.size or header.weights_bytes  # as before a pull, so that no figure changes when it is here
    share = header.experts_used / header.experts if header.experts and header.experts_used else 1.0
    return BaseFacts(
        id=base.id,
        name=header.name,
        weights_bytes=weights,
        projector_bytes=base.projector.memory if base.projector is not None and projector else 0,
        active_bytes=int(weights * min(1.0, share + _DENSE_SHARE)) if share < 1 else 0,
        layers=header.layers,
        kv_heads=header.kv_heads,
        head_dim=header.head_dim,
        kv_values=header.kv_elements,
        context_max=header.context_length,
    )


def offload_facts(base: Base, *, kv_bytes: int, buffer_bytes: int = 0) -> "OffloadFacts":
    """The bytes of a base by layer; an even share where its header was read before they were counted."""
    from omni.hardware import OffloadFacts

    header = base.header
    layers = header.layer_bytes
    if not layers and (count := header.blocks or header.layers):
        layers = (header.weights_bytes // (count + 1),) * count
    return OffloadFacts(
        layer_bytes=layers,
        expert_bytes=header.expert_bytes,
        output_bytes=header.output_bytes or max(0, header.weights_bytes - sum(layers)),
        kv_bytes=kv_bytes,
        buffer_bytes=buffer_bytes,
    )


def facts_of(brain: Brain) -> "BaseFacts":
    """The facts of a brain, here or still to be pulled."""
    from omni.hardware import BaseFacts

    if brain.base is not None:
        return base_facts(brain.base)
    facts = brain.manifest.base if brain.manifest is not None and isinstance(brain.manifest.base, Facts) else Facts()
    share = facts.active_parameters / facts.parameters if facts.active_parameters and facts.parameters else 0
    return BaseFacts(
        name=brain.name,
        weights_bytes=brain.size,
        active_bytes=int(brain.size * share),
        layers=facts.layers,
        kv_heads=facts.kv_heads,
        head_dim=facts.head_dim,
        context_max=brain.context_max,
    )
