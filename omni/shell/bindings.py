"""The keys of the frame. Each has an id, by which `[ui.keys]` in `config.toml` gives it another key, and a tooltip.

ctrl+a, b, s and q are nobody's default: terminals, screen and tmux take them.
"""

from collections.abc import Iterable
from types import SimpleNamespace
from typing import cast

from textual._ansi_sequences import ANSI_SEQUENCES_KEYS
from textual.binding import Binding

from omni.shell.panes import PaneSpec

AIR_GAP_CHORD = "ctrl+x"

FRAME = (
    Binding("f12", "air_gap", "Air gap", id="air-gap", priority=True, tooltip="Shut every door at once, or open again"),
    Binding(
        AIR_GAP_CHORD,
        "chord('ctrl+x')",
        "Air gap",
        id="air-gap-chord",
        priority=True,
        tooltip="Shut every door at once, or open again",
    ),
    Binding(
        "ctrl+p", "command_palette", "Everything", id="palette", priority=True, tooltip="Find anything by its name"
    ),
    Binding("ctrl+o", "brains", "Brains", id="brains", tooltip="Choose the brain to talk to"),
    Binding("f1", "help", "Help", id="help", tooltip="Show all keys that work here"),
    Binding("question_mark", "help", "Help", id="help-too", show=False, tooltip="Show all keys that work here"),
    Binding(
        "ctrl+c",
        "copy_or_stop",
        "Copy or stop",
        id="copy-or-stop",
        priority=True,
        tooltip="Copy what is selected, else stop the answer; twice on an empty line leaves Omni",
    ),
    Binding(
        "g",
        "chord('g')",
        "Plug-ins",
        id="plug-in-panes",
        show=False,
        tooltip="Go to the pane of a plug-in by its letter",
    ),
)


def let_alt_numbers_be_keys() -> None:
    """Make alt + number arrive as that key.

    A terminal sends it as escape and the digit, which Textual reads as what a Mac's option key writes (`¡™£¢…`); those
    characters themselves still arrive as what they are.
    """
    table = cast("dict[str, object]", ANSI_SEQUENCES_KEYS)
    for number in range(10):
        table.pop(f"\x1b{number}", None)


def let_alt_enter_be_a_key() -> None:
    """Make alt + Enter arrive as that key where the terminal sends escape and a carriage return for it."""
    table = cast("dict[str, object]", ANSI_SEQUENCES_KEYS)
    table["\x1b\r"] = (SimpleNamespace(value="alt+enter"),)


def pane_bindings(panes: Iterable[PaneSpec]) -> list[Binding]:
    """The keys that show each pane: its function key, and alt + number where the terminal keeps function keys."""
    bindings = []
    for pane in panes:
        if pane.key:
            bindings.append(
                Binding(pane.key, f"pane('{pane.name}')", pane.title, id=f"pane-{pane.name}", tooltip=pane.sentence)
            )
        if pane.number:
            bindings.append(
                Binding(
                    f"alt+{pane.number}",
                    f"pane('{pane.name}')",
                    pane.title,
                    id=f"pane-{pane.name}-too",
                    show=False,
                    tooltip=pane.sentence,
                )
            )
    return bindings


def key_words(key: str) -> str:
    """A key as a person reads it: `F12`, `ctrl+p`, `?`."""
    names = {
        "question_mark": "?",
        "slash": "/",
        "delete": "del",
        "escape": "esc",
        "space": "space",
        "up": "↑",
        "down": "↓",
        "left": "←",
        "right": "→",
        "pageup": "pgup",
        "pagedown": "pgdn",
    }
    parts = key.split("+")
    last = names.get(parts[-1], parts[-1])
    if last.startswith("f") and last[1:].isdigit():
        last = last.upper()
    return "+".join([*parts[:-1], last])
