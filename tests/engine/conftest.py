"""Engines to try: scripted in process, a scripted worker, and a real worker with the starter brain."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from omni.core.paths import Home
from omni.engine import Engine, WorkerEngine
from omni.keeper import WorkerSpec
from tests.engine.direct import DirectKeeper


def scripted_spec(**settings: int | str) -> WorkerSpec:
    """A worker without a model."""
    settings = {"slots": 4, "context": 512, "cells": 2048, **settings}
    return WorkerSpec(engine="scripted", base="scripted", path="", need_bytes=1 << 20, settings=settings)


def real_spec(gguf: Path, **settings: int | str) -> WorkerSpec:
    """The starter brain, small."""
    settings = {"slots": 4, "context": 2048, "cells": 2048, "threads": 2, **settings}
    return WorkerSpec(engine="xllamacpp", base="starter", path=str(gguf), need_bytes=1 << 29, settings=settings)


@pytest.fixture
async def keeper(home: Home) -> AsyncIterator[DirectKeeper]:
    """Spawns workers and ends them."""
    found = DirectKeeper(home)
    yield found
    await found.close()


@pytest.fixture
def worker_engine(keeper: DirectKeeper) -> Any:
    """Makes an engine over a directly spawned worker."""

    @asynccontextmanager
    async def make(spec: WorkerSpec) -> AsyncIterator[WorkerEngine]:
        engine = WorkerEngine(spec, keeper, name="@omni/test", context_max=8192)  # type: ignore[arg-type]
        try:
            yield engine
        finally:
            await engine.close()

    return make


Make = Callable[..., Engine]
