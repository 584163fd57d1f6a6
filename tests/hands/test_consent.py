"""Rules, questions and answers: what is free, what is asked, what a person's answer allows from then on, and what is written down."""

import json
import os
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from omni.core.errors import BadFile, NotFound, UsageError
from omni.core.paths import Home
from omni.hands import ConsentJudge, ConsentRule, ToolAct, Verdict, rule_of
from tests.hands.hands_tools import MOMENT, Judged, on_path, shell

WORDS: dict[str, Verdict] = {
    "git status": "allow",
    "ls src": "allow",
    "grep -n x data.txt": "allow",
    "pytest -q": "allow",
    "git push": "ask",
    "node x.js": "ask",
    "touch new": "ask",
    "cat .env": "ask",
    "ls $x": "ask",
    "rm x": "deny",
    "sudo ls": "deny",
}
JOINED = ["{} && {}", "{} || {}", "{}; {}", "{} | {}", "{} & {}", "{}\n{}", "({}); {}", "{{ {}; }} && {}", "if {}; then {}; fi", "while {}; do {}; done", "! {} && {}", "echo $({}) && {}", "{} <({})", "bash -c '{}' && {}", "case a in a) {} ;; *) {} ;; esac"]  # fmt: skip


def rules(judge: ConsentJudge) -> list[str]:
    return [f"{rule.verdict} {rule.tool} {rule.words}" for rule in judge.book.kept()]


def noted(judge: ConsentJudge) -> list[dict[str, object]]:
    return [json.loads(line) for path in judge.record.files() for line in path.read_text().splitlines()]


# --- what is free, asked, denied


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_compound_is_as_allowed_as_its_least_allowed_part(judged: Judged, data: st.DataObject) -> None:
    parts = data.draw(st.lists(st.sampled_from(sorted(WORDS)), min_size=2, max_size=5))
    line = parts[0]
    for part in parts[1:]:
        shape = data.draw(st.sampled_from(JOINED))
        plain = "'" not in line and "<(" not in line
        line = shape.format(line, part) if plain or "'{}'" not in shape else f"{line} && {part}"
    order: list[Verdict] = ["allow", "ask", "deny"]
    assert judged(line).verdict == max((WORDS[part] for part in parts), key=order.index), line


@pytest.mark.parametrize(
    "path", ["README.md", "src/app.py", ".", "src", "not-there.txt", ".env.example", "src/../README.md"]
)
def test_reading_inside_the_project_is_free(judge: ConsentJudge, project: Path, path: str) -> None:
    assert judge.judge(on_path(project, "read", path)).verdict == "allow"


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("../outside/private.txt", "outside the project"),
        ("/etc/passwd", "outside the project"),
        ("way-out/private.txt", "outside the project"),
        ("way-out.txt", "outside the project"),
        ("src/../../outside/private.txt", "outside the project"),
        (".env", "keys or passwords"),
        (".ENV", "keys or passwords"),
        ("way-to-env", "keys or passwords"),
        ("src/.env.local", "keys or passwords"),
        ("keys/id_ed25519", "keys or passwords"),
        ("keys/server.pem", "keys or passwords"),
        (".npmrc", "keys or passwords"),
        ("a/.aws/config", "keys or passwords"),
        ("pipe", "neither a file nor a folder"),
        ("a\0b", "cannot be told"),
    ],
)
def test_reading_elsewhere_and_what_may_be_secret_is_asked(
    judge: ConsentJudge, project: Path, path: str, why: str
) -> None:
    os.mkfifo(project / "pipe")
    judgement = judge.judge(on_path(project, "read", path))
    assert judgement.verdict == "ask"
    assert why in judgement.reason


def test_writing_is_asked_and_what_omni_keeps_is_never_changed(judge: ConsentJudge, project: Path, home: Home) -> None:
    assert judge.judge(on_path(project, "write", "src/app.py")).verdict == "ask"
    for path in (home.consent, home.audit / "consent-000001.jsonl", home.root):
        judgement = judge.judge(on_path(project, "write", path))
        assert (judgement.verdict, judgement.reason) == ("deny", "what Omni keeps is not changed by what it runs")
    judge.book.keep(rule_of("allow", "write", "/**", made=MOMENT))
    assert judge.judge(on_path(project, "write", home.consent)).verdict == "deny"


def test_a_project_that_holds_the_home_gives_nothing_of_it_away(judge: ConsentJudge, home: Home) -> None:
    assert (
        judge.judge(on_path(home.root.parent, "read", home.consent)).reason == f"{home.consent.resolve()} is Omni's own"
    )


def test_of_a_project_that_is_the_persons_home_nothing_is_free(
    judge: ConsentJudge, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for home in (project, project / "src"):
        monkeypatch.setenv("HOME", str(home))
        for act in (on_path(project, "read", "README.md"), shell(project, "ls")):
            judgement = judge.judge(act)
            assert (judgement.verdict, judgement.answers) == ("ask", ("once",))
            assert "it is your home" in judgement.reason


def test_a_rule_that_says_nothing_allows_nothing_where_that_would_be_everything(
    judge: ConsentJudge, project: Path
) -> None:
    for tool in ("read", "write", "shell", "network", "edit"):
        judge.book.keep(ConsentRule(verdict="allow", tool=tool, made=MOMENT))
    assert judge.judge(on_path(project, "read", "/etc/passwd")).verdict == "ask"
    assert judge.judge(on_path(project, "write", "README.md")).verdict == "ask"
    assert judge.judge(shell(project, "node x.js")).verdict == "ask"
    assert judge.judge(on_path(project, "write", "README.md", tool="edit")).verdict == "allow"  # all that one tool does
    for path in ("../outside/private.txt", ".env", ".git/config"):
        assert judge.judge(on_path(project, "write", path, tool="edit")).verdict == "ask"
    judge.book.keep(ConsentRule(verdict="deny", tool="read", made=MOMENT))
    assert judge.judge(on_path(project, "read", "README.md")).verdict == "deny"


def test_a_rule_for_a_folder_does_not_open_what_is_special_in_it(judge: ConsentJudge, project: Path) -> None:
    judge.book.keep(*(rule_of("allow", tool, "**", made=MOMENT) for tool in ("read", "write")))
    os.link(project / "data.txt", project / "src" / "twin.txt")
    assert judge.judge(on_path(project, "write", "src/app.py")).verdict == "allow"
    for touch, path in [
        ("read", ".env"),
        ("write", "keys/server.pem"),
        ("write", ".git/hooks/pre-commit"),
        ("write", ".GIT/config"),
        ("write", "src/twin.txt"),
        ("read", "../outside/private.txt"),
    ]:
        assert judge.judge(on_path(project, touch, path)).verdict == "ask", path
    judge.book.keep(
        rule_of("allow", "read", "**/.env", made=MOMENT), rule_of("allow", "write", ".git/**/pre-commit", made=MOMENT)
    )
    assert judge.judge(on_path(project, "read", ".env")).verdict == "allow"
    assert judge.judge(on_path(project, "write", ".git/hooks/pre-commit")).verdict == "allow"


def test_deny_wins_over_allow_and_ask_over_both_that_and_what_is_free(judge: ConsentJudge, project: Path) -> None:
    judge.book.keep(
        rule_of("allow", "write", "src/**", made=MOMENT), rule_of("deny", "write", "src/app.py", made=MOMENT)
    )
    assert judge.judge(on_path(project, "write", "src/app.py")).verdict == "deny"
    assert judge.judge(on_path(project, "write", "src/util.py")).verdict == "allow"
    judge.book.keep(rule_of("ask", "read", "docs/**", made=MOMENT), rule_of("ask", "shell", "git log", made=MOMENT))
    asked = judge.judge(on_path(project, "read", "docs/guide.md"))
    assert (asked.verdict, asked.answers) == ("ask", ("once",))
    assert judge.judge(shell(project, "cat docs/guide.md")).verdict == "ask"
    assert judge.judge(shell(project, "git log")).verdict == "ask"
    judge.book.keep(rule_of("deny", "shell", "git log", made=MOMENT))
    assert judge.judge(shell(project, "git -C src --no-pager log -5")).verdict == "deny"


def test_a_rule_is_for_its_tool_its_project_and_its_host(judge: ConsentJudge, project: Path, tmp_path: Path) -> None:
    def network(host: str) -> Verdict:
        act = ToolAct(tool="fetch", touches=("network",), folder=str(project), project=str(project), host=host)
        return judge.judge(act).verdict

    judge.book.keep(
        rule_of("allow", "edit", "src/**", made=MOMENT),
        rule_of("allow", "write", "docs/**", project=str(tmp_path / "elsewhere"), made=MOMENT),
        rule_of("allow", "network", "*.example.org", made=MOMENT),
    )
    assert judge.judge(on_path(project, "write", "src/app.py", tool="edit")).verdict == "allow"
    assert judge.judge(on_path(project, "write", "src/app.py", tool="other")).verdict == "ask"
    assert judge.judge(on_path(project, "write", "docs/guide.md")).verdict == "ask"
    hosts = ("a.example.org", "A.EXAMPLE.ORG.", "example.org", "example.org.example.net", "")
    assert [network(host) for host in hosts] == ["allow", "allow", "ask", "ask", "ask"]


def test_without_the_grammar_every_command_is_asked(
    judge: ConsentJudge, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tree_sitter", None)
    judgement = judge.judge(shell(project, "ls"))
    assert (judgement.verdict, judgement.answers) == ("ask", ("once",))
    assert "omni environment add code" in judgement.reason
    assert judge.judge(on_path(project, "read", "README.md")).verdict == "allow"


def test_judging_changes_nothing(judge: ConsentJudge, project: Path, home: Home) -> None:
    before = {path: path.stat().st_mtime_ns for path in [*project.rglob("*"), *home.root.rglob("*")]}
    for command in ("ls > out", "touch new", "rm data.txt", "cd src && mkdir deep/more", "git push"):
        judge.judge(shell(project, command))
    assert {path: path.stat().st_mtime_ns for path in [*project.rglob("*"), *home.root.rglob("*")]} == before


# --- answers


@pytest.mark.parametrize(
    ("command", "rule"),
    [
        ("git commit -m 'a text' -a", "git commit"),
        ("npm run lint -- --fix", "npm run lint"),
        ("touch new", "touch"),
        ("python -m build --sdist", "python -m build"),
        ("python3 -c 'print(1)'", "python -c 'print(1)' (these words only)"),
        ("node x.js", "node x.js (these words only)"),
        ("awk '{print $1}' data.txt", "awk '{print $1}' data.txt (these words only)"),
        ("curl https://example.org", "curl https://example.org (these words only)"),
        ("npx tool", "npx tool (these words only)"),
        ("git -c a.b=c commit", "git -c a.b=c commit (these words only)"),
        ("git diff --ext-diff", "git diff --ext-diff (these words only)"),
        ("/usr/bin/git commit", "git commit"),
        ("./git commit", "./git commit (these words only)"),
        ("./run.sh -x", "./run.sh -x (these words only)"),
        ("docker run image", "docker run image (these words only)"),
    ],
)
def test_the_rule_that_is_offered_is_the_narrowest(home: Home, project: Path, command: str, rule: str) -> None:
    judge = ConsentJudge(home)
    judge.grant("always", shell(project, command))
    assert rules(judge) == [f"allow shell {rule}"]
    assert judge.judge(shell(project, command)).verdict == "allow"


def test_what_is_allowed_whole_is_allowed_with_these_words_only(home: Home, project: Path) -> None:
    judge = ConsentJudge(home)
    judge.grant("always", shell(project, "node x.js"))
    assert judge.judge(shell(project, "node x.js --more")).verdict == "ask"
    assert judge.judge(shell(project, "node -e 1")).verdict == "ask"


def test_once_is_used_up_by_the_very_same_act(judge: ConsentJudge, project: Path) -> None:
    act = shell(project, "touch new > out && echo $x | cat")
    assert judge.grant("once", act) == ()
    assert judge.judge(act).verdict == "allow"
    assert judge.judge(shell(project, "touch new > out2")).verdict == "ask"
    assert judge.judge(shell(project, act.command, conversation="other")).verdict == "ask"
    assert judge.enter(act).verdict == "allow"
    assert judge.enter(act).verdict == "ask"


def test_a_conversation_a_project_and_always_reach_as_far_as_they_say(
    home: Home, project: Path, tmp_path: Path
) -> None:
    judge, act, other = ConsentJudge(home), shell(project, "git push"), tmp_path / "other"
    other.mkdir()
    judge.grant("conversation", shell(project, "git fetch"))
    assert judge.judge(shell(project, "git fetch -v")).verdict == "allow"
    assert judge.judge(shell(project, "git fetch", conversation="other")).verdict == "ask"
    assert judge.book.kept() == ()
    judge.grant("project", shell(project, "git pull"))
    fresh = ConsentJudge(home)
    assert fresh.judge(shell(project, "git pull", conversation="other")).verdict == "allow"
    assert fresh.judge(shell(other, "git pull")).verdict == "ask"
    assert fresh.judge(shell(project, "git fetch")).verdict == "ask"
    judge.grant("always", shell(project, "git tag v1"))
    assert fresh.judge(shell(other, "git tag v2")).verdict == "allow"
    assert judge.judge(act).answers == ("once",)  # what was pushed stays pushed


def test_one_answer_allows_every_part_that_was_asked(home: Home, project: Path) -> None:
    judge, act = ConsentJudge(home), shell(project, "git fetch && npm test > log.txt; cat ../outside/private.txt")
    made = judge.grant("project", act)
    assert {rule.tool for rule in made} == {"shell", "write", "read"}
    assert judge.judge(act).verdict == "allow"
    assert judge.judge(shell(project, "npm test > other.txt")).verdict == "ask"


@pytest.mark.parametrize(
    "command", ["rm -r src", "git reset --hard", "echo $(x", "eval $x", "$x", "git clean -fd", "shred data.txt"]
)
def test_what_destroys_or_is_not_understood_is_allowed_once_only(home: Home, project: Path, command: str) -> None:
    judge, act = ConsentJudge(home), shell(project, command)
    assert judge.judge(act).answers == ("once",)
    with pytest.raises(UsageError, match="offered is once"):
        judge.grant("always", act)


def test_what_is_denied_cannot_be_granted(judge: ConsentJudge, project: Path) -> None:
    with pytest.raises(UsageError, match="offered is nothing"):
        judge.grant("once", shell(project, "rm x"))


# --- the rules at rest


def test_a_broken_file_means_ask_and_says_where_it_is_broken(judge: ConsentJudge, project: Path, home: Home) -> None:
    home.consent.write_text('{"format": 1, "rules": [{"verdict": "allowed", "tool": "shell"}]}')
    judgement = judge.judge(shell(project, "ls"))
    assert judgement.verdict == "ask"
    assert "line 1, column 37" in judgement.reason
    assert "'allow', 'ask', 'deny'" in judgement.reason
    with pytest.raises(BadFile, match="line 1, column 37"):
        judge.book.kept()
    with pytest.raises(BadFile):
        judge.book.keep(rule_of("allow", "shell", "ls", made=MOMENT))
    assert "allowed" in home.consent.read_text()


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"format": 1, "rules": [{}]}', '{"format": 1, "more": 1}', "\0", '{"format": "1"}']
)
def test_whatever_a_file_holds_nothing_is_allowed_by_it(
    judge: ConsentJudge, project: Path, home: Home, text: str
) -> None:
    home.consent.write_text(text)
    assert judge.judge(on_path(project, "read", "README.md")).verdict == "ask"


def test_a_file_of_a_later_omni_is_left_alone_and_means_ask(judge: ConsentJudge, project: Path, home: Home) -> None:
    later = '{"format": 2, "rules": [{"verdict": "allow", "tool": "shell", "magic": true}]}'
    home.consent.write_text(later)
    assert "of a later Omni" in judge.judge(shell(project, "ls")).reason
    with pytest.raises(BadFile, match="of a later Omni"):
        judge.book.keep(rule_of("allow", "shell", "ls", made=MOMENT))
    assert home.consent.read_text() == later


def test_a_rule_written_by_hand_that_would_allow_everything_allows_its_words_only(
    judge: ConsentJudge, project: Path
) -> None:
    judge.book.keep(
        *(
            ConsentRule(verdict="allow", tool="shell", command=words, made=MOMENT)
            for words in [("bash",), ("python",), ("git",), ("env",), ("npm", "exec"), ("sudo",)]
        )
    )
    for command in ("bash x.sh", "python -c 1", "git push", "env x", "npm exec y"):
        assert judge.judge(shell(project, command)).verdict == "ask", command
    assert judge.judge(shell(project, "sudo ls")).verdict == "deny"


@pytest.mark.parametrize("pattern", ["bash", "python3", "git", "env", "sh", "", "  ", "'open"])
def test_a_rule_that_says_nothing_or_everything_is_refused(pattern: str) -> None:
    with pytest.raises(UsageError):
        rule_of("allow", "shell", pattern, made=MOMENT)


def test_rules_are_private_numbered_and_the_newest_of_the_same_words_counts(judge: ConsentJudge, home: Home) -> None:
    assert home.consent.stat().st_mode & 0o777 == 0o600
    count = len(judge.book.kept())
    judge.book.keep(rule_of("deny", "shell", "ls", made=MOMENT + timedelta(days=1)))
    assert len(judge.book.kept()) == count
    assert rules(judge)[-1] == "deny shell ls"
    assert judge.book.remove(count).verdict == "deny"
    with pytest.raises(NotFound, match="There is no rule"):
        judge.book.remove(count)


def test_a_rule_that_another_process_removed_holds_no_longer(judge: ConsentJudge, project: Path, home: Home) -> None:
    assert judge.judge(shell(project, "git status")).verdict == "allow"
    ConsentJudge(home).book.remove(1 + rules(judge).index("allow shell git status"))
    assert judge.judge(shell(project, "git status")).verdict == "ask"


# --- the record


def test_what_was_judged_answered_and_done_is_written_down_without_arguments(
    judge: ConsentJudge, project: Path
) -> None:
    act = shell(
        project,
        "deploy --password hunter2 && SECRET=hunter2 git status > out; curl -H 'X: hunter2' https://example.org",
    )
    judge.enter(act)
    judge.refuse(act)
    judge.grant("once", act)
    judge.enter(act)
    judge.outcome(act, "exit 0")
    lines = noted(judge)
    assert [line["outcome"] for line in lines] == ["", "refused", "allowed: once", "begins", "exit 0"]
    assert [line.get("verdict") for line in lines] == ["ask", None, "ask", "allow", None]
    assert lines[0]["agent"] == "@me/helper"
    assert "ask run deploy" in str(lines[0]["parts"])
    assert f"ask write {project.resolve()}/out" in str(lines[0]["parts"])
    assert "hunter2" not in json.dumps(lines)
    assert judge.record.verify().faults == []


def test_a_line_that_was_changed_shows(judge: ConsentJudge, project: Path) -> None:
    for _ in range(3):
        judge.enter(shell(project, "ls"))
    path = judge.record.files()[0]
    path.write_text(path.read_text().replace('"allow"', '"ALLOW"', 1))
    assert len(judge.record.verify().faults) == 1


def denying(home: Home, tool: Literal["read", "write"], path: str) -> ConsentJudge:
    """A judge that denies a path."""
    judge = ConsentJudge(home)
    judge.book.keep(ConsentRule(verdict="deny", tool=tool, path=path, made=MOMENT))
    return judge


@pytest.mark.parametrize("pattern", ["docs", "docs/", "./docs", "src/../docs", "docs/*", "**/guide.md", "*/guide.md"])
def test_what_is_denied_for_a_folder_is_denied_for_all_in_it(home: Home, project: Path, pattern: str) -> None:
    judge = denying(home, "read", pattern)
    assert judge.judge(on_path(project, "read", "docs/guide.md")).verdict == "deny"
    assert judge.judge(shell(project, "cat docs/guide.md")).verdict == "deny"
    assert judge.judge(on_path(project, "read", "README.md")).verdict == "allow"


def test_what_is_denied_outside_holds_through_links_and_below_the_home(
    home: Home, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = project.parent / "outside"
    monkeypatch.setenv("HOME", str(outside))
    (outside / ".ssh").mkdir()
    (outside / ".ssh" / "id_rsa").write_text("secret")
    (project.parent / "link").symlink_to(outside / ".ssh")
    for pattern in ("~/.ssh", str(project.parent / "link"), "../outside/.ssh"):
        judge = denying(home, "read", pattern)
        for path in (outside / ".ssh", outside / ".ssh" / "id_rsa"):
            assert judge.judge(on_path(project, "read", path)).verdict == "deny", pattern
        judge.book.remove(1)


@pytest.mark.parametrize("command", ["grep -r x docs", "rg x docs", "diff -r docs tests", "find docs -exec cat {} +"])
@pytest.mark.parametrize(("pattern", "verdict"), [("docs/guide.md", "deny"), ("**/*.md", "ask"), ("src", "allow")])
def test_reading_a_folder_as_a_whole_meets_the_rules_for_what_is_in_it(
    home: Home, project: Path, command: str, pattern: str, verdict: str
) -> None:
    judge = denying(home, "read", pattern)
    judge.book.keep(rule_of("allow", "shell", "rg", made=MOMENT))
    assert judge.judge(shell(project, command)).verdict == verdict


def test_once_does_not_hold_for_what_a_link_leads_to_meanwhile(home: Home, project: Path) -> None:
    judge, act = ConsentJudge(home), on_path(project, "write", "goal")
    (project / "goal").symlink_to("README.md")
    judge.grant("once", act)
    (project / "goal").unlink()
    (project / "goal").symlink_to(".git/config")
    assert judge.enter(act).verdict == "ask"
    (project / "goal").unlink()
    (project / "goal").symlink_to("README.md")
    assert judge.enter(act).verdict == "allow"


def test_a_rule_with_many_stars_is_compared_in_no_time(home: Home, project: Path) -> None:
    judge = denying(home, "read", "/".join(["**", "a"] * 40) + "/b")
    deep = "/".join(["a"] * 200)
    started = time.monotonic()
    assert judge.judge(on_path(project, "read", deep)).verdict == "allow"
    assert time.monotonic() - started < 5
