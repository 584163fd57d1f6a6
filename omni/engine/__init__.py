"""Running a brain: the protocol of engines, the workers behind it, context that is counted, never guessed.

Importing this package imports none of its modules; a name is loaded when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omni.engine.arguments import arguments_of as arguments_of
    from omni.engine.context import completion_limit as completion_limit
    from omni.engine.earlier import NOT_SEEN as NOT_SEEN
    from omni.engine.earlier import NOT_SHOWN as NOT_SHOWN
    from omni.engine.engines import EngineFactory as EngineFactory
    from omni.engine.engines import Engines as Engines
    from omni.engine.images import image_kind as image_kind
    from omni.engine.images import image_of as image_of
    from omni.engine.infill import supports_infill as supports_infill
    from omni.engine.llama import LoadFailed as LoadFailed
    from omni.engine.observed import ObservedEngine as ObservedEngine
    from omni.engine.refusals import NotReady as NotReady
    from omni.engine.requests import adapter_of as adapter_of
    from omni.engine.requests import instructed as instructed
    from omni.engine.requests import sampling_of as sampling_of
    from omni.engine.scripted import Reply as Reply
    from omni.engine.scripted import ScriptedEngine as ScriptedEngine
    from omni.engine.types import Adapter as Adapter
    from omni.engine.types import Capabilities as Capabilities
    from omni.engine.types import ChatRequest as ChatRequest
    from omni.engine.types import CompletionRequest as CompletionRequest
    from omni.engine.types import Embeddings as Embeddings
    from omni.engine.types import Engine as Engine
    from omni.engine.types import Priority as Priority
    from omni.engine.types import Sampling as Sampling
    from omni.engine.types import Tool as Tool
    from omni.engine.worker_engine import WorkerEngine as WorkerEngine

_NAMES = {
    "Adapter": "types",
    "Capabilities": "types",
    "ChatRequest": "types",
    "CompletionRequest": "types",
    "Tool": "types",
    "Embeddings": "types",
    "Engine": "types",
    "EngineFactory": "engines",
    "Engines": "engines",
    "LoadFailed": "llama",
    "NOT_SEEN": "earlier",
    "NOT_SHOWN": "earlier",
    "NotReady": "refusals",
    "ObservedEngine": "observed",
    "Priority": "types",
    "Reply": "scripted",
    "Sampling": "types",
    "ScriptedEngine": "scripted",
    "WorkerEngine": "worker_engine",
    "completion_limit": "context",
    "arguments_of": "arguments",
    "supports_infill": "infill",
    "image_kind": "images",
    "image_of": "images",
    "adapter_of": "requests",
    "instructed": "requests",
    "sampling_of": "requests",
}

__all__ = [
    "NOT_SEEN",
    "NOT_SHOWN",
    "Adapter",
    "Capabilities",
    "ChatRequest",
    "CompletionRequest",
    "Embeddings",
    "Engine",
    "EngineFactory",
    "Engines",
    "LoadFailed",
    "NotReady",
    "ObservedEngine",
    "Priority",
    "Reply",
    "Sampling",
    "ScriptedEngine",
    "Tool",
    "WorkerEngine",
    "adapter_of",
    "arguments_of",
    "completion_limit",
    "image_kind",
    "image_of",
    "instructed",
    "sampling_of",
    "supports_infill",
]


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_NAMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
