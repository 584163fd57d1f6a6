"""Who may do what: in front of the application, for every request, before anything of it is believed.

| who asks | without a key or session | with a key |
|---|---|---|
| this user, on this machine, no foreign page | everything | what its scopes allow |
| a page of another origin | chat, completions, embeddings, lists of models; readable for apps of a list | its scopes |
| an origin that is `null` | nothing | nothing |
| another user of this machine | nothing | its scopes |
| somebody of this machine whom the kernel does not name | the same, and what is known of models, and tokens | its scopes |
| another machine | nothing | its scopes |

A session is a browser's: it stands for this user, but only in requests that our own page makes.
"""

import asyncio
import os
import re
from collections.abc import Collection, Sequence
from http.cookies import CookieError, SimpleCookie
from typing import Any, Literal

from msgspec import Struct
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.routing import compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from omni.core.errors import OmniError
from omni.server import sessions as browser
from omni.server.error_formats import problem_at
from omni.server.errors import Refused, WrongKey
from omni.server.keys import PREFIX, ApiKeys, Key
from omni.server.numbered import numbered
from omni.server.routes import Access, Route

Who = Literal["self", "other", "unknown", "remote"]

LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
_APPS = re.compile(
    r"(app|tauri|vscode-webview|vscode-file)://[^/]*|https?://(localhost|127\.0\.0\.1|\[::1\]|tauri\.localhost)(:\d+)?"
)
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_SECRETS = ("authorization", "x-api-key")
_SAID_ONCE = ("origin", "sec-fetch-site")
_EXPOSED = "Retry-After, X-Request-Id, Request-Id"
_NOT_FOR_PAGES: tuple[Access, ...] = ("programs", "admin")  # of other origins, without a key
_OURS = ("same-origin", "none")  # Sec-Fetch-Site: our own page, or a person at the address bar


class Caller(Struct, frozen=True, kw_only=True):
    """Who asks, as far as it is known. `key` names the key that was shown; `lane` is for the fair queue.

    `owner` says whose the answers are that may be kept for it: a mark of the key (a name may go to another key), "" for
    this user, None for those for whom nothing is kept.
    """

    address: str
    who: Who
    key: str = ""
    scopes: frozenset[str] = frozenset()
    session: bool = False
    foreign: bool = False  # a page of another origin
    lane: str = ""
    owner: str | None = None


class Guard:
    """An ASGI application around another. `names` are the host names of this machine, besides those of loopback.

    A browser without a session reaches `doorstep` from everywhere, to get one: exact paths, or the start of paths where
    one ends in a slash. No foreign page does.
    """

    def __init__(
        self,
        app: ASGIApp,
        routes: Sequence[Route],
        *,
        keys: ApiKeys,
        sessions: browser.Sessions,
        names: Collection[str] = (),
        doorstep: Collection[str] = (browser.PATH,),
        uid: int | None = None,
    ) -> None:
        self._app, self._keys, self._sessions = app, keys, sessions
        self._names = {name.lower().strip("[]").rstrip(".") for name in (*LOCAL_NAMES, *names)}
        self._routes = [(compile_path(route.path)[0], route) for route in routes]
        self._doorstep = tuple(doorstep)
        self._uid = os.getuid() if uid is None else uid

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            return
        headers = Headers(scope=scope)
        route = self._route(scope["path"], scope["method"])
        origin = headers.get("origin", "")
        grant = ""  # the origin that may read the answer
        try:
            self._check_host(scope, headers)
            if any(len(headers.getlist(name)) > 1 for name in _SAID_ONCE):
                raise Refused("A request has one origin.")
            if origin == "null":
                raise Refused("A page without an origin may not use this server.")
            foreign = _is_foreign(scope, headers, origin)
            if foreign and origin and _APPS.fullmatch(origin):
                grant = origin
            if scope["method"] == "OPTIONS" and "access-control-request-method" in headers and origin:
                await self._preflight(scope, headers, origin, foreign)(scope, receive, send)
                return
            caller = await self._caller(scope, headers, foreign)
            if caller.key and foreign and origin:
                grant = origin
            self._check_reach(scope, caller, route)
        except OmniError as error:
            answer = (route.problem if route is not None else problem_at(scope["path"]))(error)
            send = numbered(scope, send)  # which the application does to what it answers
            await answer(scope, receive, _readable(send, grant) if origin else send)
            return
        scope.setdefault("state", {})["caller"] = caller
        await self._app(scope, receive, _readable(send, grant) if origin else send)

    # -- what the request says about itself -------------------------------------------------------------------------

    def _check_host(self, scope: Scope, headers: Headers) -> None:
        """A page that has its own name point here, to get around the rules of browsers, names itself in this header."""
        host = headers.get("host", "")
        name = _name_of(host)
        local = relay(scope).get("local")
        if "host" not in headers and _is_look(scope):
            return
        if name not in self._names and not (local and name == str(local[0]).lower()):
            raise Refused(
                f"This server does not answer to the name {host[:100]!r}.",
                hint="Use 127.0.0.1 or localhost, or add the name with "
                "`omni config set serve.names '[\"NAME\"]'` and start the server again.",
            )

    async def _caller(self, scope: Scope, headers: Headers, foreign: bool) -> Caller:
        known = relay(scope)
        address = scope["client"][0] if scope.get("client") else ""
        who = self._who(known)
        key = await self._key(headers)
        session = "" if foreign or key else _cookie(headers)
        inside = bool(session) and _is_ours(scope, headers) and self._sessions.known(session)
        if key is not None:
            scopes = frozenset[str](key.scopes)
            return Caller(
                address=address,
                who=who,
                key=key.name,
                scopes=scopes,
                foreign=foreign,
                lane=f"key {key.name}",
                owner=key.sha256[:16],
            )
        if (inside and who != "other") or (who == "self" and not foreign):
            scopes = frozenset[str](("chat", "admin"))
        else:
            scopes = frozenset[str](("chat",) if who in ("self", "unknown") else ())
        if foreign:
            lane = "a page elsewhere"
        elif inside or who == "self":
            lane = "web" if inside else "self"
        else:
            lane = f"uid {known['uid']}" if who == "other" else address or who
        owner = "" if "admin" in scopes else None
        return Caller(address=address, who=who, scopes=scopes, session=inside, foreign=foreign, lane=lane, owner=owner)

    def _who(self, known: dict[str, Any]) -> Who:
        if known and not known["loopback"]:
            return "remote"
        uid = known.get("uid")
        if uid is None:
            return "unknown"
        return "self" if uid == self._uid else "other"

    async def _key(self, headers: Headers) -> Key | None:
        """The key that was shown. Programs that think of a cloud send something: only what looks like ours counts."""
        kind, _, secret = headers.get("authorization", "").partition(" ")
        secret = secret.strip() if kind.lower() == "bearer" else ""
        for shown in (secret, headers.get("x-api-key", "").strip()):
            if shown.startswith(PREFIX):
                key = await asyncio.to_thread(self._keys.check, shown)
                if key is None:
                    raise WrongKey(
                        "This key is not known, or was revoked.", hint="`omni serve key add NAME` makes one."
                    )
                return key
        return None

    # -- what is allowed --------------------------------------------------------------------------------------------

    def _check_reach(self, scope: Scope, caller: Caller, route: Route | None) -> None:
        reach: Access = route.reach if route is not None else "admin"
        if caller.key:
            if reach == "admin" and "admin" not in caller.scopes:
                raise Refused(f"The key {caller.key!r} is for chat only.", hint="Use one of the scope admin.")
            if reach != "anyone" and not caller.scopes:
                raise Refused(f"The key {caller.key!r} is for nothing.")
            return
        if "admin" in caller.scopes:
            return
        if caller.foreign and reach in _NOT_FOR_PAGES:
            raise Refused("A page of another origin may not do this.", hint="Send a key of the scope admin.")
        hint = "Send a key: `omni serve key add NAME` makes one."
        if caller.who == "other":
            raise Refused("This server belongs to another user of this machine.", hint=hint)
        if not caller.foreign and self._is_doorstep(scope["path"]):
            return
        if caller.who == "remote":
            raise Refused("From another machine a key is needed.", hint=hint, status=401)
        if reach == "admin":
            raise Refused("Who asks is not known here, and this needs a key.", hint=hint, status=401)

    def _is_doorstep(self, path: str) -> bool:
        return any(
            path == one or (one.endswith("/") and len(one) > 1 and path.startswith(one)) for one in self._doorstep
        )

    def _route(self, path: str, method: str) -> Route | None:
        """The route of a path; where methods differ, the one of this method."""
        candidates = [route for pattern, route in self._routes if pattern.match(path)]
        wanted = "GET" if method == "HEAD" else method
        return next((route for route in candidates if wanted in route.methods), candidates[0] if candidates else None)

    def _preflight(self, scope: Scope, headers: Headers, origin: str, foreign: bool) -> Response:
        """The browser's question whether a page may ask. With a key every page may: the key decides."""
        asked = [name.strip().lower() for name in headers.get("access-control-request-headers", "").split(",")]
        asked = [name for name in asked if _HEADER.fullmatch(name)][:50]
        method = headers["access-control-request-method"]
        route = self._route(scope["path"], method)
        open_to_apps = route is not None and route.reach not in _NOT_FOR_PAGES and bool(_APPS.fullmatch(origin))
        if foreign and not open_to_apps and not any(name in _SECRETS for name in asked):
            raise Refused("A page of this origin may not ask here without a key.")
        answer = Response(status_code=204)
        answer.headers.update(
            {
                "Access-Control-Allow-Origin": origin,
                "Access-Control-Allow-Methods": ", ".join(route.methods) if route is not None else "GET",
                "Access-Control-Max-Age": "600",
                "Vary": "Origin, Access-Control-Request-Headers",
            }
        )
        if asked:
            answer.headers["Access-Control-Allow-Headers"] = ", ".join(asked)
        if headers.get("access-control-request-private-network") == "true":
            answer.headers["Access-Control-Allow-Private-Network"] = "true"
        return answer


def relay(scope: Scope) -> dict[str, Any]:
    """What the relay says of the connection; empty where there is none."""
    extension: dict[str, Any] = scope.get("extensions", {}).get("omni.relay", {})
    return extension


def _is_look(scope: Scope) -> bool:
    """Whether a program of this machine looks if the server lives, in a version of HTTP that needs no Host header; no
    browser speaks it."""
    old, here = scope.get("http_version") == "1.0", bool(relay(scope).get("loopback"))
    return old and here and scope["path"] == "/health" and scope["method"] in ("GET", "HEAD")


def _name_of(host: str) -> str:
    """The name in a Host header, without its port, in one form."""
    host = host.strip().lower()
    if host.startswith("["):
        name, mark, rest = host[1:].partition("]")
        return name if mark and (not rest or re.fullmatch(r":\d{1,5}", rest)) else ""
    name, _, port = host.partition(":")
    return name.rstrip(".") if not port or re.fullmatch(r"\d{1,5}", port) else ""


def _is_own(scope: Scope, headers: Headers, origin: str) -> bool:
    """Whether an origin is this very server under the name by which it was reached."""
    return origin.lower() == f"{scope['scheme']}://{headers.get('host', '').lower()}"


def _is_foreign(scope: Scope, headers: Headers, origin: str) -> bool:
    site = headers.get("sec-fetch-site", "")
    return bool(origin and not _is_own(scope, headers, origin)) or bool(site and site.lower() not in _OURS)


def _is_ours(scope: Scope, headers: Headers) -> bool:
    """Whether our own page asks: what a browser says by itself, and no page can."""
    origin, site = headers.get("origin", ""), headers.get("sec-fetch-site", "").lower()
    return site == "same-origin" or (not site and bool(origin) and _is_own(scope, headers, origin))


def _cookie(headers: Headers) -> str:
    try:
        cookie = SimpleCookie(headers.get("cookie", "")).get(browser.COOKIE)
    except CookieError:
        return ""
    return cookie.value if cookie is not None else ""


def _readable(send: Send, origin: str) -> Send:
    """Let a page of `origin` read the answer; none when it is empty."""

    async def told(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(raw=list(message["headers"]))
            headers.add_vary_header("Origin")
            if origin:
                headers["Access-Control-Allow-Origin"] = origin
                headers["Access-Control-Expose-Headers"] = _EXPOSED
            message = {**message, "headers": headers.raw}
        await send(message)

    return told
