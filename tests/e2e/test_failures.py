"""A shell that meets what nobody expected, in a real terminal: it goes on, or it ends as a guest who leaves things in order."""

import json
import shutil
import sys

import pytest

from tests.e2e.conftest import OMNI, ROOT, Person
from tests.ordinary import without_reading_all

pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(180),
    pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed"),
]

SIZES = pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])


@SIZES
def test_a_folder_with_closed_doors_is_listed_as_far_as_it_goes(person: Person, size: tuple[int, int]) -> None:
    for name, mode in (("closed", 0), ("listed", 0o444)):
        (person.project / name).mkdir()
        (person.project / name / "inside.txt").write_text("x")
        (person.project / f"to-{name}").symlink_to(f"{name}/inside.txt")
        (person.project / name).chmod(mode)
    (person.project / "open.txt").write_text("x")
    terminal = person.shell(size=size, command=without_reading_all([*OMNI, "run"]))
    terminal.type("my draft @")
    screen = terminal.until("open.txt")
    assert "closed/" in screen
    assert "to-closed" not in screen
    shutil.rmtree(person.project / "listed", ignore_errors=True)  # under its feet
    terminal.type("op")
    terminal.wait(lambda screen: "open.txt" in screen and "listed/" not in screen, "what is left")
    terminal.key("Tab")
    terminal.until("my draft @open.txt")
    terminal.key("Enter")
    terminal.wait(lambda screen: "not asked" in screen or "No brain" in screen, "why nothing answers")
    for name in ("closed", "listed"):
        if (person.project / name).exists():
            (person.project / name).chmod(0o755)


def broken(place: str, *, when: str = "True") -> list[str]:
    """The shell with something in it that raises: `place` is where, `when` what has to hold for that."""
    module, _, attribute = place.partition(":")
    owner, _, name = attribute.rpartition(".")
    code = f"""
import importlib, sys
sys.path.insert(0, {str(ROOT)!r})
from omni.core.paths import Home
from omni.shell import start
whole = start._shell
def fail(*given, **named):
    if {when}:
        raise RuntimeError("cat-on-it")
    return before(*given, **named)
def shell(*given, **named):
    global before
    at = importlib.import_module({module!r})
    for each in {owner.split(".")!r}:
        at = getattr(at, each) if each else at
    before = getattr(at, {name!r})
    setattr(at, {name!r}, fail)
    return whole(*given, **named)
start._shell = shell
sys.exit(start.run(Home.from_environment()))
"""
    return [sys.executable, "-c", code]


@SIZES
def test_what_fails_unexpectedly_is_said_and_the_shell_goes_on(person: Person, size: tuple[int, int]) -> None:
    terminal = person.shell(size=size, command=broken("omni.chat.completion:complete_path"))
    terminal.type("my draft @x")
    screen = terminal.until("cat-on-it")
    assert "Something in Omni failed (RuntimeError:" in screen
    assert "shell.jsonl" in terminal.until("shell.jsonl")
    assert "my draft" in screen
    terminal.type(" and more")
    terminal.until("and more")
    records = [json.loads(line) for line in (person.home.logs / "shell.jsonl").read_text("utf-8").splitlines()]
    stacks = [each["traceback"] for each in records if "cat-on-it" in each["message"]]
    assert len(stacks) >= 1
    assert "in _find" in stacks[0]


def test_a_screen_that_cannot_be_drawn_gives_the_terminal_back_and_keeps_the_draft(person: Person) -> None:
    when = "given[0].size.width == 90"  # from the moment on in which the window gets this size
    terminal = person.shell(
        size=(100, 30), command=broken("textual._compositor:Compositor.render_full_update", when=when)
    )
    terminal.type("what I was writing")
    terminal.until("what I was writing")
    terminal._tmux("resize-window", "-x", "90", "-y", "30")
    assert terminal.ended() == 1
    screen = terminal.screen
    assert "Omni's shell crashed." in screen
    assert "RuntimeError: cat-on-it" in screen
    (draft,) = person.home.root.glob("draft-*.md")
    assert draft.read_text("utf-8") == "what I was writing"
    assert str(draft) in screen.replace("\n", "")
    assert "render_full_update" in (person.home.logs / "shell.jsonl").read_text("utf-8")


def test_bytes_that_are_no_text_and_sequences_that_are_no_key_are_lived_with(person: Person) -> None:
    terminal = person.shell()
    terminal.bytes(b"one \xff\xfe two \xc3")  # as a terminal in another encoding sends it
    terminal.until("one")
    terminal.bytes(b"\x1b[9999999999u\x1b[:1A three")
    screen = terminal.until("three")
    assert "one \ufffd\ufffd two" in screen
    terminal.type(" four")
    terminal.until("four")


def test_a_terminal_that_cannot_be_read_any_more_leaves_the_draft(person: Person) -> None:
    terminal = person.shell(command=broken("omni.shell.terminal:Parser.feed", when="given[1] == '!'"))
    terminal.type("what I was writing")
    terminal.until("what I was writing")
    terminal.type("!")
    assert terminal.ended() == 1
    screen = terminal.screen
    assert "Omni's shell crashed." in screen
    (draft,) = person.home.root.glob("draft-*.md")
    assert draft.read_text("utf-8") == "what I was writing"
    assert str(draft) in screen.replace("\n", "")
    log = (person.home.logs / "shell.jsonl").read_text("utf-8")
    assert "Nothing can be read from the terminal any more (RuntimeError: cat-on-it)" in log
    assert "run_input_thread" in log
