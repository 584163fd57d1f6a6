"""Failures in OpenAI's words."""

from starlette.responses import Response

from omni.core.errors import ContextOverflow, NotFound, OmniError
from omni.server.errors import headers_of, said, status_of
from omni.server.routes import json_response

_TYPES = {400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error"}


def error_of(error: OmniError) -> dict[str, object]:
    """The body of a failure; also what a stream ends with."""
    status = status_of(error)
    kind = "rate_limit_error" if status == 429 else _TYPES.get(status, "server_error")
    code: str | None = None
    if isinstance(error, ContextOverflow):
        code = "context_length_exceeded"
    elif isinstance(error, NotFound):
        code = "model_not_found"
    elif status == 501:
        code = "not_implemented"
    param = getattr(error, "param", "") or None
    return {"error": {"message": said(error), "type": kind, "param": param, "code": code}}


def problem(error: OmniError) -> Response:
    """The answer to a request that failed."""
    return json_response(error_of(error), status_of(error), headers_of(error))
