"""Ollama's API."""

from functools import partial

from omni.server.routes import Route, route


def routes() -> list[Route]:
    """What this protocol answers to."""
    from omni.server.ollama import answering, embedding, library, models, types
    from omni.server.ollama.problems import problem
    from omni.server.streams import NDJSON

    for_anyone = partial(route, reach="anyone", problem=problem)
    for_chat = partial(route, reach="chat", problem=problem, stream_media=NDJSON)
    for_programs = partial(route, reach="programs", problem=problem)
    for_admin = partial(route, reach="admin", problem=problem, stream_media=NDJSON)
    return [
        for_anyone("GET", "/", models.root, "Says that somebody is there", response=str, media="text/plain"),
        for_anyone("GET", "/api/version", models.version, "The version of the API", response=types.Version),
        for_chat("GET", "/api/tags", models.tags, "The brains that are here", response=types.Tags),
        for_programs("GET", "/api/ps", models.processes, "The brains that are loaded", response=types.Processes),
        for_programs("POST", "/api/show", models.show, "What there is to know about a brain",
                     request=types.NamedModel, response=types.ShownModel),
        for_chat("POST", "/api/chat", answering.chat, "Answer a conversation",
                 request=types.OllamaChatBody, response=types.ChatLine, stream=types.ChatLine),
        for_chat("POST", "/api/generate", answering.generate, "Answer a prompt, go on with a text, or fill in",
                 request=types.GenerateBody, response=types.GenerateLine, stream=types.GenerateLine),
        for_chat("POST", "/api/embed", embedding.embed, "Texts as vectors",
                 request=types.EmbedBody, response=types.Embedded),
        for_chat("POST", "/api/embeddings", embedding.embeddings, "One text as a vector",
                 request=types.OldEmbedBody, response=types.OldEmbedded),
        for_admin("POST", "/api/pull", library.pull, "Fetch a brain",
                  request=types.PullBody, response=types.Pulling, stream=types.Pulling),
        for_admin("DELETE", "/api/delete", library.delete, "Remove a brain", request=types.NamedModel),
        *(
            for_admin(methods, f"/api/{path}", library.not_here, "Not done by Omni", status=501)
            for methods, path in (("POST", "copy"), ("POST", "create"), ("POST", "push"), ("POST HEAD", "blobs/{digest}"))
        ),
    ]  # fmt: skip
