"""The order `listen`: bind a public address for a server behind a Unix socket, and relay until the server is gone."""

import errno
import os
import socket
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from omni.core.errors import OmniError, SetupError, UsageError
from omni.core.paths import Home

if TYPE_CHECKING:
    import ssl

    from omni.airlock.audit import Audit, OrderWatch

PURPOSE = "serve"
DRAIN = b"drain\n"  # what a server says that accepts no more and finishes what it has begun
MOST = 8  # listeners at a time
_DESCRIPTORS = 4096  # wished for: two a connection, and a few for the record
_BACKLOG = 128


class Listen(NamedTuple):
    """Where to accept, and whom to relay to. Without `cert` and `key` the connections are not encrypted."""

    host: str
    port: int
    upstream: str
    cert: str = ""
    key: str = ""


class PortTaken(SetupError):
    """The port belongs to somebody else, named by `by`, or "" when nobody can tell."""

    def __init__(self, message: str, *, hint: str = "", by: str = "") -> None:
        super().__init__(message, hint=hint)
        self.by = by


def parse(line: dict[str, Any], home: Home) -> Listen:
    """The order on a line. Raises UsageError for anything that is none."""
    try:
        order = line["listen"]
        host, port, upstream, tls = order["host"], order["port"], order["socket"], order.get("tls")
        if not isinstance(host, str) or not 0 < len(host) < 254 or not host.isprintable():
            raise ValueError("host")
        if type(port) is not int or not 0 <= port < 65536:
            raise ValueError("port")
        folder, name = os.path.split(upstream)
        if Path(folder) != home.sockets or name in ("", ".", "..") or "\0" in name or len(upstream) > 107:
            raise ValueError("socket")
        cert, key = (tls["cert"], tls["key"]) if tls else ("", "")
        if not all(isinstance(path, str) and "\0" not in path for path in (cert, key)):
            raise ValueError("tls")
        if tls and not (cert.startswith("/") and key.startswith("/")):
            raise ValueError("tls")
        return Listen(host, port, upstream, cert, key)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"The airlock does not understand the order ({type(error).__name__}: {error}).") from None


def carry_out(order: Listen, watch: "OrderWatch", audit: "Audit", tell: Callable[[dict[str, Any]], None]) -> None:
    """Listen, tell where, and relay until `watch` is cancelled. Raises OmniError when it cannot begin."""
    from omni.airlock.relay import Relay

    _more_descriptors()
    context = _context(order) if order.cert else None
    listener = bind(order.host, order.port)
    try:
        address = listener.getsockname()[:2]
        relay = Relay(listener, order.upstream, context=context, watch=watch, audit=audit)
    except BaseException:
        listener.close()
        raise
    try:
        tell({"listening": list(address)})
        relay.run()
    finally:
        relay.close()


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises PortTaken, which says by whom, and SetupError."""
    from omni.airlock.peers import holder

    try:
        addresses = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICSERV
        )
    except (OSError, UnicodeError):
        raise SetupError(f"{host!r} is no address of this machine.", hint="Try 127.0.0.1.") from None
    # `localhost` is two addresses; clients that try only one of them try this one.
    family, kind, protocol, _, address = min(addresses, key=lambda one: one[0] != socket.AF_INET)
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        where = f"{f'[{host}]' if ':' in host else host}:{port}"
        if error.errno == errno.EADDRINUSE:
            by = holder(port, host)
            hint = "Choose another one with --port."
            raise PortTaken(f"{where} is taken{f' by {by}' if by else ''}.", hint=hint, by=by) from None
        hint = "Ports below 1024 need privileges." if error.errno == errno.EACCES else "Try 127.0.0.1."
        raise SetupError(f"Nothing can listen on {where}: {error.strerror}.", hint=hint) from None
    listener.setblocking(False)
    return listener


def error_to_wire(error: OmniError, plain: dict[str, str]) -> dict[str, Any]:
    """A line for an error, which of a taken port also says by whom."""
    return {"error": plain} | ({"taken": error.by} if isinstance(error, PortTaken) else {})


def _context(order: Listen) -> "ssl.SSLContext":
    import ssl

    try:
        status = Path(order.key).stat()
    except OSError as error:
        raise SetupError(f"The key {order.key} cannot be read: {error.strerror}.") from None
    if not stat.S_ISREG(status.st_mode) or status.st_mode & 0o077 or status.st_uid not in (os.getuid(), 0):
        raise SetupError(f"The key {order.key} is open to others.", hint=f"Run `chmod 600 {order.key}`.")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        # A password would be asked for at a terminal that is not there.
        context.load_cert_chain(order.cert, order.key, password=lambda: b"")
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise SetupError(
            f"The certificate {order.cert} and its key cannot be used: {getattr(error, 'reason', None) or error}.",
            hint="Both are PEM files; the key has no password.",
        ) from None
    return context


def _more_descriptors() -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(_DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
