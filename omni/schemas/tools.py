"""Tools: what is wrong with one, the schema of its arguments, and the proof that some follow it."""

import re
from typing import Any, Protocol, get_args

import msgspec

from omni.core.errors import OmniError, UsageError
from omni.core.hooks import Touch
from omni.schemas.compiled import compile_schema

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)  # what the protocols of brains take
_TOUCHES = get_args(Touch)


class SchemaTool(Protocol):
    """The part of a tool that says what it takes: `parameters` is a JSON Schema of an object, or a Struct that has one."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def parameters(self) -> dict[str, Any] | type[msgspec.Struct]:
        """What it takes."""
        ...


def problem(tool: Any) -> str:
    """Why something is no tool, or "". Blocking: a large schema takes a second."""
    if not _NAME.fullmatch(tool.name):
        return f"the name {tool.name!r} of a tool is not one of 1 to 64 letters, digits, _ and -"
    if not isinstance(tool.touches, tuple) or any(each not in _TOUCHES for each in tool.touches):
        return (
            f"touches of the tool {tool.name!r} is {tool.touches!r}, and a tuple of {', '.join(_TOUCHES)} is expected"
        )
    try:
        schema = parameters_of(tool)
        compile_schema(schema)
    except OmniError as error:
        return f"the parameters of the tool {tool.name!r}: {error.message}"
    return ""


def parameters_of(tool: SchemaTool) -> dict[str, Any]:
    """The JSON Schema of its arguments. Raises UsageError where they are no object."""
    given: Any = tool.parameters
    if isinstance(given, type) and issubclass(given, msgspec.Struct):
        try:
            outer = msgspec.json.schema(given)
        except TypeError as error:
            raise UsageError(f"{given.__name__} has no JSON Schema: {error}.") from error
        named = outer.pop("$defs", {})
        schema: dict[str, Any] = named.get(given.__name__, outer)  # the object itself, not a reference to it
        if schema.get("type") != "object":
            raise UsageError(f"The arguments of a tool are an object, and {given.__name__} is none in JSON.")
        if f"'#/$defs/{given.__name__}'" not in str(named):  # unless it holds itself
            named.pop(given.__name__, None)
        return schema | ({"$defs": named} if named else {})
    if not isinstance(given, dict) or given.get("type") != "object":
        raise UsageError('A JSON Schema with "type": "object", or a msgspec Struct, is expected.')
    return given


def proved_arguments(tool: SchemaTool, value: Any) -> Any:
    """What `tool.run` takes: the arguments as they are, or as a value of its Struct. Raises UsageError, which says where
    they are not what its schema asks for. Blocking."""
    fault = compile_schema(parameters_of(tool)).fault(value)
    if fault is not None:
        where = f" at {fault.at}" if fault.at not in ("", "#") else ""
        raise UsageError(
            f"These are no arguments of {tool.name}{where}: {fault.message}.", hint=f"It takes {expected(tool)}."
        )
    if isinstance(tool.parameters, type):
        try:
            return msgspec.convert(value, tool.parameters)
        except msgspec.ValidationError as error:
            raise UsageError(
                f"These are no arguments of {tool.name}: {error}.", hint=f"It takes {expected(tool)}."
            ) from error
    return value


def expected(tool: SchemaTool) -> str:
    """What it takes, in a few words: the names of its parameters with their types, in brackets what may be left out."""
    schema = parameters_of(tool)
    properties, required = schema.get("properties"), schema.get("required", ())
    if not isinstance(properties, dict) or not properties:
        return "an object"
    names = []
    for name, facts in properties.items():
        kind = facts.get("type") if isinstance(facts, dict) else None
        word = f"{name}: {kind}" if isinstance(kind, str) else str(name)
        names.append(word if name in required else f"[{word}]")
    return ", ".join(names)
