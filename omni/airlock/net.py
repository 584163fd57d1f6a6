"""How this user reaches the network: indexes, proxies, certificates, as told to pip and to the environment."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from omni.core.errors import SetupError

_TIMEOUT = 15.0  # seconds without a byte; pip's own default
# Where systems keep their certificates, for a Python that was built to look elsewhere.
_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


class NetSettings(NamedTuple):
    """Where to ask and how to get there. May hold passwords: its `repr` shows none, and it is never logged.

    `index_url` is empty when nobody set one. `proxy` is pip's and is used for all; `http_proxy`, `https_proxy` and
    `no_proxy` are the environment's. `certificate` is a file or folder, empty for the system's own.
    """

    proxy: str = ""
    certificate: str = ""
    index_url: str = ""
    extra_index_urls: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    trusted_hosts: tuple[str, ...] = ()
    timeout: float = _TIMEOUT
    no_index: bool = False
    http_proxy: str = ""
    https_proxy: str = ""
    no_proxy: str = ""
    client_certificate: str = ""
    netrc: str = ""

    def __repr__(self) -> str:
        return f"NetSettings(index_url={public(self.index_url)!r}, …)"

    def plain(self) -> dict[str, Any]:
        """As JSON can carry it; `of` reads it back."""
        return self._asdict()

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> "NetSettings":
        """From what `plain` gave. Raises ValueError for anything else."""
        fields: dict[str, Any] = {}
        for name, default in cls._field_defaults.items():
            value = plain.get(name, default)
            if isinstance(default, tuple):
                if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
                    raise ValueError(name)
                value = tuple(value)
            elif isinstance(default, float):
                if not isinstance(value, int | float) or not 0 < value < 1e6:
                    raise ValueError(name)
                value = float(value)
            elif type(value) is not type(default):
                raise ValueError(name)
            fields[name] = value
        return cls(**fields)


def net_settings(
    environment: Mapping[str, str] = os.environ, *, prefixes: Sequence[str] | None = None, root: str = "/"
) -> NetSettings:
    """The settings of pip's configuration files and `PIP_*` (see `pipconf`), completed by the usual variables.

    `index_url` stays empty when none is configured: `index.pages` then asks pip's default. Raises SetupError when a
    configuration file or a value cannot be understood.
    """
    from omni.airlock import pipconf

    options = pipconf.options(environment, prefixes, root=root)

    def variable(*names: str) -> str:
        for name in names:  # lower case first, as everybody does
            if value := environment.get(name.lower()) or environment.get(name):
                return value
        return ""

    try:
        timeout = float(options.get("timeout", _TIMEOUT))
        if not 0 < timeout < 1e6:
            raise ValueError
    except ValueError:
        raise SetupError(f"pip's timeout is {options['timeout']!r}, which is no number of seconds.") from None
    netrc = environment.get("NETRC") or str(Path(environment.get("HOME") or os.path.expanduser("~")) / ".netrc")
    return NetSettings(
        proxy=options.get("proxy", ""),
        certificate=_certificate(options.get("cert", ""), environment),
        index_url=_location(options.get("index-url", "")),
        extra_index_urls=tuple(_location(item) for item in options.get("extra-index-url", "").split()),
        find_links=tuple(_location(item) for item in options.get("find-links", "").split()),
        trusted_hosts=tuple(options.get("trusted-host", "").split()),
        timeout=timeout,
        no_index=_switch("no-index", options.get("no-index", "")),
        http_proxy=variable("HTTP_PROXY", "ALL_PROXY"),
        https_proxy=variable("HTTPS_PROXY", "ALL_PROXY"),
        no_proxy=variable("NO_PROXY"),
        client_certificate=options.get("client-cert", ""),
        netrc=netrc if Path(netrc).is_file() else "",
    )


def public(url: str) -> str:
    """`url` without user, password, query and fragment: what may be shown, logged and audited."""
    scheme, mark, rest = url.partition("://")
    if not mark:
        scheme, rest = "", url
    rest = rest.partition("?")[0].partition("#")[0]
    authority, slash, path = rest.partition("/")
    return f"{scheme}{mark}{authority.rpartition('@')[2]}{slash}{path}"


def _location(value: str) -> str:
    """A URL as it is; a path, which pip takes relative to the working folder, as a file URL."""
    if not value or "://" in value or value.startswith("file:"):
        return value
    path = Path(os.path.abspath(os.path.expanduser(value)))
    return path.as_uri() if path.exists() else value


def _certificate(chosen: str, environment: Mapping[str, str]) -> str:
    """The first that was named; without any, the system's where this Python would not find it. Empty: the default."""
    for value in (
        chosen,
        *(environment.get(n, "") for n in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")),
    ):
        if value:
            return value
    import _ssl

    _, file, _, folder = _ssl.get_default_verify_paths()
    if Path(file).exists() or (Path(folder).is_dir() and any(Path(folder).iterdir())):
        return ""
    return next((path for path in _BUNDLES if Path(path).exists()), "")


def _switch(name: str, value: str) -> bool:
    if value.lower() in ("", "0", "n", "no", "f", "false", "off"):
        return False
    if value.lower() in ("1", "y", "yes", "t", "true", "on"):
        return True
    raise SetupError(f"pip's {name} is {value!r}, which is neither yes nor no.")
