"""A project to work in, with a real sandbox where it is needed."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from omni.core.paths import Home
from tests.agents.agent_tools import Work
from tests.keeper_tools import kept


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "person" / "project"
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "app.py").write_text("def add(a, b):\n    return a - b\n")
    (folder / "README.md").write_text("A project.\n")
    (folder / ".env").write_text("KEY=1\n")
    (folder.parent / "diary.txt").write_text("mine alone\n")
    return folder


@pytest.fixture
def work(home: Home, project: Path) -> Work:
    """Tools that need no sandbox."""
    return Work(home, project)


@pytest.fixture
async def shell_work(home: Home, project: Path) -> AsyncIterator[Work]:
    """The same with a keeper that starts the sandbox."""
    async with kept(home) as keeper:
        yield Work(home, project, keeper)
