"""What is told of a quantisation while it goes on, and what is known of it afterwards: the values of its report."""

from typing import Literal

import msgspec

from omni.core.events import Event
from omni.runtimes.quality import Divergence, Perplexity, TensorGroup

Target = Literal["Q4_K_M", "Q5_K_M", "Q8_0", "auto"]
Step = Literal["predict", "weigh", "measure before", "quantise", "measure after", "keep"]


class QuantisedSource(msgspec.Struct, frozen=True, kw_only=True):
    """What it was made of. `lost` says in words what was lost before already; "" where nothing is known of that."""

    brain: str
    path: str
    quantisation: str
    size: int
    lost: str = ""


class HeldText(msgspec.Struct, frozen=True, kw_only=True):
    """What quality was measured on; `own`: the brain's cartridge names it, else it comes with Omni."""

    path: str
    sha256: str
    own: bool


class QuantisationReport(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one quantisation. Sizes in bytes; `memory` is what a worker takes with `context` tokens. `before` and `after`
    are None where the source does not fit into memory, and `unmeasured` then says so. `commands` give the same figures again."""

    name: str
    source: QuantisedSource
    target: str
    size: int
    memory: int
    context: int
    weighed_by: str = ""
    text: HeldText
    before: Perplexity | None = None
    after: Perplexity | None = None
    divergence: Divergence | None = None
    unmeasured: str = ""
    tensors: tuple[TensorGroup, ...] = ()
    engine: str = ""
    commands: tuple[str, ...] = ()
    seconds: dict[str, float] = {}
    format: int = 1


class QuantiseStarted(Event, frozen=True, kw_only=True):
    """What will be made: bytes of the file, bytes of memory with `context` tokens; `fits`: into this machine."""

    name: str
    source: QuantisedSource
    target: str
    size: int
    memory: int
    context: int
    fits: bool


class QuantiseProgress(Event, frozen=True, kw_only=True):
    """How far a step is: tensors of a quantisation, pieces of a text, bytes that are kept."""

    step: Step
    done: int = 0
    total: int = 0


class QuantiseDone(Event, frozen=True, kw_only=True):
    """The brain is in the library; the report lies at `path`."""

    report: QuantisationReport
    path: str


QuantiseEvent = QuantiseStarted | QuantiseProgress | QuantiseDone
