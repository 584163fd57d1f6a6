"""Package indexes: which pages to ask for a project, and what files a page offers.

Pages are JSON (PEP 691) or HTML (PEP 503); local ones (`file://`, plain folders) are read here and never by the airlock.
Whatever a page holds, reading it takes bounded time and memory, and only http, https and, on a local page, file links
come out.
"""

import os
import re
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote, urljoin, urlsplit

from omni.airlock.local import is_local, local_path
from omni.core.errors import BadFile, NotFound, OmniError

if TYPE_CHECKING:
    from omni.airlock.fetch import Page
    from omni.airlock.net import NetSettings

ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
MAX_PAGE = 64 << 20  # bytes; the largest real page has about a third of that

_MAX_FILES = 200_000
_MAX_TAG = 16 << 10
_TAG = re.compile(r"<(?:a|base|meta)(?=[\s/>])(?:[^\"'>]|\"[^\"]*\"|'[^']*')*+>", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]{0,254}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_ENDINGS = (".whl", ".tar.gz", ".zip", ".tar.bz2", ".tgz")


class IndexFile(NamedTuple):
    """One file that an index offers. `sha256` is empty and `size` None where the page does not say."""

    name: str
    url: str
    sha256: str = ""
    size: int | None = None
    requires_python: str = ""
    yanked: bool = False


def normalise(project: str) -> str:
    """The one spelling of a project's name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", project).lower()


def pages(project: str, net: "NetSettings", *, default: Callable[[], str] | None = None) -> list[str]:
    """The addresses to ask for a project, those that need no network first, then in pip's order.

    When no index is configured `default` (pip's own, see `default_index`) is asked for one; its SetupError is raised
    only when there is nowhere else to look.
    """
    name = normalise(project)
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name):
        raise NotFound(f"{project!r} is no name of a package.")
    indexes: list[str] = []
    if not net.no_index:
        indexes = [net.index_url, *net.extra_index_urls]
        if not net.index_url:
            try:
                indexes[0] = (default or _pips_default)()
            except OmniError:
                if not net.extra_index_urls and not net.find_links:
                    raise
                del indexes[0]
    asked = [*net.find_links, *(f"{url.rstrip('/')}/{name}/" for url in indexes)]
    return sorted(dict.fromkeys(asked), key=lambda url: not is_local(url))


def _pips_default() -> str:
    from omni.airlock.defaults import default_index

    return default_index()


def local_files(project: str, url: str) -> list[IndexFile]:
    """What a local page or a plain folder offers for a project; nothing when it is not there."""
    path = local_path(url)
    if (path / "index.html").is_file():  # a mirror on disk; pip reads it the same way
        path = path / "index.html"
    try:
        if path.is_dir():
            offered = sorted(entry.name for entry in os.scandir(path) if entry.is_file())
            candidates = [IndexFile(name, (path / name).as_uri()) for name in offered if _NAME.fullmatch(name)]
        elif path.is_file():
            with path.open("rb") as file:
                data = file.read(MAX_PAGE + 1)
            kind = "application/vnd.pypi.simple.v1+json" if path.suffix == ".json" else "text/html"
            candidates = files(project, data, kind, path.as_uri())
        else:
            return []
    except OSError:
        return []
    return [file for file in candidates if belongs(file.name, project)]


def search(
    project: str,
    net: "NetSettings",
    wanted: "Callable[[IndexFile], bool]" = lambda file: True,  # noqa: ARG005 - all of them
    *,
    default: Callable[[], str] | None = None,
) -> "Generator[str, Page, list[IndexFile]]":
    """The wanted files of the first page that offers any, without doing any network I/O.

    Yields each remote address to ask; send the `Page`, or throw the OmniError that asking it ended in. A page that fails
    is passed over; when no page offers a wanted file the first error that says more than "not found" is raised.
    """
    failure: OmniError | None = None
    for url in pages(project, net, default=default):
        try:
            if is_local(url):
                offered = local_files(project, url)
            else:
                answer = yield url
                offered = files(project, answer.data, answer.content_type, answer.url)
        except OmniError as error:
            failure = error if failure is None or isinstance(failure, NotFound) else failure
            continue
        if matches := [file for file in offered if wanted(file)]:
            return matches
    if failure is not None and not isinstance(failure, NotFound):
        raise failure
    raise NotFound(
        f"None of your package indexes offers what is needed of {project!r}.", hint="`pip config list` names them."
    )


def find(
    project: str,
    net: "NetSettings",
    get: "Callable[[str], Page]",
    wanted: "Callable[[IndexFile], bool]" = lambda file: True,  # noqa: ARG005 - all of them
) -> list[IndexFile]:
    """`search`, with `get` to ask a remote page."""
    steps = search(project, net, wanted)
    try:
        url = next(steps)
        while True:
            try:
                answer = get(url)
            except OmniError as error:
                url = steps.throw(error)
            else:
                url = steps.send(answer)
    except StopIteration as end:
        return list(end.value)


def belongs(name: str, project: str) -> bool:
    """Whether a file's name is that of a wheel or source archive of the project."""
    if not name.lower().endswith(_ENDINGS):
        return False
    if name.endswith(".whl"):
        return normalise(name.split("-", 1)[0]) == normalise(project)
    stem = next(name[: -len(ending)] for ending in _ENDINGS if name.lower().endswith(ending))
    return normalise(stem.rpartition("-")[0]) == normalise(project)


def files(project: str, page: bytes, content_type: str, base_url: str) -> list[IndexFile]:
    """What a project's page offers, in the page's order, without duplicates and without links that are no packages.

    Raises BadFile for a page that is too large, is not what its type says, or speaks a later version of the protocol.
    """
    if len(page) > MAX_PAGE:
        raise BadFile(f"The index page of {project!r} is larger than {MAX_PAGE >> 20} MiB.")
    kind = content_type.partition(";")[0].strip().lower()
    offered = _json(project, page, base_url) if kind.endswith("json") else _html(project, page, content_type, base_url)
    seen: dict[str, IndexFile] = {}
    for file in offered:
        if len(seen) >= _MAX_FILES:
            raise BadFile(f"The index page of {project!r} lists more than {_MAX_FILES} files.")
        seen.setdefault(file.url, file)
    return list(seen.values())


def _json(project: str, page: bytes, base_url: str) -> Iterator[IndexFile]:
    import json

    try:
        content = json.loads(page)
    except (ValueError, RecursionError) as error:
        raise BadFile(f"The index page of {project!r} is no JSON.") from error
    meta = content.get("meta") if isinstance(content, dict) else None
    offered = content.get("files") if isinstance(content, dict) else None
    if not isinstance(offered, list):
        raise BadFile(f"The index page of {project!r} lists no files.")
    _check_version(project, meta.get("api-version") if isinstance(meta, dict) else None)
    for item in offered:
        if not isinstance(item, dict):
            continue
        hashes, size = item.get("hashes"), item.get("size")
        file = _file(
            base_url,
            item.get("url"),
            item.get("filename"),
            sha256=hashes.get("sha256") if isinstance(hashes, dict) else None,
            size=size if type(size) is int and size >= 0 else None,
            requires_python=item.get("requires-python"),
            yanked=item.get("yanked", False) is not False,
        )
        if file is not None:
            yield file


def _html(project: str, page: bytes, content_type: str, base_url: str) -> Iterator[IndexFile]:
    charset = re.search(r"charset\s*=\s*\"?([\w.:-]{1,40})", content_type, re.IGNORECASE)
    try:
        text = page.decode(charset[1] if charset else "utf-8", "replace")
    except LookupError:
        text = page.decode("utf-8", "replace")
    base, based = base_url, False
    for tag, attributes in _tags(text):
        if tag == "base" and not based and attributes.get("href"):
            base, based = _join(base_url, attributes["href"]) or base_url, True
        elif tag == "meta" and attributes.get("name", "").lower() == "pypi:repository-version":
            _check_version(project, attributes.get("content"))
        elif tag == "a" and attributes.get("href"):
            file = _file(
                base,
                attributes["href"],
                None,
                sha256=None,
                size=None,
                requires_python=attributes.get("data-requires-python"),
                yanked="data-yanked" in attributes,
                page=base_url,
            )
            if file is not None:
                yield file


def _tags(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    """The tags that matter, in time linear in the text: html.parser only ever sees one short, complete tag."""
    from html.parser import HTMLParser

    class OneTag(HTMLParser):
        first: tuple[str, dict[str, str]] | None = None

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            values: dict[str, str] = {}
            for name, value in attrs:
                values.setdefault(name, value or "")
            self.first = self.first or (tag, values)

    at = text.find("<")
    while at >= 0:
        if text.startswith("<!--", at):
            end = text.find("-->", at + 4)
            if end < 0:
                return
            at = text.find("<", end)
            continue
        if text[at + 1 : at + 2].lower() not in ("a", "b", "m"):
            at = text.find("<", at + 1)
            continue
        match = _TAG.match(text, at, at + _MAX_TAG)
        if match is not None:
            parser = OneTag(convert_charrefs=True)
            parser.feed(match[0])
            if parser.first is not None:
                yield parser.first
            at = text.find("<", match.end())
        elif re.match(r"<(?:a|base|meta)[\s/>]", text[at : at + 6], re.IGNORECASE):
            at = text.find("<", at + _MAX_TAG)  # a quote that is never closed: what it swallows is not looked at again
        else:
            at = text.find("<", at + 1)


def _check_version(project: str, version: object) -> None:
    major = str(version if version is not None else "1.0").partition(".")[0].strip()
    if major != "1":
        raise BadFile(
            f"The index page of {project!r} speaks version {str(version)[:20]!r} of the protocol; this Omni knows 1."
        )


def _file(
    base: str,
    link: Any,
    name: Any,
    *,
    sha256: Any,
    size: int | None,
    requires_python: Any,
    yanked: bool,
    page: str = "",
) -> IndexFile | None:
    """One entry made safe, or None when it is no file that could be downloaded."""
    if not isinstance(link, str) or len(link) > _MAX_TAG:
        return None
    url = _join(base, link.strip())
    if url is None:
        return None
    parts = urlsplit(url)
    allowed = ("http", "https", "file") if is_local(page or base) else ("http", "https")
    if parts.scheme not in allowed or (parts.scheme != "file" and not parts.hostname):
        return None
    if name is None:
        name = unquote(parts.path.rpartition("/")[2])
    if not isinstance(name, str) or not _NAME.fullmatch(name) or not name.lower().endswith(_ENDINGS):
        return None
    if sha256 is None:
        sha256 = next((part[7:] for part in parts.fragment.split("&") if part.startswith("sha256=")), "")
    sha256 = sha256.lower() if isinstance(sha256, str) else ""
    return IndexFile(
        name=name,
        url=parts._replace(fragment="").geturl(),
        sha256=sha256 if _SHA256.fullmatch(sha256) else "",
        size=size,
        requires_python=requires_python if isinstance(requires_python, str) else "",
        yanked=yanked,
    )


def _join(base: str, link: str) -> str | None:
    try:
        url = urljoin(base, link)
        if urlsplit(url).port == 0 or any(character <= " " or character == "\x7f" for character in url):
            return None
    except ValueError:
        return None
    return url
