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
from omni.shell.widgets import Folded, Keys, Line, Lines, ink

if TYPE_CHECKING:
    from omni.shell.frame import Frame

WIDEST, NARROW = 14, 60  # keys that do not fit beside each other are named after what they do
AROUND = 6  # rows of the terminal above and below the list of keys
_CHORDS = {"chord('ctrl+x')": "ctrl+x k", "chord('g')": "g + letter"}


class HelpScreen(ModalScreen[None]):
    """What works now, from the focus outwards, then everywhere."""

    DEFAULT_CSS = """
    HelpScreen { align: center middle; }
    HelpScreen > .help { width: 92; max-width: 96%; height: auto; background: $omni-raised;
                         border-left: outer $omni-accent; padding: 1 1 1 3; }
    HelpScreen VerticalScroll { height: auto; scrollbar-background: $omni-raised; }
    HelpScreen Lines { padding-right: 2; }
    HelpScreen Keys { margin-top: 1; dock: none; }
    Screen.-low .help { padding: 0 1; }
    """
    BINDINGS: ClassVar = [
        Binding("i", "names", "Names", id="help.names", tooltip="Show the names by which config.toml remaps keys"),
        Binding("escape,f1,question_mark,enter", "dismiss", "Back", id="help.back", tooltip="Back to where you were"),
    ]

    def __init__(self, app: "Frame") -> None:
        super().__init__()
        self._sections = list(sections(app))
        self._names = False

    def compose(self) -> ComposeResult:
        """Title, sections, the way back."""
        with Vertical(classes="help"):
            with VerticalScroll():
                yield Lines(*self._lines())
            yield Keys(("esc", "back", "escape"), ("↑↓", "more", ""), ("i", "names for config.toml", "i"))

    def on_mount(self) -> None:
        """Let the arrows scroll."""
        self.query_one(VerticalScroll).focus()

    def on_resize(self) -> None:
        """The list scrolls where it is longer than the terminal; the way back stays in view."""
        self.query_one(VerticalScroll).styles.max_height = max(3, self.app.size.height - AROUND)

    def action_names(self) -> None:
        """Show, or hide again, by which name each key is remapped."""
        self._names = not self._names
        self.query_one(Lines).show(*self._lines())

    def _lines(self) -> Iterable[Line]:
        widest = WIDEST if self.app.size.width >= NARROW else WIDEST - 4
        width = min(widest, max((len(keys) for _, rows in self._sections for keys, *_ in rows), default=8))
        for number, (title, rows) in enumerate(self._sections):
            if number:
                yield Content("")
            yield ink((title, "bold text"))
            for keys, what, name in rows:
                first, more = _beside(keys, width)
                also = f" (also {', '.join(more)})" if more else ""
                yield Folded(head=ink((f"{first:<{width}}   ", "accent")), text=what + also)
                if self._names and name:
                    yield Folded(head=Content(" " * (width + 3)), text=name, style="third")


def _beside(keys: str, width: int) -> tuple[str, list[str]]:
    """As many of the keys as fit beside each other, at least one, and the others."""
    for chord in _CHORDS.values():
        keys = keys.replace(chord, chord.replace(" ", "\0"))
    first, *more = keys.split(" ")
    while more and len(first) + 1 + len(more[0]) <= width:
        first = f"{first} {more.pop(0)}"
    return first.replace("\0", " "), [key.replace("\0", " ") for key in more]


def sections(app: "Frame") -> Iterator[tuple[str, list[tuple[str, str, str]]]]:
    """Titles with their rows of (keys, what they do, the id that remaps them): the pane's, then the frame's."""
    focused = app.screen_stack[0].focused
    seen: set[str] = set()
    nodes: list[DOMNode] = list(focused.ancestors_with_self) if focused else []
    pane = app.pane(app.rail.active)
    if pane is not None and pane not in nodes:
        nodes.append(pane)
    title = app.panes[app.rail.active].title
    rows = [
        row for node in nodes if isinstance(node, Widget) for row in (*_told(node), *_rows(app, node._bindings, seen))
    ]
    if rows:
        yield title, rows
    yield "Everywhere", list(_rows(app, app.bindings_of_frame, seen))


def _told(node: Widget) -> Iterator[tuple[str, str, str]]:
    """Keys that a widget takes without a binding, because they mean something only at some places of a text."""
    yield from ((keys, what, "") for keys, what in getattr(node, "told_keys", ()))


def _rows(app: "Frame", bindings: BindingsMap, seen: set[str]) -> Iterator[tuple[str, str, str]]:
    """One row for each thing that a key with an id does; keys that do the same stand together."""
    remapped = dict(app.services.settings.ui.keys)
    rows: dict[str, tuple[list[str], list[str]]] = {}
    for key, binding in bindings:
        what = binding.tooltip or binding.description
        if binding.id is None or what in seen:
            continue
        keys, names = rows.setdefault(what, ([], []))
        for each in remapped.get(binding.id, key).split(","):
            word = _CHORDS.get(binding.action) or key_words(each.strip())
            if word not in keys:
                keys.append(word)
        if binding.id not in names:
            names.append(binding.id)
    seen.update(rows)
    for what, (keys, names) in rows.items():
        yield " ".join(keys), what, " ".join(names)
