"""Several attempts at what is wrong, tried in a copy: the first that makes the check succeed is proposed, and nothing else changes."""

import asyncio
import sys
from pathlib import Path

import pytest

from omni.agents.attempts import Attempts
from omni.agents.candidates import mendable
from omni.agents.checks import check_of
from omni.core import landlock
from omni.core.events import ConsentNeeded, ToolOutput, ToolReturned
from omni.engine import ChatRequest, ScriptedEngine
from omni.hands import policy_for
from tests.agents.agent_tools import Work

with_sandbox = pytest.mark.skipif(
    sys.platform != "linux" or landlock.missing() != "", reason="needs Linux with Landlock"
)
CHECK = "grep -q 'a + b' src/app.py && test ! -e made"


def attempts(work: Work, engine: ScriptedEngine, check: str = CHECK) -> None:
    """Give the tool to the box."""
    scratch = work.project.parent / "scratch"

    async def opened() -> ScriptedEngine:
        return engine

    tool = Attempts(
        opened,
        ChatRequest(messages=()),
        check=check,
        candidates=mendable(work.project),
        scratch=scratch,
        policy=lambda at, seconds: policy_for(
            at, scratch, home=work.project.parent, omni=work.home.root, outside={}, seconds=seconds
        ),
    ).tool
    work.boxed(tools=(tool,))


def answers(*texts: str) -> ScriptedEngine:
    return ScriptedEngine([f"```python\n{text}\n```" for text in texts])


@with_sandbox
async def test_the_first_correction_that_makes_the_check_succeed_is_asked_and_kept(shell_work: Work) -> None:
    work = shell_work
    attempts(
        work, engine := answers("def add(a, b):\n    return a * b", "no code (", "def add(a, b):\n    return a + b")
    )
    work.person.answers = ["once"]
    events = await work.events("mend_symbol", where="src/app.py::add")
    (needed,) = [event for event in events if isinstance(event, ConsentNeeded)]
    assert "+    return a + b" in needed.shown
    assert needed.act == "change src/app.py"
    assert "the check succeeds" in [event.text for event in events if isinstance(event, ToolOutput)][-1]
    ended = events[-1]
    assert isinstance(ended, ToolReturned)
    assert ended.text == f"src/app.py is changed. `{CHECK}` succeeds with it."
    assert (work.project / "src/app.py").read_text() == "def add(a, b):\n    return a + b\n"
    assert "return a - b" in engine.requests[0].messages[1].text
    work.changes.undo(str(work.project))
    assert "a - b" in (work.project / "src/app.py").read_text()


@with_sandbox
async def test_while_corrections_are_tried_the_project_stays_as_it_is(shell_work: Work) -> None:
    work = shell_work
    check = f"test ! -e {work.project}/made && touch made && false"
    work.allow("shell", "test")
    work.allow("shell", "touch")
    work.allow("shell", "false")
    work.allow("write", "**")
    attempts(work, answers("def add(a, b):\n    return 1", "def add(a, b):\n    return 2"), check)
    work.person.answers = ["once"]
    ended = await work.call("mend_symbol", where="src/app.py::add")
    assert (ended.outcome, "None of 2 different corrections" in ended.text) == ("failed", True)
    assert not (work.project / "made").exists()
    assert (work.project / "src/app.py").read_text() == "def add(a, b):\n    return a - b\n"
    assert work.changes.made(str(work.project)) == []


@with_sandbox
async def test_what_the_person_does_not_want_is_not_kept(shell_work: Work) -> None:
    work = shell_work
    attempts(work, answers("def add(a, b):\n    return a + b"))
    ended = await work.call("mend_symbol", where="src/app.py::add")
    assert (ended.outcome, "does not want" in ended.text) == ("failed", True)
    assert "a - b" in (work.project / "src/app.py").read_text()


@with_sandbox
async def test_nothing_is_mended_where_the_check_succeeds(shell_work: Work) -> None:
    work = shell_work
    attempts(work, engine := answers("x"), "grep -q 'a - b' src/app.py")
    assert "succeeds already" in (await work.call("mend_symbol", where="src/app.py::add")).text
    assert engine.requests == []


async def test_a_brain_chooses_among_what_there_is(work: Work) -> None:
    attempts(work, answers("x"))
    schema = work.box.offered[0].parameters
    assert schema["properties"]["where"]["enum"] == ["src/app.py::add"]
    assert (await work.call("mend_symbol", where="src/other.py::sub")).outcome == "failed"
    assert work.person.asked == []


def test_what_tests_name_stands_first(project: Path) -> None:
    (project / "tests").mkdir()
    (project / "tests" / "test_it.py").write_text("from util import late\n\ndef test_late():\n    assert late()\n")
    (project / "src" / "util.py").write_text("class A:\n    def m(self): pass\n\ndef late(): pass\n")
    (project / "broken.py").write_bytes(b"\xff")
    (project / ".env.py").write_text("def secret(): pass\n")
    assert mendable(project) == ["src/util.py::late", "src/app.py::add", "src/util.py::A.m"]


@pytest.mark.parametrize(
    ("files", "check"),
    [
        ({}, ""),
        ({"test_a.py": "def test_a(): pass\n"}, "python3 -m pytest -q"),
        ({"tests/deep/test_a.py": "import pytest\n"}, "python3 -m pytest -q"),
        ({"test_a.py": "import unittest\n"}, "python3 -m unittest -q"),
        ({"test_a.py": "import unittest\n", "pyproject.toml": "[tool.pytest.ini_options]\n"}, "python3 -m pytest -q"),
        ({"package.json": '{"scripts": {"test": "node t.js"}}'}, "npm test --silent"),
        ({"package.json": "["}, ""),
        ({"Cargo.toml": ""}, "cargo test -q"),
        ({"go.mod": ""}, "go test ./..."),
        ({"Makefile": "all:\n\ntest: all\n\ttrue\n"}, "make test"),
    ],
)
def test_how_a_project_is_tested_is_told_by_what_lies_in_it(tmp_path: Path, files: dict[str, str], check: str) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert check_of(tmp_path) == check


@with_sandbox
async def test_stopping_ends_all_attempts(shell_work: Work) -> None:
    from omni.core.messages import ToolCallPart
    from omni.engine import Reply
    from tests.waiting import until

    work, gate = shell_work, asyncio.Event()
    engine = ScriptedEngine([Reply(text="a b", gates={1: gate})])
    attempts(work, engine)
    call = ToolCallPart(id="a", name="mend_symbol", arguments='{"where": "src/app.py::add"}')

    async def listen() -> None:
        async for _ in work.box.run(call):
            pass

    task = asyncio.create_task(listen())
    await until(lambda: len(engine.requests) == 6)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await until(lambda: engine.cancelled == 6)
