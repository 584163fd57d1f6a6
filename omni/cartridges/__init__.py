"""Brains: what they are made of, where they come from, which of them are here.

    gguf      the header of a model file           manifest   `cartridge.toml`
    library   the index of what is here            finders    what other programs already have
    sources   where `omni pull` takes brains from  exports    brains as plain files in a folder

Importing this package is cheap: names are loaded when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omni.cartridges.brains import (
        Base as Base,
        Brain as Brain,
    )
    from omni.cartridges.gguf import GgufHeader as GgufHeader, read_header as read_header

_WHERE = {
    "Base": "brains",
    "Brain": "brains",
    "GgufHeader": "gguf",
    "read_header": "gguf",
}
__all__ = sorted(_WHERE)  # noqa: PLE0605 - the table is the one list of public names


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
