"""A project of its own for each test, and a judge with rules."""

from pathlib import Path

import pytest

from omni.core.paths import Home
from omni.hands import ConsentJudge
from tests.hands.hands_tools import Judged, make_project, shell, with_rules


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with keys in it and links that lead out of it."""
    return make_project(tmp_path)


@pytest.fixture
def judge(home: Home) -> ConsentJudge:
    """A judge with the rules that a person would write."""
    return with_rules(home)


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Judged:
    """What is said of a command, in one project for all: judging changes nothing."""
    folder = tmp_path_factory.mktemp("judged")
    project, standing = make_project(folder), with_rules(Home(folder / "home").ensure())
    return lambda command: standing.judge(shell(project, command))
