"""The types of what the web interface is sent, as TypeScript: written from the very structs that are sent.

`docs.generate` writes `omni/server/web/src/wire.ts` with it, and a test holds the file to what this makes.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import inspect

_PLAIN: dict[type[inspect.Type], str] = {
    inspect.AnyType: "unknown",
    inspect.NoneType: "null",
    inspect.BoolType: "boolean",
    inspect.IntType: "number",
    inspect.FloatType: "number",
    inspect.StrType: "string",
    inspect.BytesType: "string",
}
_HEAD = "// Written by `make docs` from the structs of the server: change those, not this.\n"


def declarations(roots: Iterable[Any], unions: Mapping[str, Any]) -> str:
    """Interfaces for the structs among `roots` and for all that stand in them, by their names, and a type for each of
    `unions`."""
    known: dict[str, str] = {}
    for root in roots:
        _written(inspect.type_info(root), known)
    for name, union in unions.items():
        known[name] = f"export type {name} = {_written(inspect.type_info(union), known)};\n"
    return _HEAD + "".join(f"\n{text}" for _, text in sorted(known.items()))


def _written(kind: inspect.Type, known: dict[str, str]) -> str:
    """The type as it is named where it is used; what it names is added to `known`."""
    if (plain := _PLAIN.get(type(kind))) is not None:
        return plain
    match kind:
        case inspect.Metadata(type=inner):
            return _written(inner, known)
        case inspect.LiteralType(values=values):
            return " | ".join(sorted(map(json.dumps, values)))
        case inspect.UnionType(types=types):
            return " | ".join(_written(each, known) for each in types)
        case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item):
            one = _written(item, known)
            return f"({one})[]" if "|" in one else f"{one}[]"
        case inspect.TupleType(item_types=items):
            return f"[{', '.join(_written(item, known) for item in items)}]"
        case inspect.DictType(value_type=value):
            return f"Record<string, {_written(value, known)}>"
        case inspect.StructType():
            return _struct(kind, known)
    raise TypeError(f"No TypeScript is known for {kind!r}: add it to docs/typescript.py.")


def _struct(kind: inspect.StructType, known: dict[str, str]) -> str:
    name = kind.cls.__name__
    if name not in known:
        known[name] = ""  # before its fields, which may lead back to it
        lines = [f"  {kind.tag_field}: {json.dumps(kind.tag)};\n"] if kind.tag_field else []
        lines += [f"  {field.encode_name}: {_written(field.type, known)};\n" for field in kind.fields]
        known[name] = f"export interface {name} {{\n{''.join(lines)}}}\n"
    return name


def sent() -> list[Any]:
    """All that the pages of the web interface are sent: answers, events of streams, and changes."""
    from omni.server.webapi import routes
    from omni.server.webapi.hub import Change
    from omni.server.webapi.problems import ProblemBody, ProblemEvent

    answers = [kind for route in routes() for kind in (route.response, route.stream) if kind is not None]
    return [*answers, Change, ProblemBody, ProblemEvent]


def wire() -> str:
    """The whole file."""
    from omni.core.events import ChatEvent
    from omni.core.messages import Part
    from omni.server.webapi.problems import ProblemEvent

    return declarations(sent(), {"Part": Part, "TurnEvent": ChatEvent | ProblemEvent})
