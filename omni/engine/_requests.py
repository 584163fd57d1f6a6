"""What every request to a brain has of the brain itself, whoever asks: its text, its sampling, its adapter."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from omni.core.messages import Message
from omni.engine.types import Adapter, Sampling

if TYPE_CHECKING:
    from omni.cartridges import Brain


def instructed(messages: Sequence[Message], text: str) -> tuple[Message, ...]:
    """The messages with `text` and those system texts that they begin with as one; later ones stay where they are."""
    start = next((at for at, message in enumerate(messages) if message.role != "system"), len(messages))
    texts = [each for each in (text, *(message.text for message in messages[:start])) if each.strip()]
    system = (Message.of("system", "\n\n".join(texts)),) if texts else ()
    return (*system, *messages[start:])


def adapter_of(brain: "Brain") -> Adapter | None:
    """The adapter that a brain is made with."""
    return Adapter(path=brain.adapter.path, scale=brain.adapter.scale) if brain.adapter else None


def sampling_of(brain: "Brain", *, max_tokens: int) -> Sampling:
    """How a brain samples: Omni's defaults, then its base's, then its own. Parameters unknown here are left out."""
    known: dict[str, Any] = {"max_tokens": max_tokens}
    for source in (brain.base.parameters if brain.base else {}, brain.sampling):
        known |= {name: value for name, value in source.items() if name in Sampling.__struct_fields__}
    known["max_tokens"] = min(max_tokens, int(known["max_tokens"]))
    return msgspec.convert(known, Sampling)
