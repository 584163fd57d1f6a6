"""`omni consent`: rules are made, listed and removed, commands are judged without being run, and the record is shown."""

from pathlib import Path

import pytest

from omni.core.paths import Home
from omni.hands import ConsentJudge, ToolAct
from tests.cli.conftest import Call


@pytest.fixture
def project(home: Home, call: Call, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project that the command line is called in."""
    folder = home.root.parent / "work"
    (folder / ".git").mkdir(parents=True)
    (folder / "notes.txt").write_text("some text\n")
    monkeypatch.chdir(folder)
    return folder


def test_rules_are_made_listed_and_removed(call: Call, project: Path) -> None:
    assert "There are no rules" in call("consent", "ls").out
    assert call("consent", "allow", "shell", "git status").out == "allow shell git status\n"
    assert call("consent", "deny", "shell", "rm").code == 0
    assert call("consent", "allow", "--project", "write", "docs/**").out == f"allow write docs/** in {project}\n"
    assert call("consent", "ask", "camera").code == 0
    listed = call("consent", "ls", "--json").json
    assert [(rule["verdict"], rule["tool"]) for rule in listed] == [
        ("allow", "shell"),
        ("deny", "shell"),
        ("allow", "write"),
        ("ask", "camera"),
    ]
    assert listed[0]["command"] == ["git", "status"]
    rows = call("consent", "ls").out.splitlines()
    assert rows[1].split()[:5] == ["1", "allow", "shell", "git", "status"]
    assert call("consent", "rm", "2").out == "Removed: deny shell rm.\n"
    assert call("consent", "rm", "9").code == 3


def test_a_rule_for_everything_is_refused_with_what_to_write_instead(call: Call, project: Path) -> None:
    result = call("consent", "allow", "shell", "bash")
    assert result.code == 2
    assert 'omni consent allow shell "bash …"' in result.err
    assert call("consent", "allow", "shell").code == 2


def test_a_command_is_judged_part_by_part_and_not_run(call: Call, project: Path) -> None:
    call("consent", "allow", "shell", "git status")
    call("consent", "deny", "shell", "rm")
    asked = call("consent", "check", "git status && touch new")
    assert asked.code == 1
    assert "Could be allowed: once, project, always. Rules: touch." in asked.out
    assert call("consent", "check", "git status && cat notes.txt").code == 0
    judgement = call("consent", "check", "--json", "git status; rm notes.txt").json
    assert judgement["verdict"] == "deny"
    assert [(part["verdict"], part["kind"]) for part in judgement["parts"]][:2] == [("allow", "run"), ("deny", "run")]
    assert judgement["parts"][1]["rule"]["command"] == ["rm"]
    assert sorted(path.name for path in project.iterdir()) == [".git", "notes.txt"]


def test_paths_and_hosts_are_judged_too(call: Call, project: Path) -> None:
    assert call("consent", "check", "--tool", "read", "notes.txt").code == 0
    assert "outside the project" in call("consent", "check", "--tool", "read", "../secret").out
    assert call("consent", "check", "--tool", "network", "example.org").code == 1
    assert call("consent", "check", "  ").code == 2


def test_what_was_judged_is_shown(call: Call, project: Path, home: Home) -> None:
    assert call("consent", "log").out == "Nothing was judged yet.\n"
    act = ToolAct(
        tool="shell", touches=("shell",), folder=str(project), project=str(project), command="deploy --key abc"
    )
    judge = ConsentJudge(home)
    judge.enter(act)
    judge.refuse(act)
    shown = call("consent", "log").out
    assert "ask run deploy" in shown
    assert "refused" in shown
    assert "abc" not in shown
    assert len(call("consent", "log", "--json").out.splitlines()) == 2
    assert len(call("consent", "log", "--json", "--last", "1").out.splitlines()) == 1
    assert call("consent", "log", "--verify").out == "2 lines, each with a hash over the one before.\n"
    path = judge.record.files()[0]
    path.write_text(path.read_text().replace("deploy", "destroy"))
    assert call("consent", "log", "--verify").code == 8
