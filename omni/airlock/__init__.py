"""The door to the network: a process that downloads for the others, and what asks it.

Importing this package imports nothing; each name is imported when it is first used.
"""

from omni.core.lazy import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from omni.airlock.client import AirlockClient, FetchProgress, Listening
    from omni.airlock.defaults import default_index
    from omni.airlock.fetch import Fetched, Page, download, page
    from omni.airlock.index import IndexFile, files, find, normalise, pages, search
    from omni.airlock.listen import PortTaken
    from omni.airlock.local import is_local
    from omni.airlock.net import NetSettings, net_settings
    from omni.airlock.record import read_record, verify

__getattr__, __dir__ = lazy(
    __name__,
    client="AirlockClient FetchProgress Listening",
    defaults="default_index",
    fetch="Fetched Page download page",
    index="IndexFile files find normalise pages search",
    listen="PortTaken",
    local="is_local",
    net="NetSettings net_settings",
    record="read_record verify",
)
