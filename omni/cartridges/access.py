"""The way out for everything here that needs the network: the airlock, asked to write files below the home."""

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from omni.cartridges.sources import Headers, WebPage
from omni.core.errors import BadFile
from omni.core.paths import Home

if TYPE_CHECKING:
    from omni.airlock import FetchProgress, NetSettings

MAX_PAGE = 64 << 20


class Fetcher(Protocol):
    """What of `omni.airlock.Airlock` is used here."""

    def fetch(
        self,
        url: str,
        target: Path,
        *,
        purpose: str,
        size: int | None = None,
        sha256: str | None = None,
        headers: Headers = (),
    ) -> "AsyncIterator[FetchProgress]":
        """Download to `target`; closing the iterator cancels."""
        ...


class AirlockAccess:
    """Access through an airlock, with the settings of this environment."""

    def __init__(
        self,
        airlock: Fetcher,
        home: Home,
        *,
        memory: int = 0,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self._airlock, self._home = airlock, home
        self._net: NetSettings | None = None
        self.memory, self.environment = memory, environment
        self._numbers = itertools.count()

    @property
    def net(self) -> "NetSettings":
        """Read when it is first needed."""
        if self._net is None:
            from omni.airlock import net_settings

            self._net = net_settings(self.environment)
        return self._net

    async def page(self, url: str, *, headers: Headers = ()) -> WebPage:
        """Fetch to a temporary file and read that; its kind is told from its beginning."""
        target = self._home.cartridges / "pages" / f"{os.getpid()}-{next(self._numbers)}"
        try:
            async for _ in self._airlock.fetch(url, target, purpose="pull", headers=headers):
                pass
            data = await asyncio.to_thread(_read, target)
        finally:
            await asyncio.shield(asyncio.to_thread(_drop, target))
        if len(data) > MAX_PAGE:
            raise BadFile(f"The page {url} is larger than {MAX_PAGE >> 20} MiB.")
        kind = "application/json" if data.lstrip()[:1] in (b"{", b"[") else "text/html"
        return WebPage(data=data, content_type=kind, url=url)

    def fetch(
        self, url: str, target: Path, *, size: int | None, sha256: str | None, headers: Headers
    ) -> "AsyncIterator[FetchProgress]":
        """As the airlock does it, for the purpose `pull`."""
        return self._airlock.fetch(url, target, purpose="pull", size=size, sha256=sha256, headers=headers)


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_PAGE + 1)


def _drop(path: Path) -> None:
    for leftover in (path, path.with_name(path.name + ".part")):
        leftover.unlink(missing_ok=True)
