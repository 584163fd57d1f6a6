"""The terminal shell: a Textual front end that renders what the domains say."""

from omni.core.lazy import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from omni.shell.panes import PaneSpec

__getattr__, __dir__ = lazy(
    __name__,
    panes="PaneSpec",
)
