"""The document of the API: every route is in it, every schema resolves, and what it shows is understood."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from omni.server.app import PROTOCOLS, routes
from omni.server.openapi import document
from omni.server.sessions import Sessions

ALL = ("webapi", *PROTOCOLS)


@pytest.fixture(scope="module")
def whole() -> dict[str, Any]:
    from omni.server.openai.problems import problem

    spec: dict[str, Any] = json.loads(json.dumps(document([*routes(ALL), *Sessions().routes(problem)])))
    return spec


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        for key, value in part.items():
            if key == "$ref" and isinstance(value, str):
                yield value
            elif key == "mapping":
                yield from value.values()
            else:
                yield from references(value)
    elif isinstance(part, list):
        for value in part:
            yield from references(value)


def test_every_route_is_in_it(whole: dict[str, Any]) -> None:
    for route in routes(ALL):
        path = re.sub(r"\{(\w+):\w+\}", r"{\1}", route.path)
        for method in set(route.methods) - {"HEAD"}:
            operation = whole["paths"][path][method.lower()]
            assert operation["x-reach"] in ("anyone", "chat", "programs", "admin")
            assert {"400", "403", "500"} <= set(operation["responses"])
    assert "/omni/session" in whole["paths"]


def test_every_reference_leads_somewhere(whole: dict[str, Any]) -> None:
    refs = set(references(whole))
    assert len(refs) > 100
    for reference in refs:
        part = whole
        for step in reference.removeprefix("#/").split("/"):
            part = part[step]
        assert part
    named = {reference.rpartition("/")[2] for reference in refs}
    assert set(whole["components"]["schemas"]) <= named
    assert all(re.fullmatch(r"[\w.-]+", name) for name in named)


def test_operations_have_names_of_their_own(whole: dict[str, Any]) -> None:
    names = [operation["operationId"] for path in whole["paths"].values() for operation in path.values()]
    assert len(names) == len(set(names))


async def test_it_is_served(serving: Any) -> None:
    async with serving() as bench:
        response = await bench.client.get("/openapi.json")
    assert response.headers["content-type"] == "application/json"
    assert response.json()["paths"].keys() == document(routes())["paths"].keys()
    assert str(Path(__file__).parents[2]) not in response.text


def test_streams_say_what_one_event_is(whole: dict[str, Any]) -> None:
    chat = whole["paths"]["/v1/responses"]["post"]["responses"]["200"]["content"]
    event = chat["text/event-stream"]["schema"]["properties"]["data"]["anyOf"][1]
    events = event["contentSchema"]["anyOf"][0]
    kinds = set(events["discriminator"]["mapping"])
    assert {"response.created", "response.output_text.delta", "response.completed", "response.failed"} <= kinds
    assert "application/x-ndjson" in whole["paths"]["/api/chat"]["post"]["responses"]["200"]["content"]
