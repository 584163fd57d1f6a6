"""What a brain is, and what happens while one is fetched: frozen values that every front end shows the same way."""

from typing import Any, Literal

import msgspec

from omni.cartridges.gguf import GgufHeader, Kind
from omni.cartridges.manifest import Feature, Makes, Manifest
from omni.cartridges.projectors import Projector
from omni.core.events import Event

Origin = Literal["blob", "file", "ollama", "lm studio", "hugging face", "llama.cpp", "gpt4all", "jan", "folder"]
State = Literal["ready", "installed", "available", "gone", "unreadable", "unloadable", "not chat", "corrupt"]
FEATURES: dict[Feature, str] = {
    "tools": "calls tools",
    "thinking": "thinks",
    "vision": "sees images",
    "mtp": "drafts ahead (MTP)",
}
_BRIEFLY: dict[Feature, str] = {"tools": "tools", "thinking": "thinks", "vision": "sees images", "mtp": "MTP"}
MADE: dict[Makes, str] = {"answers": "", "vectors": "vectors of texts", "ranks": "ranks texts"}
UNQUANTISED = ("F32", "F16", "BF16")
USABLE: tuple[State, ...] = ("ready", "installed")


class Base(msgspec.Struct, frozen=True, kw_only=True):
    """The GGUF that brains stand on. Brains with the same `id` share one loaded model.

    `id` is `sha256-HEX` where the content is known, else `file-HEX` made of path, size and time. `parts` holds every
    file of a model in several, in order; `path` is the first and what an engine opens. `template` is a Jinja chat
    template to use instead of what the file carries (None: the file's own). `parameters` are sampling defaults under
    the names of the manifest's `[sampling]`. `projector` is the projector that it sees with; `blind` says why one that lies
    beside it is not used.
    """

    id: str
    path: str
    parts: tuple[str, ...]
    size: int
    header: GgufHeader
    origin: Origin
    sha256: str | None = None
    template: str | None = None
    parameters: dict[str, Any] = {}
    projector: Projector | None = None
    blind: str = ""


class BrainAdapter(msgspec.Struct, frozen=True, kw_only=True):
    """A LoRA that a brain puts on its base."""

    path: str
    scale: float = 1.0
    sha256: str | None = None


class Brain(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the list of brains.

    state   "ready": a worker has loaded it; "installed": the file is there, none has loaded it yet; "available": can
            be pulled; "gone": the file went away; "unreadable", "unloadable", "not chat", "corrupt": see `reason`
    reason  what is wrong, in a sentence; `command` is what a person can type against it
    size    bytes on disk; before a pull what the manifest says, an estimate when `size_is_estimate`
    context  tokens to ask for, whatever the settings say; 0: as they say. Brains on one base have the same
    shares  the name of the brain whose base this one borrows, or ""
    base_title  what people call its base; a file's own name for it where no manifest says better
    verified  in words, for people: whether and by whom the hash was checked
    features  what it can, in the order of FEATURES: by its file, where that tells, else by its manifest
    makes     what it is for
    tried     whether Omni's makers have loaded and asked it, for a shipped cartridge; None for what others made
    """

    name: str
    state: State
    title: str = ""
    summary: str = ""
    good_for: str = ""
    manifest: Manifest | None = None
    base: Base | None = None
    base_title: str = ""
    reason: str = ""
    command: str = ""
    origin: str = ""
    size: int = 0
    size_is_estimate: bool = False
    licence: str = ""
    context_max: int = 0
    context: int = 0
    adapter: BrainAdapter | None = None
    prompt: str = ""
    sampling: dict[str, Any] = {}
    quantisation: str = ""
    memory_class: int = 0
    starter: bool = False
    shares: str = ""
    verified: str = ""
    features: tuple[Feature, ...] = ()
    makes: Makes = "answers"
    tried: bool | None = None

    @property
    def about(self) -> str:
        """What it is good for, in a few words for a list, with what it can."""
        good = self.good_for or self.title
        if self.makes != "answers":
            return f"{MADE[self.makes]}{f' ({good})' if good else ''}"
        more = [_BRIEFLY[each] for each in self.features if _BRIEFLY[each] not in good]
        return ", ".join(filter(None, (good, *more)))

    @property
    def can(self) -> str:
        """What it can, and whether that was tried, as a sentence or two; "" where nobody says."""
        words = ", ".join(FEATURES[each] for each in self.features) or MADE[self.makes]
        said = f"{words[:1].upper()}{words[1:]}." if words else ""
        return f"{said} Not tried by us.".lstrip() if self.tried is False else said

    @property
    def usable(self) -> bool:
        """Whether it can be asked now."""
        return self.state in USABLE

    @property
    def embeds(self) -> bool:
        """Whether it was made for vectors of texts: it can be asked for them, and for nothing else."""
        return self._made_for("embedding")

    @property
    def reranks(self) -> bool:
        """Whether it was made to say how well texts answer a question: it can be asked for that, and for nothing else."""
        return self._made_for("reranker")

    @property
    def askable(self) -> bool:
        """Whether it can be asked for anything now: answers, vectors, or ranks."""
        return self.usable or self.embeds or self.reranks

    def _made_for(self, kind: Kind) -> bool:
        return self.state == "not chat" and self.base is not None and self.base.header.kind == kind

    @property
    def unquantised(self) -> bool:
        """Whether its weights have 16 bits or more, so that it can be made smaller without losing twice."""
        return self.quantisation in UNQUANTISED

    @property
    def vision(self) -> bool:
        """Whether it can be shown images."""
        return self.base is not None and self.base.projector is not None


class PullStarted(Event, frozen=True, kw_only=True):
    """`size` in bytes of what comes, None when the other side does not say; `parts` downloads make one brain."""

    brain: str
    size: int | None
    parts: int = 1


class PullProgress(Event, frozen=True, kw_only=True):
    """Bytes that are here of all; `rate` in bytes per second, `seconds_left` None while nobody can tell."""

    done: int
    total: int | None
    rate: float = 0.0
    seconds_left: float | None = None
    what: str = ""


class PullVerifying(Event, frozen=True, kw_only=True):
    """Bytes of the file whose hash was computed."""

    done: int
    total: int


class PullDone(Event, frozen=True, kw_only=True):
    """The brain is installed; `fresh` is false when it was there already. `remark`: what of the request came to nothing, and was
    only known by what came."""

    brain: Brain
    fresh: bool = True
    remark: str = ""


class Verified(Event, frozen=True, kw_only=True):
    """The end of a verification: `ok` false means that the file is not what it was; `detail` says which hash."""

    brain: str
    ok: bool
    detail: str


class Exported(Event, frozen=True, kw_only=True):
    """The end of an export: the brains and their list lie in `folder`."""

    folder: str


PullEvent = PullStarted | PullProgress | PullVerifying | PullDone
VerifyEvent = PullVerifying | Verified
ExportEvent = PullProgress | Exported


class Unfinished(msgspec.Struct, frozen=True, kw_only=True):
    """What an interrupted pull left; pulling the same name goes on from there."""

    name: str
    size: int
    path: str


def licence_name(text: str) -> str:
    """A licence as people write it; "" when it is not known."""
    known = {
        "apache-2.0": "Apache-2.0",
        "mit": "MIT",
        "llama3": "Llama 3",
        "llama3.1": "Llama 3.1",
        "llama3.2": "Llama 3.2",
        "llama3.3": "Llama 3.3",
        "gemma": "Gemma",
        "cc-by-nc-4.0": "CC-BY-NC-4.0",
        "cc-by-4.0": "CC-BY-4.0",
        "bsd-3-clause": "BSD-3-Clause",
        "other": "other",
    }
    return known.get(text.strip().lower(), text.strip())
