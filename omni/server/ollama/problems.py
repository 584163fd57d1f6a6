"""Failures in Ollama's words, which are one text."""

from starlette.responses import Response

from omni.core.errors import OmniError
from omni.server.errors import headers_of, said, status_of
from omni.server.ollama.types import OllamaErrorResponse
from omni.server.routes import json_response


def problem(error: OmniError) -> Response:
    """The answer to a request that failed."""
    return json_response(error_of(error), status_of(error), headers_of(error))


def error_of(error: OmniError) -> OllamaErrorResponse:
    """The body of a failure; also the line that a stream ends with."""
    return OllamaErrorResponse(error=said(error))
