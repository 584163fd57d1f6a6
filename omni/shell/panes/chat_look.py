"""How the parts around the transcript look: title, what an empty conversation teaches, what is queued, keys."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.content import Content

from omni.shell.glyphs import Glyphs
from omni.shell.transcript import Entry
from omni.shell.widgets import ink

if TYPE_CHECKING:
    from omni.shell.widgets import Line

LONGEST_QUEUED = 60
Key = tuple[str, str, str]


def title_line(title: str, place: str, turns: int | None, width: int) -> Content:
    """Title, project, turns; where it is narrow the title gives."""
    count = f"{turns} turn{'s' * (turns != 1)}" if turns is not None else ""
    shown = Content(title or "New conversation")
    room = width - sum(len(part) + 3 for part in (place, count) if part)
    if 12 <= room < shown.cell_length:
        shown = shown.truncate(room, ellipsis=True)
    return ink(
        (shown.plain, "bold text"),
        (f"   {place}" if place else "", "second"),
        (f"   {count}" if count else "", "third"),
    )


def teaching(brain: str) -> "list[Line]":
    """What stands where nothing was said yet."""
    who = ink(("Ask ", "second"), (brain or "a brain", "accent bold" if brain else "second"), (" below.", "second"))
    return [
        who,
        ink(("What is said stays on this machine.", "third")),
        ink(),
        (
            ink(("@", "text"), (" puts a file into the question", "third")),
            ink(("/", "text"), (" lists commands", "third")),
        ),
        (
            ink(("ctrl+t", "text"), (" earlier conversations", "third")),
            ink(("ctrl+o", "text"), (" another brain", "third")),
        ),
    ]


def queue_lines(waiting: Sequence[str], glyphs: Glyphs) -> "list[Line]":
    """What was sent during an answer, one row each."""
    rows: list[Line] = []
    for at, text in enumerate(waiting):
        first = " ".join(text.split())
        hint = (f"   {glyphs.up} takes it back", "third") if at == len(waiting) - 1 else ("", "third")
        cut = first[:LONGEST_QUEUED] + (glyphs.ellipsis if len(first) > LONGEST_QUEUED else "")
        rows.append(ink(("queued  ", "amber"), (cut, "second"), hint))
    return rows


def reading_keys(entry: Entry | None) -> list[Key]:
    """The keys of the transcript, by what the focused block is."""
    person = entry is not None and entry.kind == "person"
    first = [("e", "edit", "e")] if person else [("r", "retry", "r")]
    code = [("y", "code", "y")] if entry is not None and entry.codes() else []
    fold = "thoughts" if entry is not None and entry.reasoning and not entry.folded else "fold"
    keys = [("c", "copy", "c"), *first, *code, ("u", "undo", "u"), ("enter", fold, "enter")]
    if entry is not None and entry.branch[1] > 1:
        keys.insert(0, ("[ ]", "branch", ""))
    if entry is not None and any("o go on" in text for text, _ in entry.foot):
        keys.insert(0, ("o", "go on", "o"))
    return [*keys, ("shift+tab", "up", "shift+tab"), ("esc", "back", "escape")]


def writing_keys(*, answering: bool, editing: bool) -> list[Key]:
    """The keys of the composer."""
    if editing:
        return [("enter", "ask on a new branch", "enter"), ("esc", "leave the old question", "escape")]
    return [
        ("enter", "queue" if answering else "send", "enter"),
        ("ctrl+j", "line", "ctrl+j"),
        *([("esc", "stop", "escape")] if answering else []),
        ("shift+tab", "read", "shift+tab"),
        ("ctrl+t", "chats", "ctrl+t"),
        ("ctrl+o", "brain", "ctrl+o"),
        ("ctrl+p", "everything", "ctrl+p"),
    ]
