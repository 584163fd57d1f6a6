"""Anthropic's API: messages and their tokens."""

from omni.server.routes import Route


def routes() -> list[Route]:
    """What this protocol answers to."""
    from omni.server.anthropic import messages, types
    from omni.server.anthropic.problems import problem

    return [
        Route(
            path="/v1/messages",
            methods=("POST",),
            endpoint=messages.messages,
            reach="chat",
            problem=problem,
            summary="The next message of a conversation.",
            request=types.MessagesBody,
            response=types.Answer,
            stream=types.Event,
        ),
        Route(
            path="/v1/messages/count_tokens",
            methods=("POST",),
            endpoint=messages.count_tokens,
            reach="chat",
            problem=problem,
            summary="How many tokens a prompt has, by the brain's own tokenizer.",
            request=types.CountBody,
            response=types.Counted,
        ),
    ]
