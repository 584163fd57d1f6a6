"""OpenAI's API: models, chat, completions, embeddings, responses."""

from omni.server.routes import Route


def routes() -> list[Route]:
    """What this protocol answers to."""
    from omni.server.openai import audio, chat, completions, embeddings, models, responses, types
    from omni.server.openai.problems import problem

    return [
        Route(
            path="/v1/models",
            methods=("GET",),
            endpoint=models.models,
            reach="chat",
            problem=problem,
            summary="What can be asked: brains and aliases.",
            response=models.ModelList,
        ),
        Route(
            path="/v1/models/{id:path}",
            methods=("GET",),
            endpoint=models.model,
            reach="chat",
            problem=problem,
            summary="One model, by its name, which may have slashes.",
            response=models.Model,
        ),
        Route(
            path="/v1/chat/completions",
            methods=("POST",),
            endpoint=chat.chat,
            reach="chat",
            problem=problem,
            summary="The next message of a chat.",
            request=types.ChatBody,
            response=types.ChatAnswer,
            stream=types.ChatChunk,
        ),
        Route(
            path="/v1/completions",
            methods=("POST",),
            endpoint=completions.completions,
            reach="chat",
            problem=problem,
            summary="What comes after a text, or between two.",
            request=completions.CompletionBody,
            response=completions.CompletionAnswer,
            stream=completions.CompletionAnswer,
        ),
        Route(
            path="/v1/embeddings",
            methods=("POST",),
            endpoint=embeddings.embeddings,
            reach="chat",
            problem=problem,
            summary="Texts as vectors.",
            request=embeddings.EmbeddingBody,
            response=embeddings.EmbeddingAnswer,
        ),
        Route(
            path="/v1/audio/transcriptions",
            methods=("POST",),
            endpoint=audio.transcriptions,
            reach="chat",
            problem=problem,
            summary="Speech as text: not there yet, which is what it answers.",
            status=501,
        ),
        Route(
            path="/v1/audio/speech",
            methods=("POST",),
            endpoint=audio.speech,
            reach="chat",
            problem=problem,
            summary="Text as speech: not there yet, which is what it answers.",
            status=501,
        ),
        *responses.routes(),
    ]
