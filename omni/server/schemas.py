"""JSON Schemas that clients send: refused by name where they cannot be kept, before an engine sees them."""

from typing import Any

from omni.schemas import SchemaRefused, compile_schema
from omni.server.errors import BadParameter

UNKEPT = "X-Omni-Schema-Not-Kept"  # the header that names them
_LONGEST = 1000


def bearable(schema: Any, where: str) -> None:
    """Raises BadParameter for a schema that cannot be kept; `where` it stands in the request. Blocking: a large one takes
    a second."""
    try:
        compile_schema(schema)
    except SchemaRefused as error:
        raise BadParameter(error.message, hint=error.hint, param=where) from error


def unkept(schema: Any) -> dict[str, str]:
    """The header that says which keywords of a schema no grammar keeps, where an answer may not follow them."""
    told, loose = "", compile_schema(schema).loose
    for at, one in enumerate(loose):
        more = f"{told}, {one.keyword} at {one.place}".encode("ascii", "backslashreplace").decode().removeprefix(", ")
        if len(more) > _LONGEST:
            told += f"{', ' if told else ''}and {len(loose) - at} more"
            break
        told = more
    return {UNKEPT: told} if told else {}
