"""Brains: what they are made of, where they come from, which of them are here.

    gguf      the header of a model file           manifest   `cartridge.toml`
    loadable  whether the engine can load it       finders    what other programs already have
    library   the index of what is here            ranking    which of several is the best one here
    sources   where `omni pull` takes brains from  exports    brains as plain files in a folder
    pull_jobs pulls, checks and exports as jobs    pull_status  what their events came to

Importing this package is cheap: names are loaded when they are first used.
"""

from omni.core.lazy import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from omni.cartridges._access import AirlockAccess, Fetcher
    from omni.cartridges._facts import base_facts, facts_of, offload_facts
    from omni.cartridges._library import Library
    from omni.cartridges._library_jobs import LibraryJobs
    from omni.cartridges._naming import EMBEDDER_HINT, RERANKER_HINT
    from omni.cartridges._pull_jobs import KEPT, begin_export, begin_pull, begin_verify
    from omni.cartridges._pull_status import PullState, PullStatus, after
    from omni.cartridges.brains import (
        MADE,
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
    from omni.cartridges.gguf import GgufHeader, Tensor, read_header, read_tensors, read_vocabulary
    from omni.cartridges.grids import was_quantised
    from omni.cartridges.holds import hold, making
    from omni.cartridges.inspection import stamp
    from omni.cartridges.manifest import Manifest, manifest_files, manifest_schema, parse_manifest
    from omni.cartridges.projectors import Projector
    from omni.cartridges.sources import Access, RemoteFile, Resolved, Source

__getattr__, __dir__ = lazy(
    __name__,
    _access="AirlockAccess Fetcher",
    brains="Base MADE Brain BrainAdapter ExportEvent Exported PullDone PullEvent PullProgress PullStarted PullVerifying "
    "Unfinished Verified VerifyEvent",
    _facts="base_facts facts_of offload_facts",
    gguf="GgufHeader Tensor read_header read_tensors read_vocabulary",
    grids="was_quantised",
    holds="hold making",
    inspection="stamp",
    _library="Library",
    _library_jobs="LibraryJobs",
    manifest="Manifest manifest_files manifest_schema parse_manifest",
    _naming="EMBEDDER_HINT RERANKER_HINT",
    projectors="Projector",
    _pull_jobs="KEPT begin_export begin_pull begin_verify",
    _pull_status="PullState PullStatus after",
    sources="Access RemoteFile Resolved Source",
)
