"""Writing in a real terminal, whose keys come faster than a person's."""

import shutil

import pytest

from tests.e2e.conftest import Person

pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(120),
    pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed"),
]


def text_of(screen: str) -> list[str]:
    """The rows beside the rail, without bars."""
    return [line[20:].strip(" ▌") for line in screen.splitlines()]


def three_lines(screen: str) -> bool:
    """Whether they stand below each other; a screen may be caught in the middle of its drawing."""
    rows = text_of(screen)
    wanted = ["first line", "second line", "third line"]
    return any(rows[at : at + 3] == wanted for at in range(len(rows)))


def test_lines_are_added_where_they_were_asked_for_and_stay_lines(person: Person) -> None:
    terminal = person.shell()
    terminal.bytes(b"first line\n  second line\x1b\rthird line")  # one write, as tmux and ssh send it
    terminal.wait(three_lines, "three lines")
    terminal.bytes(b"\rnext")
    terminal.wait(lambda screen: "not asked" in screen or "No brain" in screen, "why nothing answers")
    terminal.wait(three_lines, "the question in three lines")
    terminal.wait(
        lambda screen: any(row.startswith("first line second line third line") for row in text_of(screen)[:3]),
        "a title of one line",
    )
    terminal.wait(lambda screen: "next" in text_of(screen), "what was typed after Enter")


def test_a_pasted_text_is_one_question_and_a_long_one_is_folded(person: Person) -> None:
    terminal = person.shell()
    terminal.bytes(b"\x1b[200~one\rtwo\x1b[201~")
    terminal.wait(lambda screen: {"one", "two"} <= set(text_of(screen)), "the text in two lines")
    lines = b"\r".join(b"row %d" % number for number in range(40))
    terminal.bytes(b"\x1b[200~" + lines + b"\x1b[201~")
    terminal.until("[pasted 40 lines]")
