"""The API of the web interface under requests that nobody would write, through the guard and over a real port."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from omni.engine import ScriptedEngine
from omni.server.app import routes
from tests.server.web_tools import web

TRIES = 8
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
ENDLESS = "/omni/v1/changes"
OPERATIONS = [
    (method, route.path)
    for route in routes(("webapi",))
    for method in route.methods
    if method != "HEAD" and route.path.startswith("/omni/") and route.path != ENDLESS
]

pytestmark = [pytest.mark.real, pytest.mark.filterwarnings("ignore")]


class Pages:
    """A server in a thread of its own, the document that it serves, and a browser's session."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._up = folder, threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    async def _serve(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        async with web(self._folder, ScriptedEngine()) as served:
            self.url, self._token = served.url, served.sessions.token()
            self._up.set()
            await self._over.wait()

    def __enter__(self) -> "Pages":
        self._thread.start()
        assert self._up.wait(20)
        self.headers = {"Origin": self.url, "Sec-Fetch-Site": "same-origin"}
        with httpx.Client(base_url=self.url, headers=self.headers) as client:
            assert client.post("/omni/session", json={"token": self._token}).status_code == 200
            self.cookies = dict(client.cookies)
            self.schema = schemathesis.openapi.from_dict(client.get("/openapi.json").json())
        return self

    def __exit__(self, *_: Any) -> None:
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(20)

    def conversation(self) -> str:
        """A new one with a question and an answer."""
        with httpx.Client(base_url=f"{self.url}/omni/v1", headers=self.headers, cookies=self.cookies) as client:
            name = str(client.post("/conversations", json={}).json()["id"])
            assert client.post(f"/conversations/{name}/ask", json={"text": "Hi"}).status_code == 200
        return name


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    with Pages(tmp_path_factory.mktemp("pages")) as served:
        yield served


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_what_is_answered_is_documented(pages: Pages, method: str, path: str, mode: GenerationMode) -> None:
    operation = pages.schema[path][method]
    if mode == GenerationMode.NEGATIVE and not operation.body:
        return  # nothing in it can be wrong
    name = pages.conversation() if "{id}" in path else ""

    @seed(8080)
    @settings(
        max_examples=TRIES,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def send(case: Any) -> None:
        if mode == GenerationMode.POSITIVE:
            if "{id}" in path and len(json.dumps(case.body if isinstance(case.body, dict) else None)) % 4:
                case.path_parameters["id"] = name  # any other would be answered with the same 404
            if isinstance(case.body, dict) and "brain" in case.body:
                case.body["brain"] = ""
        response = case.call(base_url=pages.url, headers=pages.headers, cookies=pages.cookies)
        assert response.status_code not in (401, 403)
        case.validate_response(response, checks=CHECKS)

    send()
