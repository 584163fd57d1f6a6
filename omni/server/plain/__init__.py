"""Health, metrics and tokens: what belongs to no vendor."""

from typing import Any

from omni.server.routes import Route


def routes() -> list[Route]:
    """What this protocol answers to."""
    from omni.server import openapi
    from omni.server.openai.problems import problem
    from omni.server.plain import health

    return [
        Route(
            path="/openapi.json",
            methods=("GET",),
            endpoint=openapi.openapi,
            reach="anyone",
            problem=problem,
            summary="The document of the API.",
            response=dict[str, Any],
        ),
        Route(
            path="/health",
            methods=("GET",),
            endpoint=health.health,
            reach="anyone",
            problem=problem,
            summary="Whether the server lives, and how busy it is.",
            response=health.Health,
        ),
        Route(
            path="/metrics",
            methods=("GET",),
            endpoint=health.metrics,
            reach="admin",
            problem=problem,
            summary="Counters, as Prometheus reads them.",
            response=str,
            media="text/plain",
        ),
        Route(
            path="/tokenize",
            methods=("POST",),
            endpoint=health.tokenize,
            reach="chat",
            problem=problem,
            summary="A text as the tokens of a brain.",
            request=health.TokenizeBody,
            response=health.Tokens,
        ),
    ]
