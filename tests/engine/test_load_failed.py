"""A worker that ends while it loads is another thing than one that says what is wrong with its file."""

import pytest

from omni.core.errors import EngineError
from omni.engine import LoadFailed
from omni.engine.llama import ended_while_loading


@pytest.mark.parametrize(
    ("told", "failed"),
    [
        ("The brain could not be loaded: it was ended by SIGABRT.", True),
        ("The brain could not be loaded: it was ended by SIGKILL.", True),  # as for want of memory
        ("The brain could not be loaded: it ended with code 1.", True),
        ("The brain could not be loaded: it was ended by SIGTERM.", False),  # somebody wanted that
        ("The brain could not be loaded: it was stopped.", False),
        ("The keeper died.", False),
    ],
)
def test_how_a_worker_ended_is_told_by_its_keepers_words(told: str, failed: bool) -> None:
    failure = ended_while_loading(EngineError(told, hint="its log"))
    assert isinstance(failure, LoadFailed) is failed
    if failure is not None:
        assert (failure.message, failure.hint) == (told, "its log")
