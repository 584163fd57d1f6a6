"""Every history that a program may send, in every protocol, on a template of every kind: read through a real worker."""

from pathlib import Path

import httpx
import msgspec
import pytest

from omni.cartridges import Brain
from omni.core.paths import Home
from tests.engine.engine_tools import Worker, real_spec
from tests.history_tools import HISTORIES, PROTOCOLS, body_of
from tests.matrix_tools import Matrix
from tests.server.real_tools import real_server
from tests.template_tools import FAMILIES


def test_the_matrix_is_as_large_as_it_is_said_to_be() -> None:
    assert (len(FAMILIES) >= 12, len(HISTORIES) >= 25, len(PROTOCOLS)) == (True, True, 4)


@pytest.mark.real
@pytest.mark.parametrize("name", FAMILIES)
async def test_no_history_is_refused_no_word_is_lost_and_the_beginning_stays(
    name: str, home: Home, starter_gguf: Path
) -> None:
    family = FAMILIES[name]
    worker = Worker(home, "worker-1", real_spec(starter_gguf, context=512, cells=512, chat_template=family.template))
    try:
        await worker.ready()
        matrix = Matrix(worker.socket, worker.key, moving=family.moving)
        assert await matrix.traits() == family.takes
        assert [fault async for fault in matrix.faults()] == []
    finally:
        worker.close()


PATHS = {
    "chat": "/v1/chat/completions",
    "responses": "/v1/responses",
    "anthropic": "/v1/messages",
    "ollama": "/api/chat",
}
FEW = (
    "reminders behind results",
    "an assistant begins",
    "an agent's loop",
    "arguments that were cut",
    "a cloud's search",
)


@pytest.mark.real
@pytest.mark.parametrize("name", ["strict, nine letters", "user and model only"])
async def test_a_server_answers_to_histories_that_its_brains_template_refuses(
    name: str, tmp_path: Path, starter_gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with real_server(tmp_path / "home", starter_gguf) as real, httpx.AsyncClient(timeout=120) as client:
        library = real.server.services.library
        known = await library.brains()

        async def brains() -> list[Brain]:
            template = FAMILIES[name].template
            return [
                msgspec.structs.replace(one, base=msgspec.structs.replace(one.base, template=template))
                for one in known
                if one.base is not None
            ]

        monkeypatch.setattr(library, "brains", brains)
        for title in FEW:
            for protocol, path in PATHS.items():
                body = body_of(protocol, HISTORIES[title].steps, tools=True)
                short = {"options": {"num_predict": 1}, "stream": False} if protocol == "ollama" else {"max_tokens": 1}
                limit = {"max_output_tokens": 1} if protocol == "responses" else short
                answer = await client.post(f"{real.url}{path}", json={**body, "model": real.brain, **limit})
                assert (title, protocol, answer.status_code) == (title, protocol, 200), answer.text
