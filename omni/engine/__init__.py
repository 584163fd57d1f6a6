"""Running a brain: the protocol of engines, the workers behind it, context that is counted, never guessed.

Importing this package imports none of its modules; a name is loaded when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omni.engine.context import answer_room
    from omni.engine.scripted import Reply, ScriptedEngine
    from omni.engine.types import Adapter, Capabilities, ChatRequest, Engine, Message, Sampling

_PLACES = {
    "Adapter": "types",
    "Capabilities": "types",
    "ChatRequest": "types",
    "Engine": "types",
    "Message": "types",
    "Reply": "scripted",
    "Sampling": "types",
    "ScriptedEngine": "scripted",
    "answer_room": "context",
}

__all__ = [
    "Adapter",
    "Capabilities",
    "ChatRequest",
    "Engine",
    "Message",
    "Reply",
    "Sampling",
    "ScriptedEngine",
    "answer_room",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
