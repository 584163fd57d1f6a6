"""OpenAI's API: models, chat, completions, embeddings, responses."""

from functools import partial

from omni.server.routes import Route, route

RERANK = ("/v1/rerank", "/v1/reranking", "/v2/rerank", "/rerank", "/reranking")  # as Jina, Cohere and llama.cpp call it


def routes() -> list[Route]:
    """What this protocol answers to."""
    from omni.server.openai import audio, chat, completions, embeddings, models, rerank, responses, types
    from omni.server.openai.problems import problem

    for_chat = partial(route, reach="chat", problem=problem)
    return [
        for_chat("GET", "/v1/models", models.models, "What can be asked: brains and aliases.",
                 response=models.ModelList),
        for_chat("GET", "/v1/models/{id:path}", models.model, "One model, by its name, which may have slashes.",
                 response=models.Model),
        for_chat("POST", "/v1/chat/completions", chat.chat, "The next message of a chat.",
                 request=types.ChatBody, response=types.ChatAnswer, stream=types.ChatChunk),
        for_chat("POST", "/v1/completions", completions.completions, "What comes after a text, or between two.",
                 request=completions.CompletionBody, response=completions.CompletionAnswer,
                 stream=completions.CompletionAnswer),
        for_chat("POST", "/v1/embeddings", embeddings.embeddings, "Texts as vectors.",
                 request=embeddings.EmbeddingBody, response=embeddings.EmbeddingAnswer),
        *(for_chat("POST", path, rerank.rerank, "Texts by how well they answer a question.",
                   request=rerank.RerankBody, response=rerank.RerankAnswer) for path in RERANK),
        for_chat("POST", "/v1/audio/transcriptions", audio.transcriptions,
                 "Speech as text: not there yet, which is what it answers.", status=501),
        for_chat("POST", "/v1/audio/speech", audio.speech,
                 "Text as speech: not there yet, which is what it answers.", status=501),
        *responses.routes(),
    ]  # fmt: skip
