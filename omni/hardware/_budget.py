"""Which brains fit into this machine, with how much context, and how fast they will answer; always with the reason."""

from collections.abc import Mapping

import msgspec

from omni.core.settings import Settings
from omni.core.words import size_words
from omni.hardware._notes import Notes
from omni.hardware.machine import HardwareProfile

SHARE = 0.8  # of memory for brains: the rest is for the person's other programs and the page cache
OVERHEAD = 160 << 20  # compute buffers at a batch of 128, the engine's code, and the worker's Python
TOKEN_SECONDS = 0.004  # what a token costs beside reading the weights (synchronising threads, sampling)
LEAST_CONTEXT = 2048  # less than this is no conversation
CLASSES = (4, 8, 16, 32, 64)

PLEASANT = 20.0  # tokens a second: a person never waits for the next line, nor for ever for a prompt or a thought

# Quantisations from the best on: worth their size where they are quick all the same; four bits, the common trade; the rest.
FINE = ("Q8_0", "Q6_K", "Q5_K_M", "Q5_K_S")
USUAL = ("Q4_K_M", "Q4_K_S", "IQ4_XS", "Q4_0", "MXFP4", "Q4_1")
OTHERS = ("Q5_K_M", "Q5_K_S", "Q6_K", "Q8_0", "Q3_K_L", "Q3_K_M", "BF16", "F16", "F32")
ROOM = 0.75  # of the budget for weights: the rest is for context


class BaseFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What of a base decides whether it fits.

    `active_bytes` is what one token reads (less than all in a mixture of experts; 0: all). `kv_values` is how many values
    one token keeps in the cache, where a header tells exactly; else it follows from `layers`, `kv_heads` and `head_dim`.
    All of them 0: nobody knows its shape yet. `eyes_bytes` is what seeing takes beside all that.
    """

    id: str = ""
    name: str = ""
    weights_bytes: int
    projector_bytes: int = 0
    active_bytes: int = 0
    layers: int = 0
    kv_heads: int = 0
    head_dim: int = 0
    kv_values: int = 0
    context_max: int = 0


class Fit(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict on one base. `memory` in bytes with `context` tokens; `speed` in tokens a second, None: unknown."""

    fits: bool
    context: int
    memory: int
    speed: float | None = None
    measured: bool = False
    why: str = ""


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """What this machine can give to brains: `memory` bytes in all, `free` of them now."""

    memory: int
    free: int
    context: int
    bandwidth: float | None = None
    memory_class: int = 4
    notes: Notes = Notes()

    @classmethod
    def of(cls, profile: HardwareProfile, settings: Settings, notes: Notes | None = None) -> "Budget":
        """From the machine and what the person decided (`engine.memory`, `engine.context`)."""
        memory = settings.engine.memory * 10**6 or int(profile.memory.usable * SHARE)
        return cls(
            memory=memory,
            free=min(memory, profile.memory.available),
            context=settings.engine.context,
            bandwidth=profile.bandwidth,
            memory_class=memory_class(profile.memory.usable),
            notes=notes or Notes(),
        )

    def fit(self, base: BaseFacts) -> Fit:
        """Whether a base fits, with the most context that memory, the base and the settings allow."""
        speed, measured = self.speed(base)
        most = min(base.context_max or self.context, self.context)
        context = most
        while context > LEAST_CONTEXT and memory_needed(base, context) > self.memory:
            context //= 2
        memory = memory_needed(base, context)
        fits = memory <= self.memory
        return Fit(
            fits=fits,
            context=context,
            memory=memory,
            speed=speed,
            measured=measured,
            why=self._why(base, fits=fits, memory=memory, context=context, most=most),
        )

    def speed(self, base: BaseFacts) -> tuple[float | None, bool]:
        """Tokens a second and whether that was measured; else the estimate: memory bandwidth over bytes per token."""
        if base.id in self.notes.speeds:
            return self.notes.speeds[base.id].answer, True
        if self.bandwidth is None:
            return None, False
        return 1 / ((base.active_bytes or base.weights_bytes) / self.bandwidth + TOKEN_SECONDS), False

    @property
    def weights(self) -> int:
        """Bytes that the weights of a brain may take, with room left for context."""
        return int(self.memory * ROOM)

    def quantisation(self, offered: Mapping[str, int]) -> str | None:
        """Which of a model's quantisations suits this machine, by their sizes in bytes; None when none fits.

        Where it is known to be quick the best one, else four bits; always with room left for context.
        """
        small = {name: size for name, size in offered.items() if size <= self.weights}
        fine = [name for name in FINE if name in small and self._is_pleasant(small[name])]
        for name in (*fine, *USUAL, *OTHERS):
            if name in small:
                return name
        return max(small, key=small.__getitem__, default=None)

    def _is_pleasant(self, weights_bytes: int) -> bool:
        speed, _ = self.speed(BaseFacts(weights_bytes=weights_bytes))
        return speed is not None and speed >= PLEASANT

    def _why(self, base: BaseFacts, *, fits: bool, memory: int, context: int, most: int) -> str:
        need = f"{size_words(base.weights_bytes)} of weights"
        if base.projector_bytes:
            need += f", {size_words(base.projector_bytes)} to see with"
        if kv_bytes(base, 1):
            need += f" and {size_words(kv_bytes(base, context))} for {context:,} tokens of context"
        if not fits:
            return f"needs {size_words(memory)} ({need}); brains may use {size_words(self.memory)} here"
        if memory > self.free:
            return f"{need}; only {size_words(self.free)} are free now"
        if context < most:
            return f"{need}; more context does not fit into {size_words(self.memory)}"
        return need


def kv_bytes(base: BaseFacts, context: int) -> int:
    """Bytes of the key and value cache at 16 bits for `context` tokens."""
    return 2 * (base.kv_values or 2 * base.layers * base.kv_heads * base.head_dim) * context


def memory_needed(base: BaseFacts, context: int) -> int:
    """Bytes that a worker holds with this base and context."""
    return base.weights_bytes + base.projector_bytes + kv_bytes(base, context) + OVERHEAD


def memory_class(usable: int) -> int:
    """The class of a machine in GB: the largest of 4, 8, 16, 32, 64 that it reaches (firmware takes some of what is sold)."""
    return max((size for size in CLASSES if usable >= size * 10**9 * 0.92), default=CLASSES[0])
