"""Failures in Anthropic's words."""

from starlette.responses import Response

from omni.core.errors import OmniError
from omni.server.anthropic.types import AnthropicErrorObject, AnthropicErrorResponse
from omni.server.errors import headers_of, said, status_of
from omni.server.routes import json_response

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    408: "invalid_request_error",
    413: "request_too_large",
    429: "rate_limit_error",
    431: "invalid_request_error",
    501: "invalid_request_error",
    503: "overloaded_error",
}


def problem(error: OmniError) -> Response:
    """The answer to a request that failed."""
    return json_response(error_of(error), status_of(error), headers_of(error))


def error_of(error: OmniError) -> AnthropicErrorResponse:
    """The body of a failure."""
    return AnthropicErrorResponse(
        error=AnthropicErrorObject(type=_TYPES.get(status_of(error), "api_error"), message=said(error))
    )
