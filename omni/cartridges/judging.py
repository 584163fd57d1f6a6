"""In what state a base is: what its files, its header and what happened to it say together."""

import os
from pathlib import Path

import msgspec

from omni.cartridges._unreadable import why_unreadable
from omni.cartridges.brains import Base, State
from omni.cartridges.gguf import GgufHeader
from omni.cartridges.index import BaseRecord
from omni.cartridges.loadable import obstacle

_KINDS = {
    "embedding": "an embedding model: it turns text into numbers and cannot answer",
    "reranker": "a reranker: it says how well texts answer a question, and cannot answer itself",
    "adapter": "an adapter: it needs the model that it was trained on",
    "mmproj": "the eyes of another model, not a model by itself",
    "other": "no language model",
}
_LOADED = ("model", "embedding", "reranker")  # kinds that a worker may be asked to load


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What state a base is in, why, and what to type against it. `foreign`: its form is one of another program's engine."""

    state: State
    reason: str = ""
    command: str = ""
    foreign: bool = False


def judge(record: BaseRecord) -> Verdict:
    """The state of a base now; looks at its files, opens none."""
    base = record.base
    if verdict := _missing(base):
        return verdict
    if record.corrupt:
        command = "omni pull" if base.origin == "blob" else ""
        return Verdict(state="corrupt", reason=record.corrupt, command=command)
    if record.unloadable and base.header.kind in _LOADED:
        return Verdict(state="unloadable", reason=record.unloadable)
    verdict = judge_header(base.header, base.template, loaded=record.ready)
    return verdict or Verdict(state="ready" if record.ready else "installed")


def judge_header(header: GgufHeader, template: str | None, *, loaded: bool = False) -> Verdict | None:
    """What keeps a model from answering that its header already tells, or None. `template` is used instead of its own;
    `loaded`: a worker has loaded it, and knows better than our tables."""
    if header.kind in _LOADED and not loaded and (problem := obstacle(header, template)) is not None:
        return Verdict(state="unloadable", reason=problem.reason, foreign=problem.foreign)
    if header.kind != "model":
        return Verdict(state="not chat", reason=_KINDS[header.kind])
    if not template and not header.chat_template:
        return Verdict(
            state="not chat", reason="it has no chat template: a base model, or one that was never taught to answer"
        )
    return None


def _missing(base: Base) -> Verdict | None:
    size = 0
    for part in base.parts:
        try:
            size += Path(part).stat().st_size
        except PermissionError:
            return _denied(Path(part))
        except OSError:
            if denied := why_unreadable(Path(part)):
                return Verdict(state="unreadable", reason=denied.reason, command=denied.command)
            return Verdict(state="gone", reason=f"the file {part} is not there any more")
        if not os.access(part, os.R_OK):
            return _denied(Path(part))
    if size != base.size:
        if base.origin == "blob":
            return Verdict(
                state="corrupt", reason=f"its file has {size:,} bytes instead of {base.size:,}", command="omni pull"
            )
        return Verdict(state="gone", reason=f"the file {base.path} was replaced by another; look around again")
    return None


def _denied(path: Path) -> Verdict:
    denied = why_unreadable(path)
    return Verdict(
        state="unreadable",
        reason=denied.reason if denied else f"{path} may not be read",
        command=denied.command if denied else "",
    )
