"""Several front ends on one home: what is asked in one is seen in the others while it is written."""

import shutil

import pytest

from tests.e2e.conftest import Person
from tests.e2e.terminal import Terminal

pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(240),
    pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed"),
]
WRITING = "•Chat"


def ask(terminal: Terminal, question: str) -> None:
    terminal.type(question)
    terminal.key("Enter")


def test_two_shells_and_the_command_line_share_a_conversation(owner: Person) -> None:
    owner.omni(
        "config", "set", "chat.max_completion_tokens", "120"
    )  # so that a question and its answer are on one screen
    one = owner.shell()
    ask(one, "Tell me about the sea, please.")
    one.until(WRITING)
    two = owner.shell()
    two.key("C-t")
    two.until("Tell me about the sea")
    two.key("Enter")
    two.until("1 turn")
    one.wait(lambda screen: WRITING not in screen, "a whole answer", seconds=120)
    two.wait(lambda screen: "tok/s" in screen, "the other shell's answer, whole", seconds=30)
    ask(two, "And the moon?")
    one.until("And the moon?")
    one.wait(lambda screen: "2 turns" in screen, "the second turn", seconds=30)
    two.wait(lambda screen: WRITING not in screen, "a whole answer", seconds=120)
    owner.omni("chat", "--continue", "And the sun?")
    for terminal in (one, two):
        terminal.until("And the sun?")
        terminal.until("3 turns")


def test_an_answer_goes_on_behind_another_pane_and_the_rail_tells(owner: Person) -> None:
    terminal = owner.shell()
    ask(terminal, "Tell me about the sea, please.")
    terminal.until(WRITING)
    terminal.key("F5")
    terminal.wait(lambda screen: "Ask, or type" not in screen and WRITING in screen, "the mark beside another pane")
    terminal.wait(lambda screen: WRITING not in screen, "that the answer is whole", seconds=120)
    terminal.key("F3")
    terminal.until("Tell me about the sea")
    screen = terminal.until("tokens")
    assert "writing" not in screen
