"""F1: all keys, written from the bindings themselves, so that it cannot be wrong about one that was remapped."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingsMap
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.dom import DOMNode
from textual.screen import ModalScreen
from textual.widget import Widget

from omni.shell.bindings import key_words
from omni.shell.widgets import Keys, Line, Lines, ink

if TYPE_CHECKING:
    from omni.shell.app import OmniApp

WIDEST = 14  # of what does one thing the first keys are enough to know
_CHORDS = {"chord('ctrl+x')": "ctrl+x k", "chord('g')": "g + letter"}


class HelpScreen(ModalScreen[None]):
    """What works now, from the focus outwards, then everywhere."""

    DEFAULT_CSS = """
    HelpScreen { align: center middle; }
    HelpScreen > .help { width: 92; max-width: 96%; height: auto; max-height: 92%; background: $omni-raised;
                         border-left: outer $omni-accent; padding: 1 3; }
    HelpScreen VerticalScroll { height: auto; max-height: 100%; scrollbar-background: $omni-raised; }
    HelpScreen Keys { margin-top: 1; dock: none; }
    """
    BINDINGS: ClassVar = [
        Binding("escape,f1,question_mark,enter", "dismiss", "Back", id="help.back", tooltip="Back to where you were"),
    ]

    def __init__(self, app: "OmniApp") -> None:
        super().__init__()
        self._sections = list(sections(app))

    def compose(self) -> ComposeResult:
        """Title, sections, the way back."""
        with Vertical(classes="help"):
            with VerticalScroll():
                yield Lines(*self._lines())
            yield Keys(("esc", "back", "escape"), ("↑↓", "more", ""))

    def on_mount(self) -> None:
        """Let the arrows scroll."""
        self.query_one(VerticalScroll).focus()

    def _lines(self) -> Iterable[Line]:
        width = min(WIDEST, max((len(keys) for _, rows in self._sections for keys, *_ in rows), default=8))
        for number, (title, rows) in enumerate(self._sections):
            if number:
                yield Content("")
            yield ink((title, "bold text"))
            for keys, what, name in rows:
                shown = keys if len(keys) <= width else keys[: keys.rindex(" ", 0, width - 1)] + " …"
                yield ink((f"{shown:<{width}}   ", "accent"), (what, "text")), ink((name, "third"))


def sections(app: "OmniApp") -> Iterator[tuple[str, list[tuple[str, str, str]]]]:
    """Titles with their rows of (keys, what they do, the id that remaps them): the pane's, then the frame's."""
    focused = app.screen_stack[0].focused
    seen: set[str] = set()
    nodes: list[DOMNode] = [node for node in (focused.ancestors_with_self if focused else []) if node is not app]
    pane = app.pane(app.rail.active)
    if pane is not None and pane not in nodes:
        nodes.append(pane)
    title = app.panes[app.rail.active].title
    rows = [row for node in nodes if isinstance(node, Widget) for row in _rows(app, node._bindings, seen)]
    if rows:
        yield title, rows
    yield "Everywhere", list(_rows(app, app.bindings_of_frame, seen))


def _rows(app: "OmniApp", bindings: BindingsMap, seen: set[str]) -> Iterator[tuple[str, str, str]]:
    """One row for each thing that a key with an id does; keys that do the same stand together."""
    remapped = dict(app.services.settings.ui.keys)
    found: dict[str, tuple[list[str], list[str]]] = {}
    for key, binding in bindings:
        what = binding.tooltip or binding.description
        if binding.id is None or what in seen:
            continue
        keys, names = found.setdefault(what, ([], []))
        for each in remapped.get(binding.id, key).split(","):
            word = _CHORDS.get(binding.action) or key_words(each.strip())
            if word not in keys:
                keys.append(word)
        if binding.id not in names:
            names.append(binding.id)
    seen.update(found)
    for what, (keys, names) in found.items():
        yield " ".join(keys), what, names[0] if len(names) == 1 else " ".join(names[:2]) + (" …" if names[2:] else "")
