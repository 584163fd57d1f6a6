"""JSON Schemas that clients send: refused by name where an engine could not bear them."""

from typing import Any

from omni.core.errors import UsageError
from omni.engine import check_schema
from omni.server.errors import BadParameter


def bearable(schema: Any, where: str) -> None:
    """Raises BadParameter for a schema that is too much for an engine; `where` it stands in the request."""
    try:
        check_schema(schema)
    except UsageError as error:
        raise BadParameter(error.message, hint=error.hint, param=where) from error
