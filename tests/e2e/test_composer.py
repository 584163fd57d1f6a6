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


def test_lines_are_added_where_they_were_asked_for_and_stay_lines(person: Person) -> None:
    terminal = person.shell()
    terminal.bytes(b"first line\n  second line\x1b\rthird line")  # one write, as tmux and ssh send it
    screen = terminal.until("third line")
    assert [row for row in text_of(screen) if "line" in row][:3] == ["first line", "second line", "third line"]
    terminal.bytes(b"\rnext")
    screen = terminal.wait(lambda text: "not asked" in text or "No brain" in text, "why nothing answers")
    rows = text_of(screen)
    at = rows.index("first line")
    assert rows[at : at + 3] == ["first line", "second line", "third line"]
    assert any(row.startswith("first line second line third line") for row in rows[:3]), "the title is one line"
    assert "next" in rows[-4:] or any(row == "next" for row in rows), "what was typed after Enter is still there"


def test_a_pasted_text_is_one_question_and_a_long_one_is_folded(person: Person) -> None:
    terminal = person.shell()
    terminal.bytes(b"\x1b[200~one\rtwo\x1b[201~")
    screen = terminal.until("two")
    assert "one" in text_of(screen)
    lines = b"\r".join(b"row %d" % number for number in range(40))
    terminal.bytes(b"\x1b[200~" + lines + b"\x1b[201~")
    terminal.until("[pasted 40 lines]")
