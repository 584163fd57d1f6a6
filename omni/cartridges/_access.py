"""The way out for everything here that needs the network: the airlock, always for the purpose `pull`."""

import os
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from omni.cartridges.sources import Headers

if TYPE_CHECKING:
    from omni.airlock import FetchProgress, IndexFile, Page
    from omni.hardware import Budget


class Fetcher(Protocol):
    """What of `omni.airlock.AirlockClient` is used here."""

    def fetch(
        self,
        url: str,
        target: Path,
        *,
        purpose: Literal["install", "pull"],
        size: int | None = None,
        sha256: str | None = None,
        headers: Headers = (),
    ) -> "AsyncIterator[FetchProgress]":
        """Download to `target`; closing the iterator cancels."""
        ...

    async def page(self, url: str, *, purpose: Literal["install", "pull"], headers: Headers = ()) -> "Page":
        """The content of a small address."""
        ...

    async def find(
        self, project: str, *, purpose: Literal["install", "pull"], wanted: "Callable[[IndexFile], bool]"
    ) -> "list[IndexFile]":
        """The wanted files of a project on the person's package indexes."""
        ...


class AirlockAccess:
    """Access through an airlock. `budget` is what brains may use here; None when nobody asked."""

    def __init__(
        self, airlock: Fetcher, *, budget: "Budget | None" = None, environment: Mapping[str, str] = os.environ
    ) -> None:
        self._airlock = airlock
        self.budget, self.environment = budget, environment

    async def page(self, url: str, *, headers: Headers = ()) -> bytes:
        """The content of a small address."""
        return (await self._airlock.page(url, purpose="pull", headers=headers)).data

    async def find(self, project: str, wanted: "Callable[[IndexFile], bool]") -> "list[IndexFile]":
        """The wanted files of a project on the person's package indexes."""
        return await self._airlock.find(project, purpose="pull", wanted=wanted)

    def fetch(
        self, url: str, target: Path, *, size: int | None, sha256: str | None, headers: Headers
    ) -> "AsyncIterator[FetchProgress]":
        """As the airlock does it."""
        return self._airlock.fetch(url, target, purpose="pull", size=size, sha256=sha256, headers=headers)
