"""What all panes of the frame have in common."""

from typing import TYPE_CHECKING, ClassVar, cast

from textual.containers import Vertical

if TYPE_CHECKING:
    from textual.app import App

    from omni.app import Services
    from omni.keeper import KeeperChange
    from omni.shell.frame import Frame


def frame_of(app: "App[object]") -> "Frame":
    """The app that a widget or a screen stands in, as what they may ask of it."""
    return cast("Frame", app)


class Pane(Vertical):
    """One screen area. It is made with the services alone and asks them for nothing before it is mounted."""

    DEFAULT_CSS = """
    Pane { width: 1fr; height: 1fr; padding: 1 3 1 3; }
    Screen.-narrow Pane { padding: 1 1 0 2; }
    Screen.-low Pane { padding: 0 1 0 1; }
    """
    SCOPED_CSS: ClassVar[bool] = False

    def __init__(self, services: "Services") -> None:
        super().__init__()
        self.services = services

    @property
    def omni(self) -> "Frame":
        """The app, as what may be asked of it."""
        return frame_of(self.app)

    @property
    def shows_pulls(self) -> bool:
        """Whether downloads are seen here without the frame's help."""
        return False

    @property
    def unsent(self) -> str:
        """What somebody wrote here and did not send; kept when the shell ends."""
        return ""

    @property
    def answer_speed(self) -> float:
        """Tokens a second of what is being answered here."""
        return 0.0

    def stop_answer(self) -> bool:
        """Stop what is being answered here; False when nothing is."""
        return False

    def take_focus(self) -> None:
        """The pane is shown: focus what is used first."""

    def heard(self, change: "KeeperChange") -> None:
        """Something changed in another process."""
