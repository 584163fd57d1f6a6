"""What the parts of the chat pane may ask of it. It is for type checkers only: nothing imports it when the shell runs."""

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Protocol

from textual.app import App
from textual.notifications import SeverityLevel
from textual.worker import Worker, WorkType

from omni.app import Services
from omni.chat import ChatMessage, Conversation
from omni.core.errors import OmniError
from omni.shell.composer import Composer
from omni.shell.frame import Frame
from omni.shell.panes.chat_gauge import Gauge
from omni.shell.panes.chat_turn import RunningAnswer
from omni.shell.transcript import Transcript


class ChatView(Protocol):
    """The conversation on the screen: what was said in it, where it is shown, and where it is written."""

    services: Services
    conversation: Conversation | None
    messages: list[ChatMessage]
    brain: str
    system: str
    transcript: Transcript
    composer: Composer
    gauge: Gauge

    @property
    def shown_id(self) -> str:
        """The id of the conversation, "" before it is stored."""

    @property
    def project(self) -> Path:
        """The folder that Omni was started in."""

    def stored(self) -> Conversation:
        """The conversation, which must have been stored. Raises UsageError."""

    async def reload(self, *, whole: bool = False) -> None:
        """Read the conversation and show it."""

    async def read_whole(self) -> None:
        """Read what stands above the messages that a long conversation opened with."""

    def do_beside(self, work: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
        """Do what may take long, while the pane goes on."""

    async def ask(self, text: str) -> None:
        """Ask what somebody else wrote for the person. Raises OmniError."""

    async def warm(self) -> None:
        """Wait until what stands behind the services is imported."""

    async def new_conversation(self) -> None:
        """An empty conversation."""

    async def use_brain(self, brain: str) -> None:
        """The next answers come from this brain."""

    def action_conversations(self) -> None:
        """Other conversations."""

    async def turn_over(self, running: RunningAnswer, failure: OmniError | None, go_on: bool) -> None:
        """Show what was stored of a turn that is over; then what waited for it is asked."""

    def learn_title(self) -> None:
        """The first question gave the conversation its title."""

    # ---- what is shown

    def show_title(self) -> None:
        """Title, project, turns."""

    def show_empty(self) -> None:
        """Where nothing was said yet it stands what can be done."""

    def show_queue(self) -> None:
        """What was sent during an answer."""

    def show_keys(self) -> None:
        """The keys of where the keyboard is."""

    def post_status(self) -> None:
        """Tell the status line."""

    def say(self, text: str) -> None:
        """A word that goes away by itself."""

    async def copy_text(self, text: str) -> None:
        """Copy, and say where to."""

    def give_back(self, text: str) -> None:
        """What could not be sent is written again."""

    def take_focus(self) -> None:
        """Write."""

    # ---- what every widget can do

    @property
    def app(self) -> App[object]:
        """The app, as Textual knows it."""

    @property
    def omni(self) -> Frame:
        """The app, as what may be asked of it."""

    @property
    def is_attached(self) -> bool:
        """Whether it is still there."""

    def run_worker(self, work: WorkType[None], name: str = "", group: str = "") -> Worker[None]:
        """Do this beside everything else."""

    def call_later(self, callback: Callable[..., object], *args: object) -> bool:
        """Call it after what is to be done now."""

    def notify(self, message: str, *, markup: bool, severity: SeverityLevel, timeout: float) -> None:
        """Say something in a toast."""
