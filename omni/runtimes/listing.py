"""What is known of each runtime, as lists and panes show it."""

import re

import msgspec

from omni.core.errors import OmniError
from omni.hardware import ComputeDevice, GpuUse
from omni.runtimes.choosing import EngineChoice, choose
from omni.runtimes.losses import Moment
from omni.runtimes.registry import Runtimes
from omni.runtimes.runtime import BUILT_IN, BrokenRuntime, Runtime, RuntimeTrial, types_words

_BACKENDS = {"vulkan": "Vulkan", "cuda": "CUDA", "hip": "ROCm", "metal": "Metal", "sycl": "SYCL", "rpc": "RPC"}


class TriedRow(msgspec.Struct, frozen=True, kw_only=True):
    """A trial on this machine, with `what` it was tried, in words. `used`: brains with these types are run by this runtime, and
    `words` why none is, "" where none could be. `rests`: it answered, and its device was lost since."""

    trial: RuntimeTrial
    what: str
    used: bool
    words: str = ""
    rests: bool = False


class RuntimeRow(msgspec.Struct, frozen=True, kw_only=True):
    """One runtime. `reason` is why it cannot be used, or ""; `chosen`: the setting names it; `devices`: what its last trial
    here found beside the processor. `unread`: why nobody can tell here what trials came to, or ""."""

    name: str
    kind: str = ""
    version: str = ""
    source: str = ""
    sha256: str = ""
    reason: str = ""
    unread: str = ""
    chosen: bool = False
    features: tuple[str, ...] = ()
    devices: tuple[ComputeDevice, ...] = ()
    tried: tuple[TriedRow, ...] = ()


def rows(registry: Runtimes, use: str, machine: str, gpu: GpuUse = "auto") -> list[RuntimeRow]:
    """All runtimes, the one that comes with Omni first; `use` and `gpu` are the settings. Blocking for some milliseconds."""
    usable, moment = registry.usable(), Moment.here()
    trials = [(runtime, registry.tried(runtime)) for runtime in usable]
    listed = []
    for runtime, tried in trials:
        here = [trial for trial in tried if trial.machine == machine]
        listed.append(
            RuntimeRow(
                name=runtime.name,
                kind=runtime.kind,
                version=runtime.version,
                source=runtime.source,
                sha256=runtime.sha256,
                unread=_unread(registry, runtime),
                chosen=use == runtime.name,
                features=features(runtime, here),
                devices=_devices(here),
                tried=tuple(
                    _tried_row(trial, runtime, choose(use, trial.types, trials, machine, gpu, moment=moment), moment)
                    for trial in here
                ),
            )
        )
    broken = [one for one in registry.installed() if isinstance(one, BrokenRuntime)]
    return [*listed, *(RuntimeRow(name=one.name, reason=one.reason) for one in broken)]


def _unread(registry: Runtimes, runtime: Runtime) -> str:
    try:
        registry.require_known(runtime)
    except OmniError as error:
        return f"{error.message} {error.hint}"
    return ""


def _tried_row(trial: RuntimeTrial, runtime: Runtime, choice: EngineChoice, moment: Moment) -> TriedRow:
    rests = trial.rests(moment)
    return TriedRow(
        trial=trial,
        what=_where_words(trial, types_words(trial.types)),
        used=trial.passed and not rests and _used(choice, runtime, trial),
        words=trial.lost.rest_words if trial.lost is not None and rests else "" if trial.passed else trial.words,
        rests=rests,
    )


def _used(choice: EngineChoice, runtime: Runtime, trial: RuntimeTrial) -> bool:
    """Whether brains are run as in that trial: by this runtime, and on devices or not."""
    return choice.runtime == runtime.name and bool(choice.devices) == (trial.layers > 0)


def features(runtime: Runtime, trials: list[RuntimeTrial]) -> tuple[str, ...]:
    """What it has beside the processor, by the names of its libraries, and which grammars it keeps and which devices it has, by
    trial."""
    names = " ".join(pin.path.rpartition("/")[2] for pin in runtime.files)
    backends = [title for word, title in _BACKENDS.items() if re.search(rf"ggml-{word}\b\S*\.(so|dylib)", names)]
    keeps = runtime.name == BUILT_IN or any(trial.llguidance for trial in trials)
    grammars = "LLGuidance" if keeps else "llama.cpp's grammars" if any(trial.passed for trial in trials) else ""
    return (*backends, *filter(None, [grammars]), *(device.words for device in _devices(trials)))


def _devices(trials: list[RuntimeTrial]) -> tuple[ComputeDevice, ...]:
    """What the last trial that looked has found."""
    return next((trial.devices for trial in reversed(trials) if trial.looked), ())


def _where_words(trial: RuntimeTrial, words: str) -> str:
    """What was tried, and on what: "Q4_K on Vulkan0"."""
    if not trial.layers:
        return words
    names = {device.name for device in trial.devices}
    return f"{words} on {next(iter(names)) if len(names) == 1 else f'{len(names)} devices'}"
