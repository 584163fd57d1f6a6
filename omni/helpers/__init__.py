"""Processes of plug-ins: what runs in one, and how a front end gives it work, as a job. Importing this costs nothing.

process   the entry: wall, order, then the plug-in        channel   a plug-in's side of the line
client    a front end's side: begins, bounds, cancels     values    what a run tells
"""

from omni.core.lazy import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from omni.helpers.channel import HelperChannel, HelperPage, HelperRequest
    from omni.helpers.client import Helpers
    from omni.helpers.values import HelperAnswer, HelperEvent, HelperProgress, HelperValue, HelperWaiting

__getattr__, __dir__ = lazy(
    __name__,
    channel="HelperChannel HelperPage HelperRequest",
    client="Helpers",
    values="HelperAnswer HelperEvent HelperProgress HelperValue HelperWaiting",
)
