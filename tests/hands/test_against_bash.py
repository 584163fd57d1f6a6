"""What the grammar reads is what bash runs: random lines are read by both, and nothing runs that was not told.

The lines can do nothing: there is no program to be found, and the folder is a scratch one.
"""

import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from omni.hands.shell_grammar import read_script

BASH = shutil.which("bash")
# Every word that is no builtin comes here, with its arguments as they are after all expansions.
WATCH = 'command_not_found_handle() { local a; printf -v a "%s\\x1f" "$@"; printf "%s\\x1e" "$a" >&9; return $(( RANDOM % 2 )); }\n'
PIECES = ["aa", "bb", "cc", "-x", "d1", " ", " ", "  ", "\t", "\n", "\\\n", "\\", "'", '"', '"', "''", '""', "$", "$(", ")", "`", "(", "{", "}", ";", ";", "&", "&&", "||", "|", "#", " #", "!", "! ", "=", "x=", "x=aa ", "$x", "${x}", "$'", '$"', "<<E\n", "<<'E'\n", "<<-E\n", "\nE\n", "E", "if ", "then ", "fi", "for x in ", "do ", "done", "case ", " in ", ";;", "esac", "time ", "[ ", " ]", "[[ ", " ]]", "((", "))", "$((", ",", "..", "~", "*", "?", "2>&1", ">/dev/null ", "</dev/null ", "\\;", "é", "\u00a0", "aa;bb", "$(aa)", "\\ "]  # fmt: skip

pytestmark = [pytest.mark.skipif(BASH is None, reason="bash is not installed")]


def ran(line: str, folder: Path) -> set[tuple[str, ...]]:
    """The commands that bash looks for when it runs a line."""
    seen, scratch = folder / "seen", folder / "scratch"
    scratch.mkdir(exist_ok=True)
    seen.unlink(missing_ok=True)
    script = f"PATH=/nonexistent; FUNCNEST=3; exec 9>>'{seen}'\n{WATCH}eval \"$1\""
    with suppress(subprocess.TimeoutExpired):
        subprocess.run(
            [str(BASH), "--norc", "--noprofile", "-c", script, "bash", line],
            cwd=scratch,
            env={},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=5,
        )
    return {tuple(each.split("\x1f")) for each in seen.read_text("utf-8", "replace").split("\x1f\x1e") if each}


def told(line: str) -> set[tuple[str, ...]] | None:
    """The commands that were read, by their words; None where something is unclear."""
    script = read_script(line)
    if script.unclear or any(
        not command.words[0].known or command.words[0].pattern for command in script.commands if command.words
    ):
        return None
    return {
        tuple(word.text if word.known and not word.pattern else "" for word in command.words)
        for command in script.commands
        if command.words
    }


def matches(real: tuple[str, ...], read: tuple[str, ...]) -> bool:
    """Whether these words came of those; from one that is not known any number may come."""
    if read[:1] == ("time",) and real[:1] != (
        "time",
    ):  # what follows it is judged as a command, and `!` and the like are asked about
        return read[1:2] in (("",), ("!",), ("-p",)) or "=" in "".join(read[1:2]) or matches(real, read[1:])
    if not read:
        return False
    if "" in read[1:]:
        return real[0] == read[0]
    return real == read


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(line=st.lists(st.sampled_from(PIECES), min_size=1, max_size=14).map("".join))
@example(line="echo `aa #` ; bb\n`")
@example(line="aa \\ bb")
@example(line="aa <<E\nx\nE\nbb")
@example(line="aa \u00a0bb")
@example(line="time aa; ! bb")
def test_bash_runs_nothing_that_was_not_read(line: str, tmp_path: Path) -> None:
    read = told(line)
    if read is None or "\x00" in line:
        return
    for real in ran(line, tmp_path):
        assert any(matches(real, one) for one in read), (real, read)


def test_the_trial_sees_what_bash_runs(tmp_path: Path) -> None:
    assert ran("aa 'b c' && true; cc $(dd)", tmp_path) >= {("cc",), ("dd",)}
    assert ("aa", "b c") in ran("aa 'b c'", tmp_path)
    assert told("aa 'b c'; cc") == {("aa", "b c"), ("cc",)}
    assert told("aa $(") is None
