"""Failures in OpenAI's words."""

from msgspec import Struct
from starlette.responses import Response

from omni.core.errors import ContextOverflow, NotFound, OmniError
from omni.server.errors import headers_of, said, status_of
from omni.server.routes import json_response

_TYPES = {403: "permission_error", 429: "rate_limit_error"} | dict.fromkeys(
    (400, 401, 404, 408, 413, 431), "invalid_request_error"
)


class OpenAIErrorObject(Struct, kw_only=True):
    """What went wrong. `param` is the field that is wrong, `code` a word for programs, where there is one."""

    message: str
    type: str
    param: str | None
    code: str | None


class OpenAIErrorResponse(Struct):
    """The body of a failure."""

    error: OpenAIErrorObject


def error_of(error: OmniError) -> OpenAIErrorResponse:
    """The body of a failure; also what a stream ends with."""
    status = status_of(error)
    param = getattr(error, "param", "") or None
    kind = _TYPES.get(status, "server_error")
    return OpenAIErrorResponse(
        OpenAIErrorObject(message=said(error), type=kind, param=param, code=_code(error, status))
    )


def _code(error: OmniError, status: int) -> str | None:
    """The word for programs, where there is one."""
    if isinstance(error, ContextOverflow):
        return "context_length_exceeded"
    if code := getattr(error, "code", ""):
        return str(code)
    if isinstance(error, NotFound):
        return "model_not_found"
    return "not_implemented" if status == 501 else None


def problem(error: OmniError) -> Response:
    """The answer to a request that failed."""
    return json_response(error_of(error), status_of(error), headers_of(error))
