"""Anthropic's API: messages and their tokens."""

from omni.server.routes import Route


def routes() -> list[Route]:
    """What this protocol answers to."""
    return []
