"""Health, metrics and tokens: what belongs to no vendor."""

from functools import partial
from typing import Any

from omni.server.routes import Route, route


def routes() -> list[Route]:
    """What this protocol answers to."""
    from omni.server import openapi
    from omni.server.openai.problems import problem
    from omni.server.plain import health

    for_anyone = partial(route, reach="anyone", problem=problem)
    for_programs = partial(route, reach="programs", problem=problem)
    for_admin = partial(route, reach="admin", problem=problem)
    return [
        for_anyone("GET", "/openapi.json", openapi.openapi, "The document of the API.", response=dict[str, Any]),
        for_anyone("GET", "/health", health.health, "Whether the server lives, and how busy it is.",
                   response=health.Health),
        for_admin("GET", "/metrics", health.metrics, "Counters, as Prometheus reads them.",
                  response=str, media="text/plain"),
        for_programs("POST", "/tokenize", health.tokenize, "A text as the tokens of a brain.",
                     request=health.TokenizeBody, response=health.Tokens),
    ]  # fmt: skip
