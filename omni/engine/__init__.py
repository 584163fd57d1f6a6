"""Running a brain: the protocol of engines, the workers behind it, context that is counted, never guessed.

Importing this package imports none of its modules; a name is loaded when it is first used.
"""

from omni.core.lazy import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from omni.engine.arguments import arguments_of
    from omni.engine.context import completion_limit
    from omni.engine.earlier import NOT_SEEN, NOT_SHOWN
    from omni.engine.engines import EngineFactory, Engines
    from omni.engine.images import image_kind, image_of
    from omni.engine.infill import supports_infill
    from omni.engine.llama import LoadFailed
    from omni.engine.observed import ObservedEngine
    from omni.engine.refusals import NotReady
    from omni.engine.requests import adapter_of, instructed, sampling_of
    from omni.engine.scripted import Reply, ScriptedEngine
    from omni.engine.types import (
        Adapter,
        Capabilities,
        ChatRequest,
        CompletionRequest,
        Embeddings,
        Engine,
        Priority,
        Sampling,
        Tool,
    )
    from omni.engine.worker_engine import WorkerEngine

__getattr__, __dir__ = lazy(
    __name__,
    arguments="arguments_of",
    context="completion_limit",
    earlier="NOT_SEEN NOT_SHOWN",
    engines="EngineFactory Engines",
    images="image_kind image_of",
    infill="supports_infill",
    llama="LoadFailed",
    observed="ObservedEngine",
    refusals="NotReady",
    requests="adapter_of instructed sampling_of",
    scripted="Reply ScriptedEngine",
    types="Adapter Capabilities ChatRequest CompletionRequest Embeddings Engine Priority Sampling Tool",
    worker_engine="WorkerEngine",
)
