"""JSON Schemas that clients send: bounded before anybody walks through them."""

from typing import Any

from omni.server.errors import BadParameter

DEEPEST = 64  # levels of a schema


def shallow(schema: Any, where: str) -> None:
    """Raises BadParameter for a schema that is too deep; `where` it stands in the request."""
    level, deep = [schema], 0
    while level:
        deep += 1
        if deep > DEEPEST:
            raise BadParameter(f"A schema may be {DEEPEST} levels deep; this one is deeper.", param=where)
        level = [
            part
            for value in level
            for part in (value.values() if isinstance(value, dict) else value)
            if isinstance(part, dict | list)
        ]
