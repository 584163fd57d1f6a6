"""Messages of a history that are no messages of their protocol. What was answered already must not refuse a request: each
becomes the nearest that is one. Only a body that does not convert is looked at, and only so much of it is mended."""

import json
import re
from collections.abc import Iterator
from itertools import takewhile
from typing import Any, Protocol, cast

import msgspec
from msgspec import inspect

from omni.server.parts import new_from, words_of

MOST = 20_000  # places of one body that are mended; messages that are still none are left out then
_HISTORIES = ("messages", "input")  # what protocols call it
_NOTHING = {"role": "system"}  # stands in the place of a message that says nothing, so that others keep their numbers
_ROLES = {"model": "assistant", "ai": "assistant", "human": "user"}  # as Gemini and LangChain call them
_FIELD = re.compile(r"\.(\w+)")


class Spoken(Protocol):
    """What a protocol's message tells of itself."""

    def speaks(self, *, last: bool) -> bool:
        """Whether an assistant says it, and it is not to be gone on with."""

    @property
    def happened(self) -> bool:
        """Whether it is what happened, wherever it stands."""


def repair_history(body: Any, kind: type) -> bool:
    """Whether `body` has the history of a request of this `kind`; what was answered already in it is then of its messages."""
    for name in _HISTORIES if isinstance(body, dict) else ():
        if isinstance(messages := body.get(name), list) and (wanted := _item_of(kind, name)) is not None:
            body[name] = list(_Repair(wanted).history(messages))
            return True
    return False


def _item_of(kind: type, name: str) -> type[msgspec.Struct] | None:
    """The struct that a field holds lists of; None where there is no such field."""
    for field in cast("inspect.StructType", inspect.type_info(kind)).fields:
        for each in _one_of(field.type) if field.name == name else ():
            for item in _one_of(each.item_type) if isinstance(each, inspect.ListType) else ():
                if isinstance(item, inspect.StructType):
                    return item.cls
    return None


def _one_of(kind: inspect.Type) -> tuple[inspect.Type, ...]:
    return kind.types if isinstance(kind, inspect.UnionType) else (kind,)


class _Repair:
    """Mends messages of one kind, up to so many places."""

    def __init__(self, kind: type[msgspec.Struct]) -> None:
        self._kind, self._left = kind, MOST
        self._parts, self._calls = _item_of(kind, "content"), _item_of(kind, "tool_calls")
        self._roles = _literals(inspect.type_info(kind), "role")

    def history(self, messages: list[Any]) -> Iterator[Any]:
        """The messages, those of them readable that were answered already."""
        read = [self._readable(message) for message in messages]
        last = len(read) - 1
        new = new_from([said is not None and said.speaks(last=at == last) for at, (_, said) in enumerate(read)])
        for at, (mended, said) in enumerate(read):
            if at >= new and not (said is not None and said.happened):
                yield self._with_results(messages[at])
            elif said is not None:
                yield mended

    def _readable(self, message: Any) -> tuple[Any, Spoken | None]:
        """The nearest message, and what it is; None where no more is mended."""
        if not isinstance(message, dict) and not self._left:
            return message, None
        if not isinstance(message, dict):
            message = {"role": "user", "content": self._words(message)} if message else _NOTHING
        for _ in self._kind.__struct_fields__:
            try:
                return message, cast("Spoken", msgspec.convert(message, self._kind))
            except msgspec.ValidationError as error:
                if not self._left:
                    break
                self._left -= 1
                field = _FIELD.match(str(error).rpartition(" - at `$")[2])
                message = self._mended(dict(message), field[1] if field else "role")
        return message, None

    def _mended(self, message: dict[str, Any], field: str) -> dict[str, Any]:
        """A copy of a message whose `field` is wrong or missing."""
        value = message.get(field)
        match field:
            case "role":
                message["role"] = self._role(message)
                if not message.keys() & set(self._kind.__struct_fields__) - {"role", "type", "name"}:
                    message["content"] = words_of({key: each for key, each in message.items() if key != "role"})
            case "content" if isinstance(value, list) and self._parts is not None:
                parts = map(self._part, takewhile(lambda _: self._left, value))
                message["content"] = [part for part in parts if part is not None]
            case "content" | "refusal":
                message[field] = words_of(value)
            case "tool_calls" if value:
                message[field] = [self._call(call) for call in (value if isinstance(value, list) else [value]) if call]
            case "function_call":
                message[field] = self._call({"function": value})["function"]
            case _:
                _replace(message, field)
        return message

    def _role(self, message: dict[str, Any]) -> str:
        said = str(message.get("role") or "").strip().lower()
        if not said:
            said = "assistant" if message.get("tool_calls") else "tool" if message.get("tool_call_id") else "user"
        said = _ROLES.get(said, said)
        return said if said in self._roles else "user"

    def _part(self, part: Any) -> Any:
        """The nearest part; None for one that says nothing. A field that is no text and no number may be what it says, so
        that the whole of it becomes words."""
        if isinstance(part, str):
            return part
        if part in (None, {}, []) or not isinstance(part, dict) or self._parts is None:
            return self._words(part) if part not in (None, {}, []) else None
        repaired = part
        for _ in self._parts.__struct_fields__:
            try:
                msgspec.convert(repaired, self._parts)
            except msgspec.ValidationError as error:
                if not self._left:
                    return part
                self._left -= 1
                field = _FIELD.match(str(error).rpartition(" - at `$")[2])
                if field is None or field[1] == "type" or isinstance(repaired[field[1]], dict | list):
                    break
                repaired = dict(repaired)
                _replace(repaired, field[1])
            else:
                return repaired
        return words_of(part)

    def _words(self, value: Any) -> Any:
        """A value as words; itself where no more is mended."""
        if not self._left:
            return value
        self._left -= 1
        return words_of(value)

    def _call(self, call: Any) -> Any:
        """The nearest call. What is none becomes the arguments of one without a name."""
        try:
            msgspec.convert(call, self._calls or dict)
        except msgspec.ValidationError:
            if not self._left:
                return call
            self._left -= 1
        else:
            return call
        if not isinstance(call, dict):
            return {"function": {"arguments": call}}
        inside = call.get("function")
        called = inside if isinstance(inside, dict) else call
        name = inside if isinstance(inside, str) and inside.isidentifier() else called.get("name")
        arguments = called.get("arguments", called.get("input"))
        if arguments is None and isinstance(inside, str) and name != inside:
            arguments = inside
        given = {"name": name if isinstance(name, str) else None, "arguments": arguments}
        ident = call.get("id")
        return {"id": str(ident) if isinstance(ident, str | int) else None, "function": given}

    def _with_results(self, message: Any) -> Any:
        """A new message; results among what a user says, as Anthropic's clients send them, are what happened."""
        content = message.get("content") if isinstance(message, dict) else None
        if not isinstance(content, list):
            return message
        return message | {"content": [self._part(part) if _is_result(part) else part for part in content]}


def _literals(kind: inspect.Type, name: str) -> tuple[Any, ...]:
    """The values that a field of a struct may have."""
    for field in cast("inspect.StructType", kind).fields:
        for each in _one_of(field.type) if field.name == name else ():
            if isinstance(each, inspect.LiteralType):
                return each.values
    return ()


def _replace(inside: dict[str, Any], field: str) -> None:
    """A number where a text stands becomes one, as in ids; anything else is left out."""
    value = inside.get(field)
    if isinstance(value, int | float) and not isinstance(value, bool):
        inside[field] = json.dumps(value)
    else:
        inside.pop(field, None)


def _is_result(part: Any) -> bool:
    return isinstance(part, dict) and str(part.get("type")).endswith("tool_result")
