"""A browser's way in: a token that is good once and for a minute, exchanged for a cookie that scripts cannot read.

Both live in the server's memory and end with it. Only their hashes are kept.
"""

import hashlib
import secrets
import time
from collections.abc import Callable
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from omni.core.errors import OmniError
from omni.server.errors import Refused
from omni.server.routes import Route, body_of, json_response, route

COOKIE = "omni-session"
PATH = "/omni/session"
TOKEN_SECONDS = 60.0
SESSION_SECONDS = 7 * 24 * 3600.0  # since it was used last
MOST = 64
_BYTES = 32
_LONGEST = 1 << 10  # bytes of a request for a session: anybody may send one


class Sessions:
    """One-time tokens and the sessions that came of them. The oldest go when there are too many."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._tokens: dict[bytes, float] = {}
        self._sessions: dict[bytes, float] = {}

    def token(self) -> str:
        """A new one-time token, for the fragment of an address that is given to one person."""
        token = secrets.token_urlsafe(_BYTES)
        _put(self._tokens, token, self._clock() + TOKEN_SECONDS)
        return token

    def exchange(self, token: str) -> str | None:
        """The name of a new session for a token that is good; it is used up. None for any other."""
        until = self._tokens.pop(_hash(token), 0.0)
        if until <= self._clock():
            return None
        session = secrets.token_urlsafe(_BYTES)
        _put(self._sessions, session, self._clock() + SESSION_SECONDS)
        return session

    def known(self, session: str) -> bool:
        """Whether a cookie is that of a session, which then goes on for its whole time again."""
        name = _hash(session)
        until = self._sessions.pop(name, 0.0)  # to the end of the row: what is used stays
        if until <= self._clock():
            return False
        self._sessions[name] = self._clock() + SESSION_SECONDS
        return True

    def end(self, session: str) -> None:
        """Forget a session."""
        self._sessions.pop(_hash(session), None)

    def routes(self, problem: Callable[[OmniError], Response]) -> list[Route]:
        """`POST` exchanges `{"token": …}` for the cookie, `DELETE` ends the session."""

        async def enter(request: Request) -> Response:
            given = await body_of(request, dict[str, str], most=_LONGEST)
            session = self.exchange(given.get("token", ""))
            if session is None:
                raise Refused(
                    "This link was used already, or is older than a minute.",
                    hint="Run `omni web` again for a new one.",
                    status=401,
                )
            response = json_response({"ok": True})
            secure = request.url.scheme == "https"
            response.set_cookie(
                COOKIE, session, max_age=int(SESSION_SECONDS), path="/", secure=secure, httponly=True, samesite="strict"
            )
            return response

        async def leave(request: Request) -> Response:
            self.end(request.cookies.get(COOKIE, ""))
            response = json_response({"ok": True})
            response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
            return response

        ours = partial(route, reach="admin", problem=problem, response=dict[str, bool])
        return [
            ours("POST", PATH, enter, "Exchange a one-time token for a session's cookie.", request=dict[str, str]),
            ours("DELETE", PATH, leave, "End the session of this browser."),
        ]


def _put(table: dict[bytes, float], secret: str, until: float) -> None:
    while len(table) >= MOST:
        del table[next(iter(table))]
    table[_hash(secret)] = until


def _hash(secret: str) -> bytes:
    # What is looked up is a hash, so that the time of the look-up says nothing about the secret.
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
