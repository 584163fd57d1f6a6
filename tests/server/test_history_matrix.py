"""Every history that a program may send, in every protocol, on a template of every kind: read through a real worker."""

from pathlib import Path

import pytest

from omni.core.paths import Home
from tests.engine.engine_tools import Worker, real_spec
from tests.history_tools import HISTORIES, PROTOCOLS
from tests.matrix_tools import Matrix
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
