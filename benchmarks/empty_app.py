"""The yardstick: the least that a Textual app of this shape can be. A rail of nine labels, a text area, a footer."""

from typing import ClassVar

from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Footer, Label, TextArea

PANES = ("Home", "Chat", "Agents", "Cartridges", "Memory", "Senses", "Train", "Shield", "System")


class EmptyApp(App[None]):
    """Nothing but what every app of this shape has."""

    CSS = "Vertical { width: 18; } Horizontal { height: 1fr; } TextArea { width: 1fr; }"
    BINDINGS: ClassVar[list[BindingType]] = [(f"f{number}", "bell", name) for number, name in enumerate(PANES, 2)]

    def compose(self) -> ComposeResult:
        with Horizontal():
            with Vertical():
                for name in PANES:
                    yield Label(name)
            yield TextArea()
        yield Footer()


if __name__ == "__main__":
    EmptyApp().run()
