"""The document of the API in OpenAPI 3.1, written from the routes and the types that requests are checked by."""

import re
from collections.abc import Iterable, Sequence
from types import ModuleType
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from omni import __version__
from omni.server.routes import Problem, Route
from omni.server.streams import SSE

_REFERENCE = "#/components/schemas/{name}"
_PARAMETER = re.compile(r"\{(\w+)(?::\w+)?\}")
_WORDS = {
    400: "The request is not understood, does not fit into the context, or asks what the brain cannot do",
    401: "A key is needed, or the one that was sent is not known",
    403: "Who asks may not",
    404: "There is no such model, or no such thing",
    405: "The path answers to other methods",
    408: "The request was not whole in time",
    413: "The body is too long",
    429: "All places and the queue are taken; `Retry-After` says when to ask again",
    431: "The head is too long",
    500: "The brain or Omni failed",
    501: "Not done here",
    503: "The brain is still being loaded, the server ends, or the network is needed and not allowed",
    507: "The disk is full",
}
_ALWAYS = (400, 401, 403, 404, 405, 408, 431, 500, 503, 507)
_WITH_BODY = (413, 429, 501)
_DESCRIPTION = """The local API of Omni. It speaks several protocols, each under the paths where its clients look for it;
failures come in the words of the protocol. Unknown fields are ignored, and `null` is a field that is left out. From this
machine no key is needed.

`x-reach` says who may ask: "anyone"; "chat", also a page of another origin without a key; "programs", all programs of this
machine, but no page of another origin without a key; "admin", this user and keys of the scope admin. A key of the scope
chat is for all but the last."""


async def openapi(request: Request) -> Response:
    """The document of this server."""
    state = request.app.state
    if getattr(state, "document", None) is None:
        state.document = msgspec.json.encode(document(state.routes))
    return Response(state.document, media_type="application/json")


def document(routes: Sequence[Route]) -> dict[str, Any]:
    """The document of `routes`. Of two for one path and method the first answers, as in the application."""
    writer = _OperationWriter(routes)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        path = _PARAMETER.sub(r"{\1}", route.path)
        for method in route.methods:
            if method != "HEAD":
                paths.setdefault(path, {}).setdefault(method.lower(), writer.operation(route, method, path))
    return {
        "openapi": "3.1.0",
        "info": {"title": "Omni", "version": __version__, "description": _DESCRIPTION},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": writer.schemas,
            "responses": writer.failures,
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "A key of `omni serve key add NAME`."}
            },
        },
    }


def _tag(route: Route) -> str:
    """The room that a path belongs to."""
    room = route.endpoint.__module__.split(".")[2]
    return {"openapi": "plain", "sessions": "webapi", "web_assets": "webapi"}.get(room, room)


class _OperationWriter:
    """Writes operations. All schemas are made at once, so that types of one name get different ones."""

    def __init__(self, routes: Iterable[Route]) -> None:
        from omni.server import anthropic, ollama, openai, webapi
        from omni.server.anthropic import problems as anthropic_problems
        from omni.server.anthropic import types as anthropic_types
        from omni.server.ollama import problems as ollama_problems
        from omni.server.ollama import types as ollama_types
        from omni.server.openai import problems as openai_problems
        from omni.server.webapi import problems as web_problems

        known: tuple[tuple[ModuleType, Problem, Any], ...] = (
            (openai, openai_problems.problem, openai_problems.OpenAIErrorResponse),
            (anthropic, anthropic_problems.problem, anthropic_types.AnthropicErrorResponse),
            (ollama, ollama_problems.problem, ollama_types.OllamaErrorResponse),
            (webapi, web_problems.problem, web_problems.ProblemBody),
        )
        self._protocols = {problem: (room.__name__.rpartition(".")[2], failed) for room, problem, failed in known}
        kinds = [kind for route in routes for kind in (route.request, route.response, route.stream) if kind is not None]
        kinds += [failed for _, failed in self._protocols.values()]
        schemas, self.schemas = msgspec.json.schema_components(kinds, ref_template=_REFERENCE)
        self._schemas = {id(kind): schema for kind, schema in zip(kinds, schemas, strict=True)}
        self._kinds = kinds  # what ids stand for must live as long
        self.failures: dict[str, Any] = {}

    def operation(self, route: Route, method: str, path: str) -> dict[str, Any]:
        """What a path answers to one method."""
        protocol, failed = self._protocols[route.problem]
        operation: dict[str, Any] = {
            "operationId": re.sub(r"\W+", "_", f"{method.lower()}{path}").strip("_"),
            "summary": route.summary,
            "tags": [_tag(route)],
            "x-reach": route.reach,
            "security": [{}, {"key": []}],
            "parameters": [
                *(
                    {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
                    for name in _PARAMETER.findall(route.path)
                ),
                *(
                    {"name": name, "in": "query", "required": False, "description": text, "schema": {"type": "string"}}
                    for name, text in route.query.items()
                ),
            ],
        }
        if route.request is not None:
            schema = self._schemas[id(route.request)]
            operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
        answers = operation["responses"] = {str(route.status): self._success(route)}
        for status in (*_ALWAYS, *(_WITH_BODY if method != "GET" else ())):
            answers.setdefault(
                str(status), {"$ref": f"#/components/responses/{self._failure(protocol, failed, status)}"}
            )
        if route.status == 501:
            answers["501"] = {"$ref": f"#/components/responses/{self._failure(protocol, failed, 501)}"}
        return operation

    def _success(self, route: Route) -> dict[str, Any]:
        content: dict[str, Any] = {}
        if route.response is not None:
            content[route.media] = {"schema": self._schemas[id(route.response)]}
        if route.stream is not None:
            content[route.stream_media] = {"schema": self._event(route)}
        return {"description": route.summary, **({"content": content} if content else {})}

    def _event(self, route: Route) -> dict[str, Any]:
        """One event of a stream; of lines, where it is no stream of server-sent events."""
        protocol, failed = self._protocols[route.problem]
        kinds = {"anyOf": [self._schemas[id(route.stream)], self._schemas[id(failed)]]}
        if route.stream_media != SSE:
            return {"type": "string", "description": "One JSON value a line.", "x-line": kinds}
        data: dict[str, Any] = {"type": "string", "contentMediaType": "application/json", "contentSchema": kinds}
        if protocol == "openai":
            data = {"anyOf": [{"const": "[DONE]"}, data]}
        return {"type": "object", "properties": {"event": {"type": "string"}, "data": data}, "required": ["data"]}

    def _failure(self, protocol: str, failed: Any, status: int) -> str:
        name = f"{protocol}_{status}"
        content = {"application/json": {"schema": self._schemas[id(failed)]}}
        self.failures[name] = {"description": _WORDS[status], "content": content}
        return name
