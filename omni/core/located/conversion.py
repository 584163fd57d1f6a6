"""A struct of what a file says; what does not fit is said with its place, what was expected there, and what was found."""

import re
from bisect import bisect_left
from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from omni.core.errors import OmniError, nearest
from omni.core.located.tree import Located, Path

T = TypeVar("T")

_WHERE = re.compile(r" - at `(?:key` in `)?\$(.*)`$")
_STEP = re.compile(r"\.([^.\[\]]+)|\[([0-9]+)\]|(\[\.\.\.\])")
_EXPECTED = re.compile(r"Expected `([^`]+)`(.*?)(?:, got `[^`]+`)?")
_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "a text",
    "bool": "true or false",
    "null": "nothing",
    "array": "a list",
    "object": "a table",
}


def convert(located: Located, kind: type[T], *, within: Path = ()) -> T:
    """The file, which itself stands `within` another one, as a `kind`. Raises the source's error with line and column of
    the first value that does not fit, and for a key that is not known the nearest one."""
    try:
        return msgspec.convert(located.value, kind, str_keys=True)
    except msgspec.ValidationError as error:
        raise _explained(located, kind, str(error), within) from error


def _explained(located: Located, kind: Any, message: str, within: Path) -> OmniError:
    path = _path(located.value, kind, message)
    what = _WHERE.sub("", message)
    if unknown := re.fullmatch(r"Object contains unknown field `(.+)`", what):
        path = (*path, unknown[1])
        names = _keys(kind, located.value, path[:-1])
        hint = nearest(unknown[1], names) or f"Known here: {', '.join(names)}."
        return located.source.wrong(
            f"{located.place(path, key=True)}: there is no key {_title((*within, *path))!r}.", hint=hint
        )
    if missing := re.fullmatch(r"Object missing required field `(.+)`", what):
        words = f"needs the key {_title((*within, *path, missing[1]))!r}"
    else:
        title = f"{_title((*within, *path))}: " if within or path else ""
        words = title + _fits_not(kind, located.value, path, what)
    return located.source.wrong(f"{located.place(path)}: {words}.", hint=located.source.hint)


def _fits_not(kind: Any, whole: Any, path: Path, what: str) -> str:
    value = _value(whole, path)
    if what.startswith("Invalid ") and (choices := _choices(kind, whole, path)):
        actual = repr(value[:40]) if isinstance(value, str) else _words(value)
        return f"expected one of {', '.join(map(repr, choices))}, found {actual}"
    if expected := _EXPECTED.fullmatch(what):
        kinds = " or ".join(_KINDS.get(each, each) for each in expected[1].split(" | "))
        return f"expected {kinds}{expected[2]}, found {_words(value)}"
    return what[:1].lower() + what[1:]


def _words(value: Any) -> str:
    """What a value is. Texts are not said: they may be secret, and the place is enough to find them."""
    match value:
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case int() if value.bit_length() > 64:
            return "a number of more than 64 bits"
        case int() | float():
            return str(value)
        case str():
            return f"a text of {len(value)} {'character' if len(value) == 1 else 'characters'}"
        case list():
            return "a list"
        case dict():
            return "a table"
    return f"a {type(value).__name__}"


def _title(path: Path) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


def _path(value: Any, kind: Any, message: str) -> tuple[str | int, ...]:
    """Where it does not fit. msgspec says `[...]` for any key of a dict: which one it is, trying tells."""
    path: tuple[str | int, ...] = ()
    where = _WHERE.search(message)
    for name, number, some in _STEP.findall(where[1]) if where else ():
        if some:
            table = _value(value, path)
            if not isinstance(table, dict):
                break
            path = (*path, _wrong_key(value, kind, message, path, table))
        else:
            path = (*path, name or int(number))
    return path


def _wrong_key(value: Any, kind: Any, message: str, path: Path, table: dict[str, Any]) -> str:
    items = list(table.items())

    def is_wrong(count: int) -> bool:
        """Whether the same is wrong with the first `count` keys only."""
        try:
            msgspec.convert(_replaced(value, path, dict(items[:count])), kind, str_keys=True)
        except msgspec.ValidationError as error:
            return str(error) == message
        return False

    return items[bisect_left(range(1, len(items)), True, key=is_wrong)][0]


def _replaced(value: Any, path: Path, new: Any) -> Any:
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = _replaced(value[path[0]], path[1:], new)
    return copy


def _value(value: Any, path: Path) -> Any:
    for step in path:
        value = value[step]
    return value


def _keys(kind: Any, value: Any, path: Path) -> list[str]:
    """The keys that the table at the path may have."""
    types = list(_types(kind, value, path))
    tags = [one.tag_field for one in types if isinstance(one, inspect.StructType) and one.tag_field]
    fields = [field.encode_name for one in types if isinstance(one, inspect.StructType) for field in one.fields]
    return list(dict.fromkeys([*tags, *fields]))


def _choices(kind: Any, value: Any, path: Path) -> list[Any]:
    """The values that may stand at the path, where they are a few: those of a literal, an enum, or a tag."""
    choices: list[Any] = []
    for one in _types(kind, value, path):
        if isinstance(one, inspect.LiteralType):
            choices += one.values
        elif isinstance(one, inspect.EnumType):
            choices += [each.value for each in one.cls]
    if not choices and path:
        structs = [one for one in _types(kind, value, path[:-1]) if isinstance(one, inspect.StructType)]
        choices = [one.tag for one in structs if one.tag_field == path[-1]]
    return choices


def _types(kind: Any, value: Any, path: Path) -> Iterator[inspect.Type]:
    """What the value at the path may be; of structs with tags only the one whose tag stands there, where it does."""
    types = list(_alternatives(inspect.type_info(kind), value))
    for step in path:
        value = value[step]
        types = [one for each in types for inner in _inside(each, step) for one in _alternatives(inner, value)]
    yield from types


def _alternatives(info: inspect.Type, value: Any) -> Iterator[inspect.Type]:
    if isinstance(info, inspect.Metadata):
        yield from _alternatives(info.type, value)
    elif isinstance(info, inspect.UnionType):
        every = [one for each in info.types for one in _alternatives(each, value)]
        tagged = [one for one in every if isinstance(one, inspect.StructType) and isinstance(value, dict)]
        named = [one for one in tagged if one.tag_field and value.get(one.tag_field) == one.tag]
        yield from named or every
    else:
        yield info


def _inside(info: inspect.Type, step: str | int) -> Iterator[inspect.Type]:
    match info:
        case inspect.StructType():
            yield from (field.type for field in info.fields if field.encode_name == step)
        case inspect.DictType():
            yield info.value_type
        case inspect.ListType() | inspect.VarTupleType():
            yield info.item_type
        case inspect.TupleType() if isinstance(step, int):
            yield info.item_types[step]
