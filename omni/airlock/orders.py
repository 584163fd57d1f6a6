"""What the airlock is asked, checked, and carried out. Everything in an order comes from outside and is not believed."""

import json
import os
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from omni.airlock import listen
from omni.airlock.audit import Audit, OrderWatch
from omni.airlock.net import NetSettings
from omni.core.errors import NetworkBlocked, OmniError, UsageError, error_to_wire
from omni.core.paths import Home

# Where in the home each purpose may write.
FOLDERS: dict[str, Callable[[Home], Path]] = {
    "install": lambda home: home.venvs,
    "pull": lambda home: home.cartridges,
    "engine": lambda home: home.engine_builds,
}
PURPOSES = (*FOLDERS, listen.PURPOSE)
MAX_LINE = 1 << 18  # bytes of one order
PATIENCE = 30.0  # seconds for a client that does not read what it asked for

_MAX_SIZE = 1 << 43
_MAX_PAGE = 64 << 20
_BEAT = 0.1  # seconds between two lines of progress


class Order(NamedTuple):
    """One thing to fetch: into a file, or, without a `target`, into the answer."""

    url: str
    target: Path | None
    size: int | None
    sha256: str | None
    limit: int
    headers: list[tuple[str, str]]
    net: NetSettings


def parse(line: dict[str, Any], home: Home, purpose: str) -> "Order | listen.Listen":
    """The order on a line. Raises UsageError for anything that is none, NetworkBlocked for a target in another place."""
    return listen.parse(line, home) if purpose == listen.PURPOSE else parse_fetch(line, home, purpose)


def parse_fetch(line: dict[str, Any], home: Home, purpose: str) -> Order:
    """The same for what is to be fetched."""
    from urllib.parse import urlsplit

    from omni.airlock.wire import headers_of

    try:
        url, sha256, size = line["url"], line.get("sha256"), line.get("size")
        if not isinstance(url, str) or len(url) > 16384 or urlsplit(url).scheme not in ("http", "https"):
            raise ValueError("url")
        if sha256 is not None and not (isinstance(sha256, str) and len(sha256) == 64 and sha256.isalnum()):
            raise ValueError("sha256")
        if size is not None and not (type(size) is int and 0 <= size <= _MAX_SIZE):
            raise ValueError("size")
        limit = line.get("limit", _MAX_PAGE)
        if type(limit) is not int or not 0 < limit <= _MAX_PAGE:
            raise ValueError("limit")
        target = line.get("target")
        return Order(
            url=url,
            target=None if target is None else inside(target, FOLDERS[purpose](home)),
            size=size,
            sha256=sha256,
            limit=limit,
            headers=headers_of(line.get("headers", [])),
            net=NetSettings.of(line.get("net", {})),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"The airlock does not understand the order ({type(error).__name__}: {error}).") from None


def inside(target: Any, place: Path) -> Path:
    """The target with every link resolved, if it lies in `place`, which may itself be a link to another disk.

    Not just anywhere in the home: programs lie there, too, and settings, and the airlock's own record.
    """
    if not isinstance(target, str) or not target.startswith("/") or "\0" in target:
        raise ValueError("target")
    folder, name = os.path.split(target)  # pathlib would drop a final slash or dot
    real = Path(os.path.realpath(folder))
    path = real / name
    if name in ("", ".", "..") or not real.is_relative_to(os.path.realpath(place)) or path.is_symlink():
        raise NetworkBlocked(f"{target} is not in {place}: the airlock writes nowhere else for this purpose.")
    return path


def carry_out(order: "Order | listen.Listen", client: socket.socket, watch: OrderWatch, audit: Audit) -> None:
    """Do it, telling the client as it goes: lines of `progress`, then one of `done`, `page` (and its bytes) or `error`.

    Of a listener the one line is `listening`, with its address.
    """
    try:
        try:
            if isinstance(order, listen.Listen):
                listen.carry_out(order, watch, audit, lambda value: tell(client, value))
            else:
                _fetch(order, client, watch)
        except OmniError as error:
            tell(client, listen.error_to_wire(error, error_to_wire(error)))
        except OSError:
            raise
        except Exception as error:  # noqa: BLE001 - a bug of ours must not take the other downloads along
            import traceback

            # Without the message, which may quote an address with its password.
            sys.stderr.write(f"{type(error).__name__}\n{''.join(traceback.format_tb(error.__traceback__))}")
            tell(client, {"error": error_to_wire(NetworkBlocked(f"The airlock failed ({type(error).__name__})."))})
    except OSError:
        watch.cancel()  # the client is gone


def _fetch(order: Order, client: socket.socket, watch: OrderWatch) -> None:
    from omni.airlock import fetch

    def cancelled() -> bool:
        return watch.cancelled

    if order.target is None:
        page = fetch.page(
            order.url, net=order.net, headers=order.headers, limit=order.limit, watch=watch, cancelled=cancelled
        )
        tell(client, {"page": {"length": len(page.data), "content_type": page.content_type, "url": page.url}})
        client.sendall(page.data)
        return
    last = 0.0

    def progress(done: int, total: int | None) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _BEAT or done == total:
            last = now
            try:
                tell(client, {"progress": [done, total]})
            except OSError:
                watch.cancelled = True  # ends at the next look, as something that can go on

    fetched = fetch.download(
        order.url,
        order.target,
        net=order.net,
        size=order.size,
        sha256=order.sha256,
        headers=order.headers,
        progress=progress,
        cancelled=cancelled,
        watch=watch,
    )
    tell(client, {"done": {**fetched._asdict(), "path": str(fetched.path)}})


def tell(client: socket.socket, value: dict[str, Any]) -> None:
    """Send one line. Raises OSError when the client is gone."""
    client.sendall(json.dumps(value, separators=(",", ":")).encode() + b"\n")
