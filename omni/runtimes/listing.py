"""What is known of each runtime, as lists and panes show it."""

import re

import msgspec

from omni.runtimes.choosing import choose
from omni.runtimes.registry import Runtimes
from omni.runtimes.runtime import BUILT_IN, BrokenRuntime, Runtime, RuntimeTrial

_BACKENDS = {"vulkan": "Vulkan", "cuda": "CUDA", "hip": "ROCm", "metal": "Metal", "sycl": "SYCL", "rpc": "RPC"}
_PLAIN = ("F32", "F16", "BF16")


class TriedRow(msgspec.Struct, frozen=True, kw_only=True):
    """A trial on this machine. `used`: brains with these types are run by this runtime."""

    trial: RuntimeTrial
    used: bool


class RuntimeRow(msgspec.Struct, frozen=True, kw_only=True):
    """One runtime. `reason` is why it cannot be used, or ""; `chosen`: the setting names it."""

    name: str
    kind: str = ""
    version: str = ""
    source: str = ""
    sha256: str = ""
    reason: str = ""
    chosen: bool = False
    features: tuple[str, ...] = ()
    tried: tuple[TriedRow, ...] = ()


def rows(registry: Runtimes, use: str, machine: str) -> list[RuntimeRow]:
    """All runtimes, the one that comes with Omni first; `use` is the setting. Blocking for some milliseconds."""
    usable = registry.usable()
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
                chosen=use == runtime.name,
                features=features(runtime, here),
                tried=tuple(
                    TriedRow(trial=trial, used=choose(use, trial.types, trials, machine).runtime == runtime.name)
                    for trial in here
                ),
            )
        )
    broken = [one for one in registry.installed() if isinstance(one, BrokenRuntime)]
    return [*listed, *(RuntimeRow(name=one.name, reason=one.reason) for one in broken)]


def features(runtime: Runtime, trials: list[RuntimeTrial]) -> tuple[str, ...]:
    """What it has beside the processor, by the names of its libraries, and whether it keeps Omni's grammars, by trial."""
    names = " ".join(pin.path.rpartition("/")[2] for pin in runtime.files)
    backends = [title for word, title in _BACKENDS.items() if re.search(rf"ggml-{word}\b", names)]
    keeps = runtime.name == BUILT_IN or any(trial.llguidance for trial in trials)
    return (*backends, *(["LLGuidance"] if keeps else []))


def types_words(types: tuple[str, ...]) -> str:
    """Types as a person says them: those of what is quantised, where anything is."""
    named = [one for one in types if one not in _PLAIN] or list(types)
    return " and ".join(filter(None, [", ".join(named[:-1]), named[-1]])) if named else ""
