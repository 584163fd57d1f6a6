"""Every call is proved, judged and asked about before anything is done, and the record says how it ended."""

import asyncio
import subprocess
import sys
from contextlib import aclosing

import pytest

from omni.agents.asking import ask_brain
from omni.cartridges import Brain
from omni.core import landlock
from omni.core.errors import NotFound
from omni.core.events import PersonAsked, QuestionAnswered, ToolOutput, ToolReturned, ToolStarted
from omni.core.messages import ToolCallPart
from omni.engine import ScriptedEngine
from tests.agents.agent_tools import Work
from tests.waiting import until

with_sandbox = pytest.mark.skipif(
    sys.platform != "linux" or landlock.missing() != "", reason="needs Linux with Landlock"
)


async def test_looking_is_free_in_the_project_and_asked_outside(work: Work) -> None:
    assert (await work.call("read_file", path="src/app.py")).text == "def add(a, b):\n    return a - b\n"
    assert (await work.call("list_files")).text.splitlines() == [".env", "README.md", "src/app.py"]
    assert (await work.call("list_files", path="src", pattern="*.py")).text == "src/app.py"
    assert (await work.call("list_files", pattern="**/*.md")).text == "README.md"
    assert work.person.asked == []
    refused = await work.call("read_file", path="../diary.txt")
    assert (refused.outcome, "mine" in refused.text) == ("refused", False)
    assert (await work.call("read_file", path=".env")).outcome == "refused"
    assert len(work.person.asked) == 2
    work.person.answers = ["once"]
    assert (await work.call("read_file", path="../diary.txt")).text == "mine alone\n"
    assert (await work.call("read_file", path="../diary.txt")).outcome == "refused"  # it was allowed once


async def test_a_part_of_a_file_says_which_part_it_is(work: Work) -> None:
    (work.project / "long.txt").write_text("".join(f"line {number}\n" for number in range(1, 901)))
    first = (await work.call("read_file", path="long.txt")).text
    assert first.startswith("[lines 1 to 400 of 900]\nline 1\n")
    assert (await work.call("read_file", path="long.txt", first_line=899)).text == (
        "[lines 899 to 900 of 900]\nline 899\nline 900\n"
    )
    assert "has 900 lines" in (await work.call("read_file", path="long.txt", first_line=901)).text


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("nothing", "{}", "There is no tool 'nothing'."),
        ("read_fil", "{}", "Did you mean"),
        ("read_file", "{", "The arguments are no JSON"),
        ("read_file", "{}", "It takes path: string, [first_line: integer], [lines: integer]."),
        ("read_file", '{"path": 7}', "These are no arguments of read_file"),
        ("read_file", '{"path": "absent.py"}', "There is no file absent.py."),
        ("read_file", '{"path": "src"}', "is a folder"),
        ("read_file", '{"path": "a\\u0000b"}', "cannot be followed"),
        ("list_files", '{"path": "README.md"}', "There is no folder README.md."),
        ("edit_file", '{"path": "README.md", "old": "no such line", "new": ""}', "do not stand in README.md"),
        ("edit_file", '{"path": "absent.py", "old": "a", "new": "b"}', "There is no file absent.py."),
        ("write_file", '{"path": "README.md", "content": "A project.\\n"}', "nothing would change"),
        ("search", '{"text": "a\\nb"}', "one line"),
    ],
)
async def test_what_is_no_call_is_told_so_that_it_can_be_mended(
    work: Work, name: str, arguments: str, words: str
) -> None:
    async with aclosing(work.box.run(ToolCallPart(id="a", name=name, arguments=arguments))) as events:
        told = [event async for event in events]
    assert [type(event) for event in told] == [ToolStarted, ToolReturned]
    assert isinstance(told[-1], ToolReturned)
    assert told[-1].outcome == "failed"
    assert words in told[-1].text
    assert work.person.asked == []


async def test_a_change_is_shown_asked_done_and_taken_back(work: Work) -> None:
    arguments = {"path": "src/app.py", "old": "return a - b", "new": "return a + b"}
    asked = await work.consent("edit_file", **arguments)
    assert asked.act == "change src/app.py"
    assert "-    return a - b\n+    return a + b" in asked.shown
    assert asked.answers == ("no", "once", "conversation", "project", "always")
    assert "a - b" in (work.project / "src/app.py").read_text()
    work.person.answers = ["conversation"]
    assert (await work.call("edit_file", **arguments)).text == "src/app.py is changed."
    assert (work.project / "src/app.py").read_text() == "def add(a, b):\n    return a + b\n"
    back = {"path": "src/app.py", "old": "a + b", "new": "b + a"}
    assert (await work.call("edit_file", **back)).outcome == "done"  # allowed for this conversation
    work.changes.undo(str(work.project))
    assert "a + b" in (work.project / "src/app.py").read_text()


async def test_a_file_that_changed_while_the_person_thought_is_left_alone(work: Work) -> None:
    path = work.project / "src/app.py"
    work.person.meanwhile, work.person.answers = lambda: path.write_text("theirs\n"), ["once"]
    ended = await work.call("write_file", path="src/app.py", content="ours\n")
    assert (ended.outcome, "changed meanwhile" in ended.text) == ("failed", True)
    assert path.read_text() == "theirs\n"


async def test_keys_and_what_omni_keeps_are_not_changed(work: Work) -> None:
    assert (await work.call("write_file", path=".env", content="x")).outcome == "failed"  # reading it is asked
    assert (await work.call("write_file", path=str(work.home.consent), content="{}")).outcome == "failed"
    assert not work.home.consent.exists()


async def test_newlines_and_the_mark_at_the_beginning_stay(work: Work) -> None:
    work.allow("write", "**")
    path = work.project / "dos.txt"
    path.write_bytes(b"\xef\xbb\xbfone\r\ntwo\r\nthree")
    await work.call("edit_file", path="dos.txt", old="two\n", new="2\nand\n")
    assert path.read_bytes() == b"\xef\xbb\xbfone\r\n2\r\nand\r\nthree"
    await work.call("write_file", path="dos.txt", content="a\nb\n")
    assert path.read_bytes() == b"\xef\xbb\xbfa\r\nb\r\n"


async def test_lines_are_found_without_their_blanks_and_only_once(work: Work) -> None:
    work.allow("write", "**")
    path = work.project / "a.py"
    path.write_text("if x:\n        y = 1\n        z = 2\nelse:\n        y = 1\n")
    assert "stand 2 times" in (await work.call("edit_file", path="a.py", old="y = 1", new="y = 2")).text
    await work.call("edit_file", path="a.py", old="  y = 1\n  z = 2\n", new="        y = 3\n")
    assert path.read_text() == "if x:\n        y = 3\nelse:\n        y = 1\n"


async def test_code_is_edited_by_the_name_of_a_symbol(work: Work) -> None:
    work.allow("write", "**")
    assert (await work.call("outline_file", path="src/app.py")).text == "1-2: function add"
    await work.call("edit_symbol", path="src/app.py", symbol="add", text="def add(a, b):\n  return a + b")
    assert (work.project / "src/app.py").read_text() == "def add(a, b):\n  return a + b\n"
    gone = await work.call("edit_symbol", path="src/app.py", symbol="sub", text="x")
    assert (gone.outcome, "There is no 'sub' in it." in gone.text) == ("failed", True)
    assert "not known" in (await work.call("outline_file", path="README.md")).text
    broken = await work.call("write_file", path="src/app.py", content="def add(:\n")
    assert "But it does not parse: line 1" in broken.text


async def test_a_denied_act_is_not_asked_and_not_done(work: Work) -> None:
    work.allow("write", "src/**", "deny")
    ended = await work.call("write_file", path="src/app.py", content="x")
    assert (ended.outcome, work.person.asked) == ("denied", [])
    assert "a rule denies it" in ended.text


async def test_the_person_is_asked_and_what_they_say_comes_back(work: Work) -> None:
    work.person.answers = ["blue"]
    events = await work.events("ask_person", question="Which colour?", choices=["red", "blue"])
    assert [type(event) for event in events] == [ToolStarted, PersonAsked, QuestionAnswered, ToolReturned]
    assert work.person.asked == [("Which colour?", ("red", "blue"))]
    assert events[-1].text == "blue"  # type: ignore[union-attr] # the last event has one


async def test_a_long_result_is_cut_with_a_mark_and_kept_whole(work: Work) -> None:
    text = "".join(f"{number} " * 40 + "\n" for number in range(300))
    (work.project / "long.txt").write_text(text)
    ended = await work.call("read_file", path="long.txt")
    assert len(ended.text) < 8300
    assert f"the whole is kept as {ended.artifact}" in ended.text
    assert work.artifacts.read(ended.artifact) == text


async def test_the_record_has_what_was_judged_answered_and_done(work: Work) -> None:
    work.person.answers = ["once"]
    await work.call("write_file", path="new.txt", content="secret words")
    await work.call("write_file", path="other.txt", content="x")
    lines = work.recorded()
    outcomes = [line["outcome"] for line in lines]
    assert outcomes == ["allowed: once", "begins", "created, change 1", "refused"]
    assert "secret" not in str(lines)
    assert {line["agent"] for line in lines} == {"tester"}


@with_sandbox
async def test_a_command_is_asked_runs_behind_the_walls_and_tells_its_code(shell_work: Work) -> None:
    work = shell_work
    command = "cat src/app.py; cat ../diary.txt; make install; exit 3"
    asked = await work.consent("run_command", command=command)
    assert asked.shown == command
    assert any(reason.startswith("make install: ") for reason in asked.reasons)
    work.person.answers = ["once"]
    events = await work.events("run_command", command=command)
    assert "def add" in "".join(event.text for event in events if isinstance(event, ToolOutput))
    ended = events[-1]
    assert isinstance(ended, ToolReturned)
    assert ended.outcome == "failed"
    assert ended.text.endswith("[exit code 3]")
    assert "mine alone" not in ended.text
    assert (
        await work.call("run_command", command="grep -c add src/app.py")
    ).text == "1\n[exit code 0]"  # it only reads
    work.allow("shell", "touch")
    work.allow("write", "**")
    assert (await work.call("run_command", command="touch made")).outcome == "done"
    assert (work.project / "made").exists()
    assert len(work.person.asked) == 2


@with_sandbox
async def test_the_check_is_wanted_again_after_each_change(shell_work: Work) -> None:
    work = shell_work
    work.allow("write", "**")
    check = "grep -q 'a + b' src/app.py"
    box = work.boxed(check=check)
    calls = (
        ("run_command", {"command": check}),
        ("edit_file", {"path": "src/app.py", "old": "a - b", "new": "a + b"}),
        ("run_command", {"command": check}),
        ("read_file", {"path": "src/app.py"}),
        ("edit_file", {"path": "src/app.py", "old": "a + b", "new": "b + a"}),
    )
    wanted = [(await work.call(name, **arguments), box.check is not None)[1] for name, arguments in calls]
    assert wanted == [True, True, False, False, True]


@with_sandbox
async def test_a_python_program_runs_and_a_limit_is_named(shell_work: Work) -> None:
    work = shell_work
    work.person.answers = ["once", "once"]
    assert (await work.call("run_python", code="print('it''s', 6 * 7)")).text == "its 42\n[exit code 0]"
    slow = await work.call("run_command", command="sleep 30", seconds=1)
    assert (slow.outcome, "the most that it may take" in slow.text) == ("failed", True)


@with_sandbox
async def test_a_text_is_found_where_it_stands_and_keys_are_not(shell_work: Work) -> None:
    work = shell_work
    assert (await work.call("search", text="a - b")).text == "src/app.py:2:    return a - b"
    assert (await work.call("search", text="^def +[a-z]+", regex=True)).text == "src/app.py:1:def add(a, b):"
    assert (await work.call("search", text="KEY=1")).text == "[nothing found]"
    assert "extended regular expression" in (await work.call("search", text="(", regex=True)).text
    await asyncio.to_thread(subprocess.run, ["git", "init", "-q", str(work.project)], check=True)
    (work.project / ".gitignore").write_text("built/\n")
    (work.project / "built").mkdir()
    (work.project / "built" / "app.js").write_text("a - b\n")
    assert (await work.call("search", text="a - b")).text == "src/app.py:2:    return a - b"
    assert (await work.call("search", text="a - b", path="src")).text == "src/app.py:2:    return a - b"


@with_sandbox
async def test_who_stops_listening_ends_the_command_and_the_record_says_so(shell_work: Work) -> None:
    work = shell_work
    work.person.answers = ["once"]
    call = ToolCallPart(id="a", name="run_command", arguments='{"command": "echo on; sleep 60; touch made"}')
    async with aclosing(work.box.run(call)) as events:
        async for event in events:
            if isinstance(event, ToolOutput):
                break
    await until(lambda: work.recorded()[-1]["outcome"] == "stopped")


@with_sandbox
async def test_calls_that_only_look_may_run_beside_each_other_and_no_others(shell_work: Work) -> None:
    work = shell_work

    async def free(name: str, arguments: str) -> bool:
        return await work.box.is_free(ToolCallPart(id="a", name=name, arguments=arguments))

    assert await free("read_file", '{"path": "README.md"}')
    assert await free("read_file", '{"path": 7}')  # it fails
    assert not await free("read_file", '{"path": "../diary.txt"}')
    assert not await free("write_file", '{"path": "a", "content": ""}')
    assert not await free("run_command", '{"command": "ls"}')
    assert not await free("ask_person", '{"question": "?"}')
    both = await asyncio.gather(work.call("search", text="a - b"), work.call("search", text="A project"))
    assert [one.outcome for one in both] == ["done", "done"]


async def test_another_brain_is_asked_with_its_own_prompt_and_nothing_else(work: Work) -> None:
    async def get(name: str) -> Brain:
        if name != "@omni/other":
            raise NotFound(f"There is no brain {name!r}.")
        return Brain(name=name, state="ready", prompt="Be brief.")

    engine = ScriptedEngine(["Forty two."])

    async def opened(brain: Brain) -> ScriptedEngine:
        return engine

    work.boxed(tools=(ask_brain(get, opened),))
    ended = await work.call("ask_brain", brain="@omni/other", question="What is six times seven?")
    assert (ended.text, ended.outcome) == ("Forty two.", "done")
    (request,) = engine.requests
    assert [message.text for message in request.messages] == ["Be brief.", "What is six times seven?"]
    assert request.tools == ()
    assert (await work.call("ask_brain", brain="@omni/none", question="?")).outcome == "failed"
    assert work.person.asked == []
