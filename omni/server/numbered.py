"""A number for every answer, which official clients show with what they raise: `x-request-id`, to Anthropic's
`request-id`."""

import secrets

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send


def numbered(scope: Scope, send: Send) -> Send:
    """`send`, with a number in the head of the answer."""
    name = "request-id" if scope["path"].startswith("/v1/messages") else "x-request-id"

    async def told(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(raw=list(message["headers"]))
            headers[name] = f"req_{secrets.token_hex(12)}"
            message = {**message, "headers": headers.raw}
        await send(message)

    return told


class Numbered:
    """An application around another."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        await self._app(scope, receive, numbered(scope, send) if scope["type"] == "http" else send)
