"""The fixture that the other tests of a listening server stand on."""

from typing import Any

import httpx


async def test_a_live_server_answers_on_its_port(live: Any) -> None:
    async with live() as bench, httpx.AsyncClient(base_url=bench.url) as client:
        response = await client.get("/nowhere")
        assert response.status_code == 404
        assert "Nothing answers" in response.json()["error"]["message"]
