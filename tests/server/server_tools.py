"""Doubles of what stands behind a server: a library of made-up brains, and one engine for all of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from omni.cartridges import Brain
from omni.core.errors import NotFound
from omni.core.settings import Settings
from omni.engine import Engine


def brain(name: str, **more: Any) -> Brain:
    """A brain that can be asked."""
    return Brain(name=name, state="ready", **more)


class FakeLibrary:
    """Knows some brains."""

    def __init__(self, brains: Sequence[Brain]) -> None:
        self.known = list(brains)

    async def brains(self) -> list[Brain]:
        return list(self.known)

    async def get(self, name: str) -> Brain:
        for each in self.known:
            if each.name == name:
                return each
        raise NotFound(f"There is no brain {name!r}.")


class FakeServices:
    """The part of `Services` that a server uses, over one engine."""

    def __init__(
        self, engine: Engine, *, brains: Sequence[Brain], settings: Settings | None = None, home: Path | None = None
    ) -> None:
        self.engine = engine
        self.library = FakeLibrary(brains)
        self.settings = settings or Settings()
        self.home = home

    def set(self, section: str, **values: Any) -> None:
        """Change settings."""
        changed = msgspec.structs.replace(getattr(self.settings, section), **values)
        self.settings = msgspec.structs.replace(self.settings, **{section: changed})

    async def read_settings_again(self) -> Settings:
        return self.settings

    async def default_brain(self) -> Brain:
        return self.library.known[0]

    async def open(self, _brain: Brain, *, embeddings: bool = False) -> Engine:
        return self.engine
