"""Tools that clients offer, and objects of any form."""

from typing import Any

from omni.engine import Tool
from omni.server.errors import BadParameter
from omni.server.schemas import bearable

ANY_OBJECT: dict[str, Any] = {"type": "object"}  # the schema of an answer that is to be some JSON object


def tool_of(name: str, description: str | None, parameters: dict[str, Any] | None, where: str) -> Tool:
    """A tool as engines know it; `parameters` stand at `where` in the request. Raises BadParameter when they are no object,
    or cannot be kept."""
    kinds = (parameters or {}).get("type", "object")
    if "object" not in (kinds if isinstance(kinds, list) else [kinds]):
        raise BadParameter("The arguments of a tool are an object.", hint='Use "type": "object".', param=where)
    schema = {"properties": {}, **(parameters or {}), "type": "object"}
    bearable(schema, where)
    return Tool(name=name, description=description or "", parameters=schema)


def none_to_call(offered: int, param: str) -> BadParameter:
    """What is said where a tool must be called, and of the `offered` ones none can be."""
    if not offered:
        hint = "Send `tools` as well."
        return BadParameter("A tool must be called, but the request names none.", hint=hint, param=param)
    said = "A tool must be called, but none of the request's can be here: only functions can."
    return BadParameter(said, hint="Send a function in `tools`.", param=param)
