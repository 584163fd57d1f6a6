"""Ollama's API."""

from typing import Any

from omni.server.routes import Endpoint, Reach, Route


def routes() -> list[Route]:
    """What this protocol answers to."""
    from omni.server.ollama import answering, embedding, library, models, types
    from omni.server.ollama.problems import problem
    from omni.server.streams import NDJSON

    def route(method: str, path: str, endpoint: Endpoint, reach: Reach, summary: str, **more: Any) -> Route:
        return Route(
            path=path,
            methods=(method,),
            endpoint=endpoint,
            reach=reach,
            problem=problem,
            summary=summary,
            **more,
        )

    return [
        route("GET", "/", models.root, "anyone", "Says that somebody is there", response=str, media="text/plain"),
        route("GET", "/api/version", models.version, "anyone", "The version of the API", response=types.Version),
        route("GET", "/api/tags", models.tags, "chat", "The brains that are here", response=types.Tags),
        route("GET", "/api/ps", models.processes, "chat", "The brains that are loaded", response=types.Processes),
        route(
            "POST",
            "/api/show",
            models.show,
            "chat",
            "What there is to know about a brain",
            request=types.Named,
            response=types.Shown,
        ),
        route(
            "POST",
            "/api/chat",
            answering.chat,
            "chat",
            "Answer a conversation",
            request=types.ChatBody,
            response=types.ChatLine,
            stream=types.ChatLine,
            stream_media=NDJSON,
        ),
        route(
            "POST",
            "/api/generate",
            answering.generate,
            "chat",
            "Answer a prompt, go on with a text, or fill in",
            request=types.GenerateBody,
            response=types.GenerateLine,
            stream=types.GenerateLine,
            stream_media=NDJSON,
        ),
        route(
            "POST",
            "/api/embed",
            embedding.embed,
            "chat",
            "Texts as vectors",
            request=types.EmbedBody,
            response=types.Embedded,
        ),
        route(
            "POST",
            "/api/embeddings",
            embedding.embeddings,
            "chat",
            "One text as a vector",
            request=types.OldEmbedBody,
            response=types.OldEmbedded,
        ),
        route(
            "POST",
            "/api/pull",
            library.pull,
            "admin",
            "Fetch a brain",
            request=types.PullBody,
            response=types.Pulling,
            stream=types.Pulling,
            stream_media=NDJSON,
        ),
        route("DELETE", "/api/delete", library.delete, "admin", "Remove a brain", request=types.Named),
        *(
            route("POST", f"/api/{path}", library.not_here, "admin", "Not done by Omni", status=501)
            for path in ("copy", "create", "push", "blobs/{digest}")
        ),
    ]
