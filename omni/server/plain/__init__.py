"""Health, metrics and tokens: what belongs to no vendor."""

from omni.server.routes import Route


def routes() -> list[Route]:
    """What this protocol answers to."""
    return []
