"""Addresses of files of this machine: reading them needs no network and no door."""

from pathlib import Path
from urllib.parse import urlsplit


def is_local(url: str) -> bool:
    """Whether reading it needs no network."""
    return url.startswith("file:") or "://" not in url


def local_path(url: str) -> Path:
    """The path of a file URL, or of a plain path."""
    if not url.startswith("file:"):
        return Path(url)
    from urllib.request import url2pathname  # loads all that HTTP needs, which an airlock that waits shall not

    return Path(url2pathname(urlsplit(url).path))
