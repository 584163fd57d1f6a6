"""One-time tokens and sessions, on a clock that tests move."""

from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Route as Path
from starlette.testclient import TestClient

from omni.server.openai.problems import problem
from omni.server.sessions import COOKIE, MOST, PATH, SESSION_SECONDS, TOKEN_SECONDS, Sessions


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sessions(clock: Clock) -> Sessions:
    return Sessions(clock)


def test_a_token_is_good_once(sessions: Sessions) -> None:
    token = sessions.token()
    session = sessions.exchange(token)
    assert session
    assert sessions.known(session)
    assert sessions.exchange(token) is None
    assert not sessions.known(token)
    assert sessions.exchange("") is None
    assert not sessions.known("")


def test_a_token_is_good_for_a_minute(sessions: Sessions, clock: Clock) -> None:
    early, late = sessions.token(), sessions.token()
    clock.now += TOKEN_SECONDS - 1
    assert sessions.exchange(early)
    clock.now += 1
    assert sessions.exchange(late) is None


def test_a_session_lasts_while_it_is_used(sessions: Sessions, clock: Clock) -> None:
    session = sessions.exchange(sessions.token())
    assert session
    for _ in range(5):
        clock.now += SESSION_SECONDS - 1
        assert sessions.known(session)
    clock.now += SESSION_SECONDS
    assert not sessions.known(session)


def test_there_are_so_many_and_the_one_unused_longest_goes(sessions: Sessions) -> None:
    made = [sessions.exchange(sessions.token()) or "" for _ in range(MOST)]
    assert sessions.known(made[0])
    sessions.exchange(sessions.token())
    assert sessions.known(made[0])
    assert not sessions.known(made[1])
    sessions.end(made[0])
    assert not sessions.known(made[0])


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_cookie_is_for_us_alone(sessions: Sessions, scheme: str) -> None:
    async def told(route: Any, request: Any) -> Any:
        try:
            return await route.endpoint(request)
        except Exception as error:  # what the application does with it
            return route.problem(error)

    def endpoint(route: Any) -> Any:
        async def one(request: Any) -> Any:
            return await told(route, request)

        return one

    app = Starlette(routes=[Path(r.path, endpoint(r), methods=list(r.methods)) for r in sessions.routes(problem)])
    with TestClient(app, base_url=f"{scheme}://localhost") as client:
        assert client.post(PATH, json={"token": "wrong"}).status_code == 401
        assert client.post(PATH, content=b"\xff").status_code == 400
        assert client.post(PATH, json=[]).status_code == 400
        assert "longer" in client.post(PATH, json={"token": "x" * 2000}).text  # anybody may send one
        answer = client.post(PATH, json={"token": sessions.token()})
        cookie = answer.headers["set-cookie"]
        assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
        assert ("Secure" in cookie.split("; ")) == (scheme == "https")
        assert sessions.known(client.cookies[COOKIE])
        name = client.cookies[COOKIE]
        client.delete(PATH)
        assert not sessions.known(name)
        assert COOKIE not in client.cookies
