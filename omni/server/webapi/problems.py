"""Failures in the words of the web interface, and the short way to write its routes."""

import re
from typing import Any

from msgspec import Struct
from starlette.responses import Response

from omni.core.errors import OmniError
from omni.server import routes
from omni.server.errors import headers_of, status_of
from omni.server.routes import Endpoint, Route, json_response

PREFIX = "/omni/v1"


class Problem(Struct, frozen=True, kw_only=True):
    """`kind` is the class of the failure in snake case: `not_found`, `network_blocked`, `context_overflow` …"""

    kind: str
    message: str
    hint: str = ""


class ProblemBody(Struct, frozen=True):
    """The body of a failure."""

    error: Problem


class ProblemEvent(Struct, frozen=True, kw_only=True, tag="error", tag_field="type"):
    """The last event of a stream that failed."""

    error: Problem


def problem_of(error: OmniError) -> Problem:
    """A failure as a value."""
    kind = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(error).__name__).lower()
    return Problem(kind=kind, message=error.message, hint=error.hint)


def problem(error: OmniError) -> Response:
    """The answer to a request that failed."""
    return json_response(ProblemBody(problem_of(error)), status_of(error), headers_of(error))


def route(methods: str, path: str, endpoint: Endpoint, summary: str, **more: Any) -> Route:
    """One route of the interface, for its person only."""
    return routes.route(methods, PREFIX + path, endpoint, summary, reach="admin", problem=problem, **more)
