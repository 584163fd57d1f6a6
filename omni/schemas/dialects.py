"""Which draft of JSON Schema a schema is written in, and in plain words what is wrong with one that is none."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from omni.schemas._errors import SchemaRefused

if TYPE_CHECKING:
    from jsonschema_rs import ValidationError

DRAFTS = {  # the newest first
    "https://json-schema.org/draft/2020-12/schema": 2020,
    "https://json-schema.org/draft/2019-09/schema": 2019,
    "http://json-schema.org/draft-07/schema#": 7,
    "http://json-schema.org/draft-06/schema#": 6,
    "http://json-schema.org/draft-04/schema#": 4,
}
_NEVER = 9999
_KNOWN = {  # the first draft that knows a keyword, and the first that does not any more; all know what is not here
    **dict.fromkeys(("const", "contains", "propertyNames"), (6, _NEVER)),
    **dict.fromkeys(("if", "then", "else"), (7, _NEVER)),
    **dict.fromkeys(
        (
            "dependentRequired", "dependentSchemas", "unevaluatedItems", "unevaluatedProperties", "minContains",
            "maxContains", "$anchor",
        ),
        (2019, _NEVER),
    ),
    "additionalItems": (4, 2020),
    "prefixItems": (2020, _NEVER),
    **dict.fromkeys(("$dynamicRef", "$dynamicAnchor"), (2020, _NEVER)),
    **dict.fromkeys(("$recursiveRef", "$recursiveAnchor"), (2019, 2020)),
    # What is in a text, which newer drafts only note, and the proof would look at in some older ones.
    **dict.fromkeys(("contentEncoding", "contentMediaType"), (_NEVER, _NEVER)),
}  # fmt: skip
MAPS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies")
_SCHEMA = "a schema, which is an object, true or false"
_OPEN = {"exclusiveMinimum": "minimum", "exclusiveMaximum": "maximum"}
_WANTED = {
    "type": "one of null, boolean, integer, number, string, array and object, or a list of some, each once",
    "enum": "a list of values",
    "required": "a list of names, each once",
    "pattern": "a regular expression",
    "uniqueItems": "true or false",
    "multipleOf": "a number above 0",
    "dependentRequired": "an object of lists of names",
    "dependencies": "an object of lists of names and of schemas",
    **dict.fromkeys(("$ref", "$id", "id", "$anchor", "format", "title", "description", "$comment"), "a text"),
    **dict.fromkeys(("minimum", "maximum"), "a number"),
    **dict.fromkeys(_OPEN, "a number"),
    **dict.fromkeys(
        (
            "minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties", "minContains",
            "maxContains",
        ),
        "a whole number from 0 up",
    ),
    **dict.fromkeys(("allOf", "anyOf", "oneOf", "prefixItems"), "a list of schemas, at least one"),
    **dict.fromkeys(("properties", "patternProperties", "$defs", "definitions", "dependentSchemas"), "an object of schemas"),
    **dict.fromkeys(
        (
            "items", "additionalItems", "contains", "unevaluatedItems", "additionalProperties", "propertyNames",
            "unevaluatedProperties", "not", "if", "then", "else",
        ),
        _SCHEMA,
    ),
}  # fmt: skip


def is_known(keyword: str, draft: int) -> bool:
    """Whether a draft knows a keyword, if any does; else it is a note for people there."""
    first, end = _KNOWN.get(keyword, (4, _NEVER))
    return first <= draft < end


def dialect_of(root: dict[str, Any] | bool) -> tuple[int, str]:
    """The draft that `$schema` names, else the newest of which it is a schema; and its address. Raises SchemaRefused."""
    from jsonschema_rs import ValidationError, meta

    newest = next(iter(DRAFTS))
    if isinstance(root, bool):
        return DRAFTS[newest], newest
    said = root.get("$schema")
    named = next((one for one in DRAFTS if isinstance(said, str) and one.rstrip("#") == said.rstrip("#")), None)
    for address in [named] if named else DRAFTS:
        if meta.is_valid({**root, "$schema": address}):
            return DRAFTS[address], address
    try:
        meta.validate({**root, "$schema": named or newest})
    except ValidationError as error:
        raise no_schema(error, named or newest) from error
    raise AssertionError(named)


def no_schema(error: "ValidationError", address: str) -> SchemaRefused:
    """What is said of a schema that a validator of this draft does not take."""
    path, error = _innermost(error, address)
    whole, (keyword, place) = pointer(path), _keyword(path)
    wanted, hint = _WANTED.get(keyword, ""), "Correct it there."
    if DRAFTS[address] == 4:
        for opened, bound in _OPEN.items():
            if keyword == opened:
                wanted = f"true or false in draft 4, beside a `{bound}`"
            elif isinstance(error.instance, dict) and opened in error.instance and bound not in error.instance:
                return _none(f"`{opened}` at {whole} needs `{bound}` beside it in draft 4", opened, whole, hint)
    if keyword == "required" and isinstance(error.instance, bool) and path[-3:-2] == ["properties"]:
        hint = _in_the_list(path, wanted=error.instance)
    if not wanted or (
        isinstance(error.instance, dict) and (path[-1:] != [keyword] or wanted == _SCHEMA)
    ):  # a part, and no keyword of it
        keyword, place, told = "", whole, f"the part at {whole} is wrong: {shorten(error.message)}"
    else:
        where = "" if path[-1] == keyword else f" at {whole}"
        told = f"`{keyword}` at {place} must be {wanted}; {shown(error.instance)} was sent{where}"
    return _none(told, keyword, place, hint)


def _none(told: str, keyword: str, place: str, hint: str) -> SchemaRefused:
    return SchemaRefused(f"It is no JSON Schema: {told}.", keyword=keyword, place=place, hint=hint)


def _in_the_list(path: Sequence[str | int], *, wanted: bool) -> str:
    """What to write instead of a property's own `required`, as draft 3 had it; the path leads there."""
    if not wanted:
        return "Leave it out: what no list `required` names may be left out."
    return f"Name it in a list instead: at {pointer(path[:-3])} say {json.dumps({'required': [path[-2]]})[1:-1]}."


def _innermost(error: "ValidationError", address: str) -> tuple[list[str | int], "ValidationError"]:
    """What is wrong within the part that is said to be wrong, and the path to it."""
    from jsonschema_rs import ValidationError, meta

    path = list(error.instance_path)
    if path and isinstance(error.instance, dict):
        try:
            meta.validate({**error.instance, "$schema": address})
        except ValidationError as inner:
            further, error = _innermost(inner, address)
            path += further
    return path, error


def _keyword(path: Sequence[str | int]) -> tuple[str, str]:
    """The last keyword on a path into a schema, and where the part stands that has it."""
    keyword, place, is_name = "", path[:0], False
    for at, part in enumerate(path):
        if isinstance(part, str) and not is_name:
            keyword, place, is_name = part, path[:at], part in MAPS
        else:
            is_name = False
    return keyword, pointer(place)


def pointer(path: Sequence[str | int]) -> str:
    """A path as schemas write it."""
    return "#" + "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def shown(value: Any) -> str:
    """A value as it was sent, as far as a sentence has room for it."""
    return shorten(json.dumps(value, ensure_ascii=False), 100)


def shorten(text: str, most: int = 300) -> str:
    """A text on one line, without its middle where it is long, and without a full stop."""
    line, half = " ".join(text.split()), most // 2 - 10
    return (line if len(line) <= most else f"{line[:half]} … {line[-half:]}").rstrip(".")
