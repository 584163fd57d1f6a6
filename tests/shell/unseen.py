"""The shell survives its own failures, and a test that does not look for one would, too: it fails instead."""

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture
def fails_on_purpose() -> None:
    """For tests in which something fails that nobody expected."""


@pytest.fixture(autouse=True)
def _nothing_fails_unseen(request: pytest.FixtureRequest) -> Iterator[None]:
    """What the shell says to have failed fails the test in which it did."""
    records: list[logging.LogRecord] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    handler = Kept(logging.ERROR)
    log = logging.getLogger("omni.shell.failures")
    log.addHandler(handler)
    yield
    log.removeHandler(handler)
    if "fails_on_purpose" not in request.fixturenames:
        assert [record.getMessage() for record in records] == []
