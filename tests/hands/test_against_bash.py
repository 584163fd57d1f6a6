"""What the grammar reads is what bash runs: random lines are read by both, and nothing runs that was not told.

The lines can do nothing: there is no program to be found, and the folder is a scratch one.
"""

import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from omni.hands.shell_grammar import read_script

BASH = shutil.which("bash")
# Every word that is no builtin comes here, with its arguments as they are after all expansions.
WATCH = 'command_not_found_handle() { local a; printf -v a "%s\\x1f" "$@"; printf "%s\\x1e" "$a" >&9; return $(( RANDOM % 2 )); }\n'
PIECES = ["aa", "bb", "cc", "-x", "d1", " ", " ", "  ", "\t", "\n", "\\\n", "\\", "'", '"', '"', "''", '""', "$", "$(", ")", "`", "(", "{", "}", ";", ";", "&", "&&", "||", "|", "#", " #", "!", "! ", "=", "x=", "x=aa ", "$x", "${x}", "$'", '$"', "<<E\n", "<<'E'\n", "<<-E\n", "\nE\n", "E", "if ", "then ", "fi", "for x in ", "do ", "done", "case ", " in ", ";;", "esac", "time ", "[ ", " ]", "[[ ", " ]]", "((", "))", "$((", ",", "..", "~", "*", "?", "2>&1", ">/dev/null ", "</dev/null ", "\\;", "é", "\u00a0", "aa;bb", "$(aa)", "\\ "]  # fmt: skip

WORDS = ["aa", "bb", "'c d'", '"e f"', "$x", '"$x"', "-x", "aa=1", "\\;", "a\\ b", "{}", "x*", "~", "''", "&&", "||", ";", "|", "(", ")", "{", "}", "!", "time", "$(aa)", "`bb`", "2>&1", ">/dev/null", "if", "then", "fi", "&", "\n", "<(aa)"]  # fmt: skip
LINES = [
    "aa b && cc 'd e'; bb",
    "if aa; then bb; fi",
    "for x in a b; do aa $x; done",
    "(aa; bb) | cc",
    "aa <<E\nhi\nE\nbb",
    'cat=1 aa "$(bb c)" `cc`',
    "case a in a) aa;; b) bb;; esac",
    "{ aa; bb; } && cc",
    "aa \\\n b; cc",
    "time aa b; ! cc",
    "aa # bb\ncc",
    "[ a = b ] && aa",
    "[[ a ]] || aa",
    "aa 2>&1 | bb > /dev/null",
    "x=1 y='2 3' aa; bb",
    "aa <<'E' | bb\nx\nE",
    "f() { aa; }; f",
    "aa & bb; wait",
]
# Each was met by such a trial, and is read by the grammar without an error.
DIFFERENT = [
    "echo `aa #` ; bb\n`",
    "aa \\ bb",
    "aa \u00a0bb",
    "''\\aa",
    "] ]",
    "aa# \\\n=bb\ncc",
    "ab -x<<E\nhi\nE\nba",
    "aa\n\\\n b; cc",
    "[ a = b\n ] && a",
    "aa -x2>&1 | bb",
    "aax=\\\n b; cc",
    "case a in a)a;;a ) bb;; esac",
    "aa\\\n 2>&1 | bb",
    'aa "$\\\n(bb c)"',
]

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


def a_line(random: Random) -> str:
    """Pieces of bash, words of bash, or an ordinary line with something put in, taken out or moved."""
    kind = random.randrange(10)
    if kind < 4:
        return "".join(random.choice(PIECES) for _ in range(random.randint(1, 12)))
    if kind < 7:
        return " ".join(random.choice(WORDS) for _ in range(random.randint(1, 9)))
    signs = list(random.choice(LINES))
    for _ in range(random.randint(1, 3)):
        at = random.randrange(len(signs))
        match random.randrange(3):
            case 0:
                signs.insert(at, random.choice(PIECES))
            case 1 if len(signs) > 1:
                del signs[at]
            case _:
                other = random.randrange(len(signs))
                signs[at], signs[other] = signs[other], signs[at]
    return "".join(signs)


def try_lines(random: Random, count: int, folder: Path) -> int:
    """Read lines with both; returns how many were clear enough to be compared."""
    clear = 0
    for _ in range(count):
        line = a_line(random)
        if (read := told(line)) is None:
            continue
        clear += 1
        for real in ran(line, folder):
            assert any(matches(real, one) for one in read), (line, real, read)
    return clear


@pytest.mark.parametrize("line", DIFFERENT)
def test_what_the_grammar_reads_otherwise_than_bash_is_unclear(line: str, tmp_path: Path) -> None:
    assert told(line) is None, (told(line), ran(line, tmp_path))


def test_bash_runs_nothing_that_was_not_read(tmp_path: Path) -> None:
    assert try_lines(Random(1), 1000, tmp_path) > 150


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(2, 6))
def test_bash_runs_nothing_of_very_many_lines_that_was_not_read(seed: int, tmp_path: Path) -> None:
    assert try_lines(Random(seed), 25_000, tmp_path) > 4000


def test_the_trial_sees_what_bash_runs(tmp_path: Path) -> None:
    assert ran("aa 'b c' && true; cc $(dd)", tmp_path) >= {("cc",), ("dd",)}
    assert ("aa", "b c") in ran("aa 'b c'", tmp_path)
    assert told("aa 'b c'; cc") == {("aa", "b c"), ("cc",)}
    assert told("aa $(") is None
