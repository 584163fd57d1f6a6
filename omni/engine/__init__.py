"""Running a brain: the protocol of engines, the workers behind it, context that is counted, never guessed.

Importing this package imports none of its modules; a name is loaded when it is first used.
"""

from omni.core.lazy import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from omni.engine._arguments import arguments_of
    from omni.engine._infill import supports_infill
    from omni.engine._observed import ObservedEngine
    from omni.engine._offloading import placed_on
    from omni.engine._requests import adapter_of, instructed, sampling_of
    from omni.engine._worker_engine import WorkerEngine
    from omni.engine.context import completion_limit
    from omni.engine.earlier import NOT_SEEN, NOT_SHOWN
    from omni.engine.embeddings import unit_vector
    from omni.engine.engines import EngineFactory, Engines
    from omni.engine.http import WorkerClient
    from omni.engine.images import image_kind, image_of
    from omni.engine.llama import BATCH, LoadFailed
    from omni.engine.refusals import NotReady
    from omni.engine.scripted import Reply, ScriptedEngine
    from omni.engine.tool_calls import CallUnfinished
    from omni.engine.trials import is_tried_with, to_try
    from omni.engine.types import (
        Adapter,
        Capabilities,
        ChatRequest,
        CompletionRequest,
        Embeddings,
        Engine,
        Priority,
        Relevances,
        Sampling,
        Tool,
    )

__getattr__, __dir__ = lazy(
    __name__,
    _arguments="arguments_of",
    context="completion_limit",
    earlier="NOT_SEEN NOT_SHOWN",
    embeddings="unit_vector",
    engines="EngineFactory Engines",
    http="WorkerClient",
    images="image_kind image_of",
    _infill="supports_infill",
    llama="BATCH LoadFailed",
    _observed="ObservedEngine",
    _offloading="placed_on",
    refusals="NotReady",
    _requests="adapter_of instructed sampling_of",
    scripted="Reply ScriptedEngine",
    tool_calls="CallUnfinished",
    trials="is_tried_with to_try",
    types="Adapter Capabilities ChatRequest CompletionRequest Embeddings Engine Priority Relevances Sampling Tool",
    _worker_engine="WorkerEngine",
)
