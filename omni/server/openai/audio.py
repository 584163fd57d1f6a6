"""`/v1/audio`: what is said to programs that ask for a voice."""

from starlette.requests import Request
from starlette.responses import Response

from omni.server.errors import NotHere


async def transcriptions(request: Request) -> Response:  # noqa: ARG001 - an endpoint's signature
    """Speech as text: not yet."""
    raise NotHere("Omni cannot hear yet: it has no brain for speech.", hint="Send text to /v1/chat/completions.")


async def speech(request: Request) -> Response:  # noqa: ARG001 - an endpoint's signature
    """Text as speech: not yet."""
    raise NotHere("Omni cannot speak yet: it has no voice.", hint="Take the text of /v1/chat/completions.")
