"""One HTTP request: proxies, certificates, credentials, redirects, and every failure as a sentence.

`http.client` and `ssl` are imported when the first request is made; importing this module costs nothing.
"""

import base64
import errno
import fnmatch
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit

from omni.airlock.net import NetSettings, public
from omni.core.errors import BadFile, NetworkBlocked, NotFound, OmniError, SetupError

if TYPE_CHECKING:
    import socket
    import ssl
    from http.client import HTTPConnection, HTTPResponse

MAX_REDIRECTS = 10
_SECRET_HEADERS = ("authorization", "cookie", "proxy-authorization")
_URL_CHARACTERS = "!#$%&'()*+,/:;=?@[]~"  # what is left as it is when an address is made safe for a request line


class Interrupted(NetworkBlocked):
    """A failure that may have passed when asked again; `after` is how many seconds the server asks to wait."""

    after = 0.0


class Cancelled(OmniError):
    """Nobody wants the download any more; what came is kept and goes on from there."""

    exit_code = 130


class ConnectionObserver:
    """One connection as whoever watches sees it. This one sees nothing; the airlock's audits, counts and can cut."""

    def attach(self, connection: "socket.socket") -> None:
        """The connection is open."""

    def received(self, count: int) -> None:
        """So many more bytes came through."""

    def close(self, verdict: str) -> None:
        """It is over. May be called again; the first call counts."""


class Watch:
    """Is told of every connection."""

    def door(self, host: str) -> ConnectionObserver:  # noqa: ARG002 - what a watch that looks would need
        """A connection to `host` (`name:port`) is about to be made."""
        return ConnectionObserver()


class RemoteResponse:
    """A response whose body is read piece by piece. `length` is what its head promises, None if it promises nothing."""

    def __init__(
        self, response: "HTTPResponse", connection: "HTTPConnection", url: str, door: ConnectionObserver, timeout: float
    ) -> None:
        self.status, self.headers, self.url = response.status, response.headers, url
        length = response.headers.get("Content-Length", "")
        self.length = int(length) if length.isdecimal() and not response.chunked else None
        self._left = self.length
        self._response, self._connection, self._door, self._timeout = response, connection, door, timeout

    @property
    def content_type(self) -> str:
        """The type of the body as the server names it."""
        return self.headers.get("Content-Type", "")

    def read(self, most: int) -> bytes:
        """The next bytes, as soon as there are any; b"" at the end. Raises Interrupted when the end comes too early."""
        from http.client import HTTPException

        if self._left == 0:
            return b""
        try:
            # read1, because read would wait until all of `most` is there; it does not count what is left, so we do.
            data = self._response.read1(most if self._left is None else min(most, self._left))
        except (OSError, HTTPException) as error:
            raise failure(self.url, error, timeout=self._timeout) from error
        if not data and self._left:
            raise Interrupted(f"{host_of(self.url)} ended the download of {public(self.url)} too early.")
        if self._left is not None:
            self._left -= len(data)
        self._door.received(len(data))
        return data

    def close(self, verdict: str = "whole") -> None:
        """Hang up. `verdict` is what the audit says; the first one counts."""
        self._door.close(verdict)
        self._response.close()
        self._connection.close()


class Wire:
    """Makes requests with one user's settings. Not shared between threads."""

    def __init__(self, net: NetSettings, watch: Watch | None = None) -> None:
        self._net, self._watch = net, watch or Watch()
        self._contexts: dict[bool, ssl.SSLContext] = {}

    def get(self, url: str, headers: Iterable[tuple[str, str]] = (), *, checked: bool = False) -> RemoteResponse:
        """The answer to a GET, redirects followed: 200, 206 and 416 are given back, others raised.

        `checked` says that a hash of the content is known, which is what makes plain http acceptable.
        Raises NotFound, SetupError, BadFile, NetworkBlocked, and Interrupted where asking again makes sense.
        """
        given = dict(headers)
        seen: set[str] = set()
        for _ in range(MAX_REDIRECTS + 1):
            parts = _split(url)
            if parts.scheme == "http" and not (checked or self._trusts(parts) or _is_loopback(parts.hostname or "")):
                raise NetworkBlocked(
                    f"{public(url)} is not encrypted, and no hash says what should come.",
                    hint="Use an https address, give the sha256, or name the host in pip's `trusted-host`.",
                )
            answer = self._once(parts, given)
            if answer.status not in (301, 302, 303, 307, 308):
                return self._judged(answer)
            location = answer.headers.get("Location", "")
            answer.close(f"redirect {answer.status}")
            url = _redirected(answer.url, location)
            if url in seen:
                break
            seen.add(url)
            if _origin(_split(url)) != _origin(parts):  # what was meant for one host is not told to another
                given = {name: value for name, value in given.items() if name.lower() not in _SECRET_HEADERS}
        raise NetworkBlocked(f"{public(url)} redirects in a circle.")

    def _once(self, parts: SplitResult, given: dict[str, str]) -> RemoteResponse:
        from http.client import HTTPException

        url = parts._replace(netloc=_authority(parts), fragment="").geturl()
        door = self._watch.door(f"{parts.hostname}:{_port(parts)}")
        headers = {"User-Agent": "Omni", "Accept": "*/*", "Accept-Encoding": "identity", "Connection": "close"} | given
        if "authorization" not in (name.lower() for name in given) and (login := self._login(parts)):
            headers["Authorization"] = login
        connection: HTTPConnection | None = None
        try:
            connection, target = self._connection(parts, headers)
            connection.connect()
            door.attach(connection.sock)
            connection.request("GET", quote(target, safe=_URL_CHARACTERS), headers=headers)
            return RemoteResponse(connection.getresponse(), connection, url, door, self._net.timeout)
        except (OSError, HTTPException, ValueError) as error:
            if connection is not None:
                connection.close()
            explained = failure(url, error, timeout=self._net.timeout)
            door.close(f"failed: {type(error).__name__}")
            raise explained from error
        except BaseException:
            door.close("failed")
            raise

    def _connection(self, parts: SplitResult, headers: dict[str, str]) -> "tuple[HTTPConnection, str]":
        """A connection that is not open yet, and what to ask on it."""
        from http.client import HTTPConnection, HTTPSConnection

        host, port, timeout = parts.hostname or "", _port(parts), self._net.timeout
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        proxy = proxy_for(parts, self._net)
        via = _split(proxy) if proxy else None
        there = (via.hostname or "", _port(via)) if via else (host, port)
        login = {"Proxy-Authorization": _basic(via)} if via and via.username else {}
        if parts.scheme == "https":
            connection = HTTPSConnection(*there, timeout=timeout, context=self._context(self._trusts(parts)))
            if via:
                connection.set_tunnel(host, port, headers=login)
            return connection, path
        headers.update(login)
        plain = HTTPConnection(*there, timeout=timeout)
        return plain, f"http://{_authority(parts)}{path}" if via else path

    def _context(self, unchecked: bool) -> "ssl.SSLContext":
        import os
        import ssl

        if unchecked in self._contexts:
            return self._contexts[unchecked]
        chosen = self._net.certificate
        try:
            folder = os.path.isdir(chosen)  # noqa: PTH112 - pip takes either
            context = ssl.create_default_context(
                cafile=chosen if chosen and not folder else None, capath=chosen if folder else None
            )
            if self._net.client_certificate:
                context.load_cert_chain(self._net.client_certificate)
        except (OSError, ssl.SSLError) as error:
            raise SetupError(
                f"The certificates in {chosen or self._net.client_certificate} cannot be used: {error.strerror or error}.",
                hint="They are named by pip's `cert`, SSL_CERT_FILE or REQUESTS_CA_BUNDLE.",
            ) from error
        if unchecked:  # the user said so, with pip's `trusted-host`
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self._contexts[unchecked] = context
        return context

    def _trusts(self, parts: SplitResult) -> bool:
        names = ((parts.hostname or "").lower(), f"{parts.hostname}:{_port(parts)}".lower())
        return any(host.lower() in names for host in self._net.trusted_hosts)

    def _login(self, parts: SplitResult) -> str:
        """The user and password for an address: its own, those of an index on the same host, or of ~/.netrc."""
        if parts.username:
            return _basic(parts)
        for other in (self._net.index_url, *self._net.extra_index_urls, *self._net.find_links):
            if "@" in other and (known := _split(other)).username and _origin(known) == _origin(parts):
                return _basic(known)
        if self._net.netrc:
            from netrc import NetrcParseError, netrc

            try:
                credentials = netrc(self._net.netrc).authenticators(parts.hostname or "")
            except (OSError, NetrcParseError, ValueError):
                return ""
            if credentials:
                return "Basic " + base64.b64encode(f"{credentials[0]}:{credentials[2] or ''}".encode()).decode()
        return ""

    def _judged(self, answer: RemoteResponse) -> RemoteResponse:
        status, where = answer.status, public(answer.url)
        if status in (200, 206, 416):
            return answer
        answer.close(f"refused: {status}")
        if status in (404, 410):
            raise NotFound(f"{where} does not exist.")
        if status in (401, 403):
            raise NetworkBlocked(
                f"{host_of(answer.url)} does not give out {where} to you ({status}).",
                hint="Put a user and password into the address or into ~/.netrc, where the host wants one.",
            )
        if status in (408, 425, 429) or status >= 500:
            error = Interrupted(f"{host_of(answer.url)} cannot answer now ({status}).", hint="Try again later.")
            wait = answer.headers.get("Retry-After", "")
            error.after = float(wait) if wait.isdecimal() and len(wait) < 6 else 0.0
            raise error
        raise NetworkBlocked(f"{host_of(answer.url)} answered {status} for {where}.")


def proxy_for(parts: SplitResult, net: NetSettings) -> str:
    """The proxy for an address as a URL, empty for none. pip's own setting wins over NO_PROXY, as it does in pip."""
    proxy = net.proxy
    if not proxy and not _bypassed(parts, net.no_proxy):
        proxy = net.https_proxy if parts.scheme == "https" else net.http_proxy
    if not proxy:
        return ""
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    if not proxy.startswith("http://"):
        raise SetupError(
            f"The proxy {public(proxy)} is of a kind that Omni does not speak.",
            hint="Name an HTTP proxy: http://HOST:PORT.",
        )
    return proxy


def host_of(url: str) -> str:
    """The host of an address, for messages."""
    try:
        return urlsplit(url).hostname or public(url)
    except ValueError:
        return public(url)


def failure(url: str, error: Exception, *, timeout: float) -> OmniError:
    """What to tell a person about a request that failed."""
    import socket
    import ssl

    host = host_of(url)
    if isinstance(error, ssl.SSLCertVerificationError):
        return NetworkBlocked(
            f"The certificate of {host} cannot be trusted: {error.verify_message}.",
            hint="Name your certificates in pip's `cert` (PIP_CERT) or SSL_CERT_FILE.",
        )
    if isinstance(error, TimeoutError):
        return Interrupted(f"{host} has sent nothing for {timeout:g} s.", hint="Try again; it goes on from there.")
    if isinstance(error, socket.gaierror):
        kind = Interrupted if error.errno == socket.EAI_AGAIN else NetworkBlocked
        return kind(f"The name {host} cannot be found.", hint="Is this machine online, and is a proxy needed?")
    if isinstance(error, OSError) and error.errno == errno.ENETDOWN:
        return NetworkBlocked(f"{host} cannot be reached: this process may not use the network.")
    if isinstance(error, OSError) and str(error).startswith("Tunnel connection failed"):  # how http.client says it
        return NetworkBlocked(f"The proxy refuses to connect to {host}: {str(error).partition(': ')[2].strip()}.")
    if isinstance(error, ssl.SSLError):
        return Interrupted(f"No encrypted connection to {host}: {error.reason or error}.")
    if isinstance(error, OSError):
        return Interrupted(f"{host} cannot be reached: {error.strerror or error}.", hint="Is this machine online?")
    if isinstance(error, ValueError):
        return BadFile(f"{public(url)} is no address that can be asked.")
    return Interrupted(f"{host} does not answer as a web server does: {type(error).__name__}.")


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise BadFile(f"{public(url)} is no address that can be asked.") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadFile(f"{public(url)} is neither an http nor an https address.")
    return parts


def _redirected(url: str, location: str) -> str:
    try:
        target = urljoin(url, location.strip())
    except ValueError:
        target = ""
    if not location or len(location) > 16384:
        raise NetworkBlocked(f"{public(url)} redirects to nowhere.")
    parts = _split(target)
    if url.startswith("https:") and parts.scheme != "https":
        raise NetworkBlocked(f"{public(url)} redirects to {public(target)}, which is not encrypted.")
    return target


def _port(parts: SplitResult) -> int:
    return parts.port or (443 if parts.scheme == "https" else 80)


def _authority(parts: SplitResult) -> str:
    return parts.netloc.rpartition("@")[2]


def _origin(parts: SplitResult) -> tuple[str, str, int]:
    return parts.scheme, (parts.hostname or "").lower(), _port(parts)


def _basic(parts: SplitResult) -> str:
    login = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    return "Basic " + base64.b64encode(login.encode()).decode()


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or fnmatch.fnmatch(host, "127.*.*.*")


def _bypassed(parts: SplitResult, no_proxy: str) -> bool:
    """Whether NO_PROXY covers the host: by name, by the end of its name, by address range, with or without a port."""
    host, port = (parts.hostname or "").lower(), _port(parts)
    for rule in filter(None, (item.strip().lower() for item in no_proxy.replace(" ", ",").split(","))):
        name, _, rule_port = rule.rpartition(":") if rule.count(":") == 1 else (rule, "", "")
        if rule_port and rule_port != str(port):
            continue
        name = name.strip("[]").removeprefix("*").lstrip(".")
        if not name and "*" in rule:
            return True
        if name and (host == name or host.endswith(f".{name}") or ("/" in name and _in_range(host, name))):
            return True
    return False


def _in_range(host: str, network: str) -> bool:
    import ipaddress

    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


def headers_of(pairs: Any) -> list[tuple[str, str]]:
    """Headers from outside, checked: raises ValueError for what is no header."""
    headers = []
    for name, value in pairs:
        if not (isinstance(name, str) and isinstance(value, str) and name.isascii() and len(name) + len(value) < 8192):
            raise ValueError("headers")
        if any(character in name + value for character in "\r\n\0") or ":" in name:
            raise ValueError("headers")
        headers.append((name, value))
    return headers
