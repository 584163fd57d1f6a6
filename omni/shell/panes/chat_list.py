"""The list of conversations: find, open, rename, delete."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from omni.core.errors import OmniError
from omni.shell.conversation.words import clock_time

if TYPE_CHECKING:
    from omni.chat import ChatService, Conversation

NEW = "new"
TITLE_ROOM = 24  # cells that facts leave to a title
_KEYS = (("enter", "open"), ("ctrl+n", "new"), ("ctrl+r", "rename"), ("del", "delete"), ("esc", "back"))


class ConversationList(ModalScreen[str | None]):
    """Closes with the id of a conversation, `NEW`, or None. `busy` tells which are answering."""

    DEFAULT_CSS = """
    ConversationList { align: center middle; }
    ConversationList > Vertical { width: 92; max-width: 94%; height: 80%; background: $omni-raised;
        border-left: outer $omni-accent; padding: 1 3; }
    ConversationList.-harm > Vertical { border-left: outer $omni-red; }
    ConversationList Input { border: none; height: 1; padding: 0 1; background: $omni-background; color: $omni-text; }
    ConversationList Input:focus { border: none; }
    ConversationList OptionList { border: none; height: 1fr; margin: 1 0; padding: 0; background: $omni-raised;
        color: $omni-text; scrollbar-size-vertical: 1; }
    ConversationList OptionList:focus { border: none; }
    ConversationList OptionList > .option-list--option-highlighted, ConversationList OptionList:focus > .option-list--option-highlighted {
        background: $omni-chosen; color: $omni-text; text-style: none; }
    ConversationList Static { color: $omni-second; height: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "back", id="conversations.back", tooltip="Back to the conversation"),
        Binding("ctrl+n", "new", "new", id="conversations.new", tooltip="Begin a conversation"),
        Binding("ctrl+r", "rename", "rename", id="conversations.rename", tooltip="Give it another title"),
        Binding(
            "delete", "delete", "delete", id="conversations.delete", priority=True, tooltip="Delete it; asks once more"
        ),
        Binding("down", "move(1)", "down", id="conversations.down", show=False, priority=True, tooltip="The next one"),
        Binding("up", "move(-1)", "up", id="conversations.up", show=False, priority=True, tooltip="The one before"),
    ]

    def __init__(
        self,
        chat: "ChatService",
        *,
        busy: Callable[[str], bool],
        delete: Callable[[str], Awaitable[None]],
        current: str = "",
    ) -> None:
        super().__init__()
        self._chat, self._busy, self._delete, self._current = chat, busy, delete, current
        self._listed: list[Conversation] = []
        self._mode = "find"
        self._sure = ""

    def compose(self) -> ComposeResult:
        """A line to find with, the list, the keys."""
        with Vertical():
            yield Input(placeholder="Find in titles and messages")
            yield OptionList(compact=True)
            yield Static()

    def on_mount(self) -> None:
        """Show the most recent ones."""
        self.query_one(OptionList).can_focus = False
        self.query_one(Input).focus()
        self._say()
        self.call_after_refresh(self._fill, "")

    async def on_resize(self) -> None:
        """Rows take the width that there is."""
        if self._listed:
            await self._fill(self.query_one(Input).value if self._mode == "find" else "")

    def _say(self, *parts: tuple[str, str]) -> None:
        keys = parts or tuple(
            part for key, what in _KEYS for part in ((key, "$omni-second"), (f" {what}   ", "$omni-third"))
        )
        self.query_one(Static).update(Content.assemble(*keys))

    def complain(self, error: OmniError) -> None:
        """Where the keys stand."""
        self._say((error.message, "$omni-red"), (f"  {error.hint}", "$omni-second"))

    async def _fill(self, query: str) -> None:
        self._listed = await self._chat.conversations(query=query, limit=200)
        listing = self.query_one(OptionList)
        chosen = self._chosen()
        listing.clear_options()
        listing.add_options([Option(self._row(one), id=one.id) for one in self._listed])
        if self._listed:
            at = next((at for at, one in enumerate(self._listed) if one.id == (chosen or self._current)), 0)
            listing.highlighted = at
        else:
            listing.add_option(
                Option(Content.styled("Nothing here yet. ctrl+n begins a conversation.", "$omni-third"), disabled=True)
            )

    def _row(self, one: "Conversation") -> Content:
        width = max(self.query_one(OptionList).content_size.width - 2, 12)
        place = Path(one.project).name if one.project else ""
        parts = [place, f"{one.turns} turn{'s' * (one.turns != 1)}", clock_time(one.updated)]
        if self._busy(one.id):
            parts.insert(0, "answering")
        parts = [part for part in parts if part]
        while len(parts) > 1 and width - len("   ".join(parts)) < TITLE_ROOM:
            parts.pop(1 if parts[0] == "answering" else 0)  # the title is what one looks for
        facts = "   ".join(parts)
        room = max(width - len(facts) - 3, 10)
        title = Content(one.title or "new conversation").truncate(room, ellipsis=True)
        gap = " " * max(width - title.cell_length - len(facts), 1)
        return Content.assemble(
            title.stylize("bold") if one.id == self._current else title, gap, (facts, "$omni-third")
        )

    def _chosen(self) -> str:
        listing = self.query_one(OptionList)
        at = listing.highlighted
        return self._listed[at].id if at is not None and at < len(self._listed) else ""

    @on(Input.Changed)
    async def _typed(self, event: Input.Changed) -> None:
        event.stop()
        self._calm()
        if self._mode == "find":
            await self._fill(event.value)

    @on(Input.Submitted)
    async def _enter(self, event: Input.Submitted) -> None:
        event.stop()
        chosen = self._chosen()
        if self._mode == "rename":
            if chosen and event.value.strip():
                await self._chat.rename(chosen, event.value)
            self._find_again()
            await self._fill("")
        elif chosen:
            self.dismiss(chosen)

    @on(OptionList.OptionSelected)
    def _clicked(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        if event.option.id:
            self.dismiss(event.option.id)

    def _find_again(self) -> None:
        self._mode = "find"
        field = self.query_one(Input)
        with field.prevent(Input.Changed):
            field.value = ""
        field.placeholder = "Find in titles and messages"
        self._say()

    def _calm(self) -> None:
        if self._sure:
            self._sure = ""
            self.remove_class("-harm")
            self._say()

    def action_move(self, step: int) -> None:
        """Another row."""
        self._calm()
        listing = self.query_one(OptionList)
        if self._mode == "find" and self._listed:
            listing.highlighted = ((listing.highlighted or 0) + step) % len(self._listed)

    def action_new(self) -> None:
        """Begin a conversation."""
        self.dismiss(NEW)

    def action_rename(self) -> None:
        """The line takes the new title."""
        if not (chosen := self._chosen()):
            return
        self._calm()
        self._mode = "rename"
        field = self.query_one(Input)
        field.placeholder = "The new title"
        field.value = next(one.title for one in self._listed if one.id == chosen)
        self._say(
            ("enter", "$omni-second"),
            (" keeps this title   ", "$omni-third"),
            ("esc", "$omni-second"),
            (" does not", "$omni-third"),
        )

    async def action_delete(self) -> None:
        """Ask, and delete when the same key comes again for the same conversation."""
        field = self.query_one(Input)
        if self._mode == "rename" or field.cursor_position < len(field.value):
            field.action_delete_right()
            return
        if not (chosen := self._chosen()):
            return
        title = next(one.title for one in self._listed if one.id == chosen) or "new conversation"
        if self._sure != chosen:
            self._sure = chosen
            self.add_class("-harm")
            self._say(("del", "$omni-red"), (f" once more deletes {title!r} with all its branches", "$omni-text"))
            return
        self._calm()
        await self._delete(chosen)
        await self._fill(field.value)

    def action_back(self) -> None:
        """Close, or leave renaming."""
        if self._sure:
            self._calm()
        elif self._mode == "rename":
            self._find_again()
        else:
            self.dismiss(None)

    def on_click(self, event: events.Click) -> None:
        """A click beside the sheet closes it."""
        if event.widget is self:
            self.dismiss(None)
