"""Who gets in: every row of the guard's table, and what does not get around it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omni.server.guard import Caller, Guard, _name_of
from omni.server.keys import ApiKeys
from omni.server.openai.problems import problem
from omni.server.protocol import RELAY
from omni.server.routes import Route
from omni.server.sessions import COOKIE, Sessions
from tests.server.server_tools import Answer

ME = 1000
CHAT, ADMIN, ANYONE, UNKNOWN = "/v1/chat/completions", "/api/pull", "/health", "/nothing"
PROGRAMS = "/api/show"
OBSIDIAN, EVIL = "app://obsidian.md", "https://evil.example"


async def nothing(_: Any) -> Any:
    raise AssertionError


async def unread() -> Any:
    raise AssertionError


def route(path: str, reach: Any, *methods: str) -> Route:
    return Route(path=path, methods=methods, endpoint=nothing, reach=reach, problem=problem, summary="")


ROUTES = [
    route(CHAT, "chat", "POST"),
    route("/v1/models/{name:path}", "chat", "GET"),
    route("/v1/models/{name:path}", "admin", "DELETE"),
    route(ADMIN, "admin", "POST"),
    route(ANYONE, "anyone", "GET"),
    route(PROGRAMS, "programs", "POST"),
    route("/omni/session", "admin", "POST"),
]


class Gate:
    """A guard and what came through it."""

    def __init__(self, path: Path) -> None:
        self.keys, self.sessions = ApiKeys(path / "keys.json"), Sessions()
        self.callers: list[Caller] = []
        self.guard = Guard(self.app, ROUTES, keys=self.keys, sessions=self.sessions, names=["Box.local"], uid=ME)

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        self.callers.append(scope["state"]["caller"])
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": b"in"})

    async def ask(
        self,
        path: str = CHAT,
        method: str = "",
        /,
        *,
        uid: int | None = ME,
        loopback: bool = True,
        relayed: bool = True,
        scheme: str = "http",
        version: str = "1.1",
        host: str | None = "127.0.0.1:11434",
        more: Sequence[tuple[bytes, bytes]] = (),
        **headers: str,
    ) -> Answer:
        told = {name.replace("_", "-"): value for name, value in headers.items()}
        raw = [(name.encode(), value.encode("latin-1")) for name, value in told.items()]
        scope: dict[str, Any] = {
            "type": "http",
            "method": method or ("GET" if path == ANYONE else "POST"),
            "path": path,
            "scheme": scheme,
            "http_version": version,
            "client": ("127.0.0.1" if loopback else "10.0.0.9", 5000),
            "headers": [*raw, *more] + ([(b"host", host.encode("latin-1"))] if host is not None else []),
        }
        if relayed:
            local = ("127.0.0.1" if loopback else "10.0.0.1", 11434)
            scope["extensions"] = {RELAY: {"uid": uid, "loopback": loopback, "tls": scheme == "https", "local": local}}
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        await self.guard(scope, unread, send)
        start, *rest = sent
        head = f"HTTP/1.1 {start['status']} X\r\n" + "".join(
            f"{name.decode()}: {value.decode('latin-1')}\r\n" for name, value in start["headers"]
        )
        return Answer(head.encode(), b"".join(each.get("body", b"") for each in rest))

    @property
    def caller(self) -> Caller:
        return self.callers[-1]


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path)


Make = Callable[[], Gate]


async def statuses(gate: Gate, **how: Any) -> list[int]:
    """For anyone, chat, admin, and what is no route."""
    return [(await gate.ask(path, **how)).status for path in (ANYONE, CHAT, ADMIN, UNKNOWN)]


# --- without a key ---


async def test_this_user_may_do_everything(gate: Gate) -> None:
    assert await statuses(gate) == [200] * 4
    assert gate.caller == Caller(
        address="127.0.0.1", who="self", scopes=frozenset({"chat", "admin"}), lane="self", owner=""
    )


async def test_another_user_may_do_nothing(gate: Gate) -> None:
    assert await statuses(gate, uid=65534) == [403] * 4
    assert (await gate.ask("/omni/session", uid=65534)).status == 403
    assert "another user" in (await gate.ask(uid=0)).json["error"]["message"]


async def test_whom_the_kernel_does_not_name_may_chat(gate: Gate) -> None:
    assert await statuses(gate, uid=None) == [200, 200, 401, 401]
    assert await statuses(gate, relayed=False) == [200, 200, 401, 401]
    assert (await gate.ask(ADMIN, uid=None)).headers["www-authenticate"] == "Bearer"
    await gate.ask(uid=None)
    assert (gate.caller.who, gate.caller.scopes) == ("unknown", frozenset({"chat"}))


async def test_another_machine_needs_a_key(gate: Gate) -> None:
    far: dict[str, Any] = {"loopback": False, "uid": None, "host": "10.0.0.1", "scheme": "https"}
    assert await statuses(gate, **far) == [401] * 4
    secret = gate.keys.add("phone")
    assert await statuses(gate, **far, authorization=f"Bearer {secret}") == [200, 200, 403, 403]
    assert (await gate.ask("/omni/session", **far)).status == 200  # to get a session with a token
    assert (await gate.ask("/omni/session/x", **far)).status == 401


# --- keys ---


async def test_dummies_that_clients_send_are_no_keys(gate: Gate) -> None:
    for dummy in ("Bearer x", "Bearer sk-123", "Bearer ollama", "Bearer", "", "Basic b21uaS0=", "Bearer "):
        assert (await gate.ask(authorization=dummy)).status == 200
    assert (await gate.ask(uid=65534, authorization="Bearer x")).status == 403
    assert (await gate.ask(ADMIN, uid=None, authorization="Bearer x")).status == 401


async def test_a_wrong_key_is_refused_and_said_to_be_wrong(gate: Gate) -> None:
    secret = gate.keys.add("a", ("chat", "admin"))
    for wrong in ("omni-", "omni-x", secret[:-1], secret + "\xe9"):
        answer = await gate.ask(authorization=f"Bearer {wrong}")
        assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
        error = answer.json["error"]
        assert (error["type"], error["code"]) == ("invalid_request_error", "invalid_api_key")
        assert (await gate.ask(x_api_key=wrong)).status == 401
    gate.keys.revoke("a")
    assert (await gate.ask(authorization=f"Bearer {secret}")).status == 401
    assert gate.callers == []


async def test_keys_open_what_their_scopes_say(gate: Gate) -> None:
    chat, admin = gate.keys.add("c"), gate.keys.add("a", ("admin", "chat"))
    for how in ({}, {"uid": 65534}, {"uid": None}, {"loopback": False, "host": "10.0.0.1"}):
        assert await statuses(gate, **how, authorization=f"bearer {chat}") == [200, 200, 403, 403]
        assert await statuses(gate, **how, x_api_key=admin) == [200] * 4
    assert (gate.caller.key, gate.caller.lane) == ("a", "key a")


# --- hosts ---


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:80", "box.local", "Box.Local:5", "localhost."]
)
async def test_our_names(gate: Gate, host: str) -> None:
    assert (await gate.ask(host=host)).status == 200


@pytest.mark.parametrize(
    "host",
    [
        None,
        "",
        "evil.example",
        "evil.example:11434",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "localhost@evil.example",
        "localhost:80:80",
        "localhost:x",
        "[::1",
        "[::1]x",
        "10.0.0.1",
        "0.0.0.0",
        "::1",
        "localhost\xe9",
    ],
)
async def test_foreign_names_are_refused_before_anything(gate: Gate, host: str | None) -> None:
    secret = gate.keys.add("a", ("admin",))
    tried: list[dict[str, Any]] = [{}, {"authorization": f"Bearer {secret}"}, {"authorization": "Bearer omni-wrong"}]
    for headers in tried:
        answer = await gate.ask(host=host, **headers)
        assert answer.status == 403
        assert "does not answer to the name" in answer.json["error"]["message"]


async def test_the_address_that_was_dialled_is_a_name(gate: Gate) -> None:
    secret = gate.keys.add("a")
    assert (await gate.ask(loopback=False, host="10.0.0.1:11434", x_api_key=secret)).status == 200
    assert (await gate.ask(loopback=False, host="10.0.0.2:11434", x_api_key=secret)).status == 403


async def test_an_old_look_at_the_health_needs_no_name(gate: Gate) -> None:
    old: dict[str, Any] = {"host": None, "version": "1.0"}
    assert (await gate.ask(ANYONE, **old)).status == 200
    assert (await gate.ask(ANYONE, "HEAD", **old)).status == 200
    assert [(await gate.ask(path, **old)).status for path in (CHAT, ADMIN, UNKNOWN)] == [403] * 3
    assert (await gate.ask(ANYONE, **old | {"host": "evil.example"})).status == 403
    assert (await gate.ask(ANYONE, **old | {"version": "1.1"})).status == 403
    assert (await gate.ask(ANYONE, **old, loopback=False)).status == 403
    assert (await gate.ask(ANYONE, **old, relayed=False)).status == 403
    assert (await gate.ask(ANYONE, **old, uid=65534)).status == 403


async def test_a_refusal_has_the_words_of_its_path_and_a_number(gate: Gate) -> None:
    for path, words, number in (
        ("/api/nothing", {"error"}, "x-request-id"),
        ("/v1/messages/nothing", {"type", "error"}, "request-id"),
        ("/nothing", {"error"}, "x-request-id"),
    ):
        answer = await gate.ask(path, uid=None)
        assert (answer.status, set(answer.json)) == (401, words)
        assert isinstance(answer.json["error"], str) == path.startswith("/api")
        assert answer.headers[number].startswith("req_")


@given(st.text(max_size=30))
def test_any_host_is_a_name_or_none(host: str) -> None:
    assert isinstance(_name_of(host), str)


# --- pages ---


async def test_our_own_page_may_do_everything(gate: Gate) -> None:
    for headers in (
        {"origin": "http://127.0.0.1:11434"},
        {"origin": "http://127.0.0.1:11434", "sec_fetch_site": "same-origin"},
        {"sec_fetch_site": "same-origin"},
        {"sec_fetch_site": "none"},
    ):
        assert await statuses(gate, **headers) == [200] * 4


async def test_a_request_has_one_origin(gate: Gate) -> None:
    for name, ours, theirs in (
        ("origin", "http://127.0.0.1:11434", EVIL),
        ("sec-fetch-site", "same-origin", "cross-site"),
    ):
        both = [(name.encode(), ours.encode()), (name.encode(), theirs.encode())]
        assert (await gate.ask(ADMIN, more=both)).status == 403
        assert (await gate.ask(ADMIN, more=both[:1])).status == 200


async def test_only_who_may_do_everything_or_has_a_key_keeps_answers(gate: Gate) -> None:
    asked: tuple[tuple[dict[str, Any], str | None], ...] = (
        ({}, ""),
        ({"origin": OBSIDIAN}, None),
        ({"uid": None}, None),
    )
    for how, owner in asked:
        assert (await gate.ask(**how)).status == 200
        assert gate.caller.owner == owner
    owners = []
    for _ in range(2):
        secret = gate.keys.add("phone")
        await gate.ask(authorization=f"Bearer {secret}", origin=EVIL)
        owners.append(gate.caller.owner)
        gate.keys.revoke("phone")
    assert all(owners)
    assert owners[0] != owners[1]  # a new key of an old name inherits nothing


async def test_what_only_programs_may_ask(gate: Gate) -> None:
    secret = gate.keys.add("a")
    assert (await gate.ask(PROGRAMS)).status == 200
    assert (await gate.ask(PROGRAMS, uid=None)).status == 200
    assert (await gate.ask(PROGRAMS, uid=65534)).status == 403
    assert (await gate.ask(PROGRAMS, loopback=False, host="10.0.0.1")).status == 401
    for origin in (OBSIDIAN, EVIL):
        assert (await gate.ask(PROGRAMS, origin=origin)).status == 403
        assert (await gate.ask(PROGRAMS, origin=origin, x_api_key=secret)).status == 200
        preflight = await gate.ask(PROGRAMS, "OPTIONS", origin=origin, access_control_request_method="POST")
        assert preflight.status == 403


def test_what_a_page_of_elsewhere_may_not_ask() -> None:
    from omni.server.app import routes

    assert {each.path for each in routes() if each.reach == "programs"} == {"/api/show", "/api/ps", "/tokenize"}
    assert {each.path for each in routes() if each.reach == "anyone"} == {
        "/",
        "/health",
        "/api/version",
        "/openapi.json",
    }


async def test_a_null_origin_may_do_nothing_at_all(gate: Gate) -> None:
    secret = gate.keys.add("a", ("chat", "admin"))
    assert await statuses(gate, origin="null") == [403] * 4
    assert await statuses(gate, origin="null", authorization=f"Bearer {secret}") == [403] * 4
    preflight = await gate.ask(CHAT, "OPTIONS", origin="null", access_control_request_method="POST")
    assert preflight.status == 403
    assert "access-control-allow-origin" not in preflight.headers


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": EVIL},
        {"origin": OBSIDIAN},
        {"origin": "http://127.0.0.1:8080"},
        {"origin": "https://127.0.0.1:11434"},
        {"origin": "http://127.0.0.1:11434.evil.example"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"sec_fetch_site": "something new"},
        {"origin": "http://127.0.0.1:11434", "sec_fetch_site": "cross-site"},
        {"origin": EVIL, "sec_fetch_site": "same-origin"},
    ],
)
async def test_a_foreign_page_may_chat_and_nothing_else(gate: Gate, headers: dict[str, Any]) -> None:
    assert await statuses(gate, **headers) == [200, 200, 403, 403]
    assert (gate.caller.foreign, gate.caller.lane) == (True, "a page elsewhere")
    assert (await gate.ask("/v1/models/x", "GET", **headers)).status == 200
    assert (await gate.ask("/v1/models/x", "DELETE", **headers)).status == 403
    assert (await gate.ask("/omni/session", **headers)).status == 403
    assert await statuses(gate, uid=65534, **headers) == [403] * 4


@pytest.mark.parametrize(
    ("origin", "readable"),
    [
        (OBSIDIAN, True),
        ("vscode-webview://1a2b", True),
        ("vscode-file://vscode-app", True),
        ("tauri://localhost", True),
        ("http://localhost:3000", True),
        ("http://[::1]:3000", True),
        (EVIL, False),
        ("http://localhost.evil.example", False),
        ("file://", False),
    ],
)
async def test_only_apps_of_this_machine_may_read_the_answer(gate: Gate, origin: str, readable: bool) -> None:
    answer = await gate.ask(origin=origin)
    assert answer.headers.get("access-control-allow-origin") == (origin if readable else None)
    assert answer.headers["vary"] == "Origin"
    assert "access-control-allow-credentials" not in answer.headers
    refused = await gate.ask(ADMIN, origin=origin)  # and so that an app can say why it was refused
    assert refused.status == 403
    assert refused.headers.get("access-control-allow-origin") == (origin if readable else None)


async def test_a_key_lets_any_page_in_and_read(gate: Gate) -> None:
    chat, admin = gate.keys.add("c"), gate.keys.add("a", ("admin", "chat"))
    assert await statuses(gate, origin=EVIL, authorization=f"Bearer {chat}") == [200, 200, 403, 403]
    assert await statuses(gate, origin=EVIL, authorization=f"Bearer {admin}") == [200] * 4
    answer = await gate.ask(origin=EVIL, authorization=f"Bearer {chat}")
    assert answer.headers["access-control-allow-origin"] == EVIL


async def test_the_browsers_question_before_a_request(gate: Gate) -> None:
    stainless = "authorization,content-type,x-stainless-arch,x-stainless-os"

    async def ask(path: str, origin: str, headers: str, method: str = "POST") -> Answer:
        return await gate.ask(
            path,
            "OPTIONS",
            origin=origin,
            access_control_request_method=method,
            access_control_request_headers=headers,
            access_control_request_private_network="true",
        )

    answer = await ask(CHAT, OBSIDIAN, stainless)
    assert answer.status == 204
    assert answer.headers["access-control-allow-origin"] == OBSIDIAN
    assert answer.headers["access-control-allow-headers"] == stainless.replace(",", ", ")
    assert answer.headers["access-control-allow-methods"] == "POST"
    assert answer.headers["access-control-allow-private-network"] == "true"
    assert (await ask(CHAT, OBSIDIAN, "")).status == 204
    assert (await ask(CHAT, EVIL, "content-type")).status == 403
    assert (await ask(CHAT, EVIL, stainless)).status == 204  # the key will decide
    assert (await ask(ADMIN, OBSIDIAN, "content-type")).status == 403
    assert (await ask("/v1/models/x", OBSIDIAN, "", "DELETE")).status == 403
    assert (await ask("/v1/models/x", OBSIDIAN, "", "GET")).status == 204
    strange = await ask(CHAT, OBSIDIAN, "a b, x\xe9, ok, " + "y" * 200)
    assert strange.headers["access-control-allow-headers"] == "ok"
    assert gate.callers == []


# --- sessions ---


async def test_a_session_counts_for_our_own_page_alone(gate: Gate) -> None:
    session = gate.sessions.exchange(gate.sessions.token())
    cookie = f"a=b; {COOKIE}={session}"
    own = {"cookie": cookie, "sec_fetch_site": "same-origin"}
    assert await statuses(gate, uid=None, **own) == [200] * 4
    assert (gate.caller.session, gate.caller.lane) == (True, "web")
    assert await statuses(gate, uid=None, cookie=cookie, origin="http://127.0.0.1:11434") == [200] * 4
    far: dict[str, Any] = {"loopback": False, "uid": None, "host": "10.0.0.1", "scheme": "https"}
    assert await statuses(gate, **far, **own) == [200] * 4
    others: list[dict[str, Any]] = [
        {"cookie": cookie},
        {"cookie": cookie, "sec_fetch_site": "none"},
        {"cookie": cookie, "sec_fetch_site": "cross-site"},
        {"cookie": cookie, "sec_fetch_site": "same-site"},
        {"cookie": cookie, "origin": EVIL},
        {"cookie": cookie, "origin": EVIL, "sec_fetch_site": "same-origin"},
        {"cookie": f"{COOKIE}=wrong", "sec_fetch_site": "same-origin"},
        {"cookie": f"{COOKIE}=", "sec_fetch_site": "same-origin"},
        {"cookie": "=;;\xff", "sec_fetch_site": "same-origin"},
    ]
    for other in others:
        assert (await gate.ask(ADMIN, uid=None, **other)).status in (401, 403)
    # A neighbour's web server on this machine is sent the cookie, too: it does not open anything to the neighbour.
    assert await statuses(gate, uid=65534, **own) == [403] * 4


async def test_what_is_no_request_is_left_alone(gate: Gate) -> None:
    await gate.guard({"type": "websocket"}, unread, nothing)
    assert gate.callers == []
