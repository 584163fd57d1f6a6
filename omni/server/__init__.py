"""The local API and the web interface: a front end that other programs and browsers talk to.

Importing this package imports nothing; each name is imported when it is first used.
"""

from importlib import import_module
from typing import Any

_WHERE: dict[str, str] = {}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
