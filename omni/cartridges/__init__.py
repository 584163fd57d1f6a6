"""Brains: what they are made of, where they come from, which of them are here.

    gguf      the header of a model file           manifest   `cartridge.toml`
    loadable  whether the engine can load it       finders    what other programs already have
    library   the index of what is here            ranking    which of several is the best one here
    sources   where `omni pull` takes brains from  exports    brains as plain files in a folder
    pull_jobs pulls, checks and exports as jobs    pull_status  what their events came to

Importing this package is cheap: names are loaded when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omni.cartridges.access import AirlockAccess, Fetcher
    from omni.cartridges.brains import (
        Base,
        Brain,
        BrainAdapter,
        Exported,
        ExportEvent,
        PullDone,
        PullEvent,
        PullProgress,
        PullStarted,
        PullVerifying,
        Unfinished,
        Verified,
        VerifyEvent,
    )
    from omni.cartridges.facts import base_facts, facts_of
    from omni.cartridges.gguf import GgufHeader, read_header
    from omni.cartridges.holds import hold
    from omni.cartridges.library import Library
    from omni.cartridges.library_jobs import LibraryJobs
    from omni.cartridges.manifest import Manifest, load_manifests, manifest_schema, parse_manifest
    from omni.cartridges.naming import EMBEDDER_HINT
    from omni.cartridges.projectors import Projector
    from omni.cartridges.pull_jobs import begin_export, begin_pull, begin_verify
    from omni.cartridges.pull_status import PullState, PullStatus, after
    from omni.cartridges.sources import Access, RemoteFile, Resolved, Source

_WHERE = {
    "Access": "sources",
    "BrainAdapter": "brains",
    "AirlockAccess": "access",
    "Base": "brains",
    "EMBEDDER_HINT": "naming",
    "Brain": "brains",
    "Projector": "projectors",
    "ExportEvent": "brains",
    "Exported": "brains",
    "Fetcher": "access",
    "GgufHeader": "gguf",
    "Library": "library",
    "LibraryJobs": "library_jobs",
    "Manifest": "manifest",
    "PullDone": "brains",
    "PullEvent": "brains",
    "PullProgress": "brains",
    "PullStarted": "brains",
    "PullState": "pull_status",
    "PullStatus": "pull_status",
    "PullVerifying": "brains",
    "RemoteFile": "sources",
    "Resolved": "sources",
    "Source": "sources",
    "Unfinished": "brains",
    "Verified": "brains",
    "VerifyEvent": "brains",
    "after": "pull_status",
    "base_facts": "facts",
    "begin_export": "pull_jobs",
    "begin_pull": "pull_jobs",
    "begin_verify": "pull_jobs",
    "facts_of": "facts",
    "hold": "holds",
    "load_manifests": "manifest",
    "manifest_schema": "manifest",
    "parse_manifest": "manifest",
    "read_header": "gguf",
}

__all__ = [
    "EMBEDDER_HINT",
    "Access",
    "AirlockAccess",
    "Base",
    "Brain",
    "BrainAdapter",
    "ExportEvent",
    "Exported",
    "Fetcher",
    "GgufHeader",
    "Library",
    "LibraryJobs",
    "Manifest",
    "Projector",
    "PullDone",
    "PullEvent",
    "PullProgress",
    "PullStarted",
    "PullState",
    "PullStatus",
    "PullVerifying",
    "RemoteFile",
    "Resolved",
    "Source",
    "Unfinished",
    "Verified",
    "VerifyEvent",
    "after",
    "base_facts",
    "begin_export",
    "begin_pull",
    "begin_verify",
    "facts_of",
    "hold",
    "load_manifests",
    "manifest_schema",
    "parse_manifest",
    "read_header",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    attribute = getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
    globals()[name] = attribute
    return attribute
