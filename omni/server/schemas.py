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
    loose = compile_schema(schema).loose
    told = ", ".join(f"{one.keyword} at {one.place}" for one in loose)
    return {UNKEPT: told.encode("ascii", "backslashreplace").decode()[:_LONGEST]} if told else {}
