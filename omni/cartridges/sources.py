"""Where brains can be pulled from: a source turns a reference into files with addresses, sizes and hashes."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote, urlsplit

import msgspec

from omni.core.errors import UsageError

if TYPE_CHECKING:
    from omni.airlock import FetchProgress, IndexFile
    from omni.hardware import Budget

Headers = Sequence[tuple[str, str]]


class RemoteFile(msgspec.Struct, frozen=True, kw_only=True):
    """One download. With `member` only that file of a zip (a wheel) is wanted. A `file://` address is read in place."""

    url: str
    name: str
    size: int | None = None
    sha256: str | None = None
    member: str = ""
    headers: tuple[tuple[str, str], ...] = ()


class Resolved(msgspec.Struct, frozen=True, kw_only=True):
    """What a reference stands for. `join` makes one model file of all; else they stay side by side, as llama.cpp wants.

    `size` and `sha256` are of the joined file, None where the source does not tell before the download. `projector` is the
    projector that the model sees with. `base` is the brain that an adapter goes on, where a person named one.
    """

    name: str
    reference: str
    files: tuple[RemoteFile, ...]
    projector: RemoteFile | None = None
    join: bool = True
    size: int | None = None
    sha256: str | None = None
    title: str = ""
    licence: str = ""
    template: str = ""
    verdict: str = "sha256 checked"
    base: str = ""


class Access(Protocol):
    """What a source may ask while it resolves. All of it goes through the airlock."""

    @property
    def environment(self) -> Mapping[str, str]:
        """The person's environment."""
        ...

    @property
    def budget(self) -> "Budget | None":
        """What this machine can give to brains; None where the person has chosen already."""
        ...

    async def page(self, url: str, *, headers: Headers = ()) -> bytes:
        """The content of a small address."""
        ...

    async def find(self, project: str, wanted: "Callable[[IndexFile], bool]") -> "list[IndexFile]":
        """The wanted files of a project on the person's package indexes. Raises NotFound when there are none."""
        ...

    def fetch(
        self, url: str, target: Path, *, size: int | None, sha256: str | None, headers: Headers
    ) -> "AsyncIterator[FetchProgress]":
        """Download to `target`, resuming what is beside it as `.part`."""
        ...


class Source(Protocol):
    """A kind of reference that `omni pull` understands; plug-ins bring more (`omni_cartridge_sources`)."""

    name: str

    def matches(self, reference: str) -> bool:
        """Whether this source is meant. Looks at the text only."""
        ...

    async def resolve(self, reference: str, access: Access) -> Resolved:
        """The files that `reference` stands for now. Raises NotFound, UsageError or NetworkBlocked."""
        ...


class UrlSource:
    """A GGUF on the web: `https://HOST/FILE.gguf`, with `#sha256=HEX` when the person knows the hash."""

    name = "url"

    def matches(self, reference: str) -> bool:
        """Any http or https address."""
        return reference.startswith(("https://", "http://"))

    async def resolve(self, reference: str, access: Access) -> Resolved:  # noqa: ARG002 - nothing to ask: the address says all
        """One file of the name that the address ends in."""
        return resolve_url(reference)


def resolve_url(url: str, *, size: int | None = None, sha256: str | None = None) -> Resolved:
    """One file at an address. Raises UsageError when the address ends in no file name or carries a wrong hash."""
    parts = urlsplit(url)
    file = unquote(parts.path.rpartition("/")[2])
    if not parts.hostname or not file or file in (".", "..") or not file.isprintable():
        raise UsageError(f"{url} does not end in the name of a file.", hint="Give the address of a .gguf file.")
    for part in parts.fragment.split("&"):
        if part.startswith("sha256="):
            sha256 = part[7:].lower()
            if len(sha256) != 64 or set(sha256) - set("0123456789abcdef"):
                raise UsageError(f"{part!r} is no sha256.", hint="It has 64 hex digits.")
    plain = parts._replace(fragment="").geturl()
    return Resolved(
        name="@me/" + file.removesuffix(".gguf").lower(),
        reference=url,
        files=(RemoteFile(url=plain, name=file, size=size, sha256=sha256),),
        size=size,
        sha256=sha256,
        verdict="sha256 checked" if sha256 else "nothing to compare with; sha256 recorded at download",
    )
