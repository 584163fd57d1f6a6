"""Anthropic's API: messages and their tokens."""

from functools import partial

from omni.server.routes import Route, route


def routes() -> list[Route]:
    """What this protocol answers to."""
    from omni.server.anthropic import messages, types
    from omni.server.anthropic.problems import problem

    for_chat = partial(route, reach="chat", problem=problem)
    return [
        for_chat("POST", "/v1/messages", messages.messages, "The next message of a conversation.",
                 request=types.MessagesBody, response=types.AnthropicMessage, stream=types.Event),
        for_chat("POST", "/v1/messages/count_tokens", messages.count_tokens,
                 "How many tokens a prompt has, by the brain's own tokenizer.",
                 request=types.CountBody, response=types.MessageTokensCount),
    ]  # fmt: skip
