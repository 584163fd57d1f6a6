"""`omni agent`: a task from the command line, what is asked on the way, and what it changed."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from omni.core import landlock
from tests.cli.conftest import Call
from tests.cli.tools import Cli

with_sandbox = pytest.mark.skipif(
    sys.platform != "linux" or landlock.missing() != "", reason="needs Linux with Landlock"
)


def said(*calls: tuple[str, dict[str, str]]) -> Any:
    """The environment in which the scripted worker makes these calls in turn."""
    lines = [json.dumps({"name": name, "arguments": arguments}) for name, arguments in calls]
    lines.insert(0, lines[0])  # the first grammar of a worker is one that is tried
    return {"OMNI_TEST_SCRIPT": json.dumps({"bound": "\n".join(lines)})}


@pytest.fixture
def project(scripted: Cli) -> Path:
    folder = scripted.folder / "work"
    folder.mkdir()
    (folder / "a.py").write_text("x = 1\n")
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    scripted.folder = folder
    return folder


WRITE = ("write_file", {"path": "a.py", "content": "x = 2\n"})
ANSWER = ("answer", {"text": "It is done."})


def test_agents_are_listed(call: Call) -> None:
    listed = call("agent", "ls")
    assert [line.split()[0] for line in listed.out.splitlines()] == [
        "agent",
        "coder",
        "explainer",
        "reviewer",
        "test-fixer",
    ]
    assert {one["name"] for one in call("agent", "ls", "--json").json} == {
        "coder",
        "explainer",
        "reviewer",
        "test-fixer",
    }
    assert call("agent", "run", "codr", "x").code == 3
    assert "coder" in call("agent", "run", "codr", "x").err
    assert call("agent", "run", "coder", "x", "--yes", "shell").code == 2


@pytest.mark.real
def test_what_a_rule_allows_is_done_and_can_be_taken_back(scripted: Cli, project: Path) -> None:
    script = said(("read_file", {"path": "a.py"}), WRITE, ANSWER)
    ended = scripted.run("agent", "run", "coder", "--yes", "write *.py", "make it 2", **script)
    assert (ended.code, ended.out) == (0, "It is done.\n"), ended
    assert "read_file a.py: ok" in ended.err
    assert (project / "a.py").read_text() == "x = 2\n"
    assert [one["path"] for one in scripted.run("agent", "changes", "--json").json] == [str(project / "a.py")]
    assert "-x = 1\n+x = 2" in scripted.run("agent", "changes", "--diff", "1").out
    assert scripted.run("agent", "undo", "--yes").out == "a.py is as it was before change 1.\n"
    assert (project / "a.py").read_text() == "x = 1\n"
    assert scripted.run("agent", "undo", "--yes").code == 3


@pytest.mark.real
def test_where_nobody_can_be_asked_the_answer_is_no(scripted: Cli, project: Path) -> None:
    ended = scripted.run("agent", "run", "coder", "make it 2", **said(WRITE, ANSWER))
    assert ended.code == 0
    assert "refused" in ended.err
    assert (project / "a.py").read_text() == "x = 1\n"


@pytest.mark.real
def test_events_are_printed_for_programs_and_nobody_is_asked(scripted: Cli, project: Path) -> None:
    events = scripted.run("agent", "run", "coder", "--json", "make it 2", **said(WRITE, ANSWER)).events
    kinds = [event["type"] for event in events]
    assert [kind for kind in kinds if "tool" in kind or "consent" in kind or "question" in kind] == [
        "tool_call_delta",
        "tool_started",
        "consent_needed",
        "question_answered",
        "tool_returned",
    ]
    assert kinds[-1] == "turn_ended"
    assert (project / "a.py").read_text() == "x = 1\n"


@pytest.mark.real
def test_a_person_is_asked_and_enter_means_no(scripted: Cli, project: Path) -> None:
    script = said(WRITE, WRITE, ANSWER)
    terminal = scripted.terminal("agent", "run", "coder", "make it 2", folder=project, **script)
    terminal.read("May it change a.py?")
    terminal.read("+x = 2")
    terminal.read("n=no, o=once, c=for this task, p=always in this project, a=always everywhere] n>")
    terminal.type("\n")
    terminal.read("refused")
    terminal.read("n>")
    terminal.type("x\n")
    terminal.read("is no answer to this")
    terminal.type("o\n")
    terminal.read("It is done.")
    assert terminal.end() == 0
    assert (project / "a.py").read_text() == "x = 2\n"


@pytest.mark.real
@with_sandbox
def test_ctrl_c_stops_a_command_that_runs(scripted: Cli, project: Path) -> None:
    script = said(("run_command", {"command": "touch made; echo begun; sleep 77.25"}), ANSWER)
    terminal = scripted.terminal("agent", "run", "coder", "wait", folder=project, **script)
    terminal.read("n>")
    terminal.type("o\n")
    terminal.read("echo begun; sleep 77.25: running")
    terminal.type("\x03")
    assert terminal.end() == 130
    assert "omni agent undo" in terminal.screen


@pytest.mark.real
def test_another_window_may_answer(scripted: Cli, project: Path) -> None:
    terminal = scripted.terminal("agent", "run", "coder", "make it 2", folder=project, **said(WRITE, ANSWER))
    terminal.read("n>")
    code = (
        "import asyncio, sys\nfrom omni.app import Services\nfrom omni.core.paths import Home\nfrom omni.keeper import start\n"
        "async def main():\n"
        "    home = Home.from_environment()\n"
        "    async with Services(home, starter=start(home, full_screen=False), client='other') as services:\n"
        "        (job,) = [one for one in await services.jobs.others() if one.info.state == 'asking']\n"
        "        await job.answer(job.info.question.id, 'once')\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=scripted.environment, cwd=project, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    terminal.read("It is done.")
    assert terminal.end() == 0
    assert (project / "a.py").read_text() == "x = 2\n"


@pytest.mark.real
def test_a_real_brain_reads_and_answers(starter: Cli) -> None:
    folder = starter.folder / "work"
    folder.mkdir()
    (folder / "colour.txt").write_text("The colour is violet.\n")
    starter.folder = folder
    assert starter.run("config", "set", "chat.max_completion_tokens", "200").code == 0  # greedy, it repeats itself
    ended = starter.run("agent", "run", "explainer", "--steps", "3", "--json", "Read colour.txt. Which colour is it?")
    assert ended.code == 0, ended
    events = ended.events
    assert events[-1]["type"] == "turn_ended"
    calls = [event for event in events if event["type"] == "tool_started"]
    assert calls  # forced: whatever the brain is, each step is a call of a tool that there is, with valid arguments
    assert {event["name"] for event in calls} <= {"read_file", "list_files", "search"}
    assert not [event for event in events if "These are no arguments" in event.get("text", "")]
