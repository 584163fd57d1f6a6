"""Ollama's API."""

from omni.server.routes import Route


def routes() -> list[Route]:
    """What this protocol answers to."""
    return []
