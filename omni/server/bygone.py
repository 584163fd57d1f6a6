"""Messages of a history that are no messages of their protocol. What was answered already must not refuse a request: each
becomes the nearest that is one. Only what does not convert is looked at, message by message."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from omni.server.parts import new_from, words_of

_HISTORIES = ("messages", "input")  # what protocols call it
_TRIES = 16  # places of one message that are mended; one that is still none then becomes words as a whole
_PLACE = re.compile(r" - at `\$(?P<place>.*)`\Z", re.DOTALL)
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]")
_ROLES = {"model": "assistant", "ai": "assistant", "human": "user"}  # as Gemini and LangChain call them
_RESULTS = ("tool", "function")


def bygone(body: Any, kind: type) -> bool:
    """Whether what was answered already in a request's history was mended, so that it is of `kind`'s messages."""
    if not isinstance(body, dict):
        return False
    for name in _HISTORIES:
        messages, wanted = body.get(name), _item_of(kind, name)
        if isinstance(messages, list) and wanted is not None:
            new = new_from([_speaks(message, last=at == len(messages) - 1) for at, message in enumerate(messages)])
            body[name] = list(_read(messages, new, wanted))
            return True
    return False


def _read(messages: Sequence[Any], new: int, kind: type) -> Iterator[Any]:
    for at, message in enumerate(messages):
        if at >= new and not _is_result(message):
            yield message
        elif (mended := _readable(message, kind)) is not None:
            yield mended


def _item_of(kind: type, name: str) -> type | None:
    """The struct that a list of messages holds; None where a request has no such list."""
    info = msgspec.inspect.type_info(kind)
    for field in info.fields if isinstance(info, msgspec.inspect.StructType) else ():
        if field.name == name:
            kinds = field.type.types if isinstance(field.type, msgspec.inspect.UnionType) else (field.type,)
            for each in kinds:
                if isinstance(each, msgspec.inspect.ListType) and isinstance(
                    each.item_type, msgspec.inspect.StructType
                ):
                    return each.item_type.cls
    return None


def _readable(message: Any, kind: type) -> Any:
    """The nearest message; None for what says nothing."""
    if not isinstance(message, dict):
        return {"role": "user", "content": words_of(message)} if message else None
    for _ in range(_TRIES):
        try:
            msgspec.convert(message, kind)
        except msgspec.ValidationError as error:
            _mend(message, str(error))
        else:
            return message
    return {"role": "user", "content": words_of(message)}


def _mend(message: dict[str, Any], complaint: str) -> None:
    """Mend the place that a complaint names."""
    found = _PLACE.search(complaint)
    way: list[Any] = [name or int(number) for name, number in _STEP.findall(found["place"])] if found else []
    match way:
        case []:  # what every message must have is missing
            message["role"] = _guessed(message)
        case ["role"]:
            message["role"] = _guessed(message)
        case ["content"]:
            message["content"] = words_of(message["content"])
        case ["content", int(at), *_]:
            part = message["content"][at]
            message["content"][at : at + 1] = [words_of(part)] if part not in (None, {}, []) else []
        case _:
            _replace(message, way)


def _replace(message: dict[str, Any], way: Sequence[Any]) -> None:
    """A number where a text stands becomes one, as in ids; anything else is left out."""
    inside: Any = message
    for step in way[:-1]:
        inside = inside[step]
    value = inside[way[-1]]
    if isinstance(value, int | float) and not isinstance(value, bool):
        inside[way[-1]] = json.dumps(value)
    else:
        del inside[way[-1]]


def _guessed(message: dict[str, Any]) -> str:
    if (known := _ROLES.get(str(message.get("role")))) is not None:
        return known
    if message.get("tool_calls"):
        return "assistant"
    return "tool" if message.get("tool_call_id") and "role" not in message else "user"


def _speaks(message: Any, *, last: bool) -> bool:
    """Whether an assistant says this, and it is not to be gone on with."""
    if not isinstance(message, dict):
        return False
    kind, calls = str(message.get("type") or ""), bool(message.get("tool_calls"))
    role = _ROLES.get(str(message.get("role")), message.get("role"))
    return kind == "reasoning" or kind.endswith("_call") or calls or (role == "assistant" and not last)


def _is_result(message: Any) -> bool:
    if not isinstance(message, dict):
        return False
    return message.get("role") in _RESULTS or str(message.get("type") or "").endswith("_output")
