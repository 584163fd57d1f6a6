"""The API behind the web interface, under `/omni/v1/`, and the interface itself at `/`.

    conversations  the same conversations as in the shell      turns     asking, as a stream of the turn's events
    brains, pulls  the library, and fetching from it           machine   figures, processes, doors
    settings       what the person decided, and themes         hub       one feed of everything that changes
    plugins        settings and pages of plug-ins

It is no public API: it follows the pages that travel with it. Failures are `{"error": {"kind", "message", "hint"}}`.
"""

from omni.server.routes import Route


def routes() -> list[Route]:
    """What the interface needs; before those of other protocols, because a browser shall find its page at `/`."""
    from omni.server import web_assets
    from omni.server.webapi import brains, conversations, machine, plugins, settings, turns

    return [
        route
        for module in (web_assets, conversations, turns, brains, machine, settings, plugins)
        for route in module.routes()
    ]
