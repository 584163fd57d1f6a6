"""The loop of the shell is watched in every test of this room."""

from collections.abc import Iterator

import pytest
from blockbuster import blockbuster_ctx


@pytest.fixture(autouse=True)
def _nothing_blocks() -> Iterator[None]:
    """The loop of the shell may not wait for a file, a lock or a sleep."""
    with blockbuster_ctx("omni.shell") as watched:
        for function in watched.functions.values():
            function.can_block_in("tests/shell/fakes.py", "shell")  # in life the app is made before the loop
        yield
