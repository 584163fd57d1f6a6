"""The door to the network: a process that downloads for the others, and what asks it.

Importing this package imports nothing; each name is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omni.airlock.client import AirlockClient, FetchProgress, Listening
    from omni.airlock.defaults import default_index
    from omni.airlock.fetch import Fetched, Page, download, page
    from omni.airlock.index import IndexFile, files, find, normalise, pages, search
    from omni.airlock.listen import PortTaken
    from omni.airlock.local import is_local
    from omni.airlock.net import NetSettings, net_settings
    from omni.airlock.record import read_record, verify

_WHERE = {
    "AirlockClient": "client",
    "FetchProgress": "client",
    "Listening": "client",
    "PortTaken": "listen",
    "default_index": "defaults",
    "Fetched": "fetch",
    "Page": "fetch",
    "download": "fetch",
    "page": "fetch",
    "IndexFile": "index",
    "files": "index",
    "find": "index",
    "is_local": "local",
    "normalise": "index",
    "pages": "index",
    "search": "index",
    "NetSettings": "net",
    "net_settings": "net",
    "read_record": "record",
    "verify": "record",
}

__all__ = [
    "AirlockClient",
    "FetchProgress",
    "Fetched",
    "IndexFile",
    "Listening",
    "NetSettings",
    "Page",
    "PortTaken",
    "default_index",
    "download",
    "files",
    "find",
    "is_local",
    "net_settings",
    "normalise",
    "page",
    "pages",
    "read_record",
    "search",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
