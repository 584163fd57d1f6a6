"""Unpacks source archives: plain files below one folder, whole or not there."""

import shutil
import tarfile
import zlib
from pathlib import Path, PurePosixPath

from omni.core.errors import BadFile
from omni.core.files import FILE, replacing, storing

MOST = 4 << 30  # bytes that an archive may come to


def unpack_source(archive: Path, target: Path, inside: str, *, without: tuple[str, ...] = ()) -> None:
    """Put what lies below the folder `inside` of an archive into the new folder `target`, less its folders `without`.

    `inside` is counted from the one folder that all of a source archive lies in. Links, and whatever is no file, are left
    out. Raises BadFile, StorageError; what was unpacked so far stays for who called to remove.
    """
    with storing(target):
        try:
            with tarfile.open(archive, "r:gz") as tar:
                written = sum(_unpack(tar, member, target, inside, without) for member in tar)
        except (tarfile.TarError, zlib.error, EOFError) as error:
            raise BadFile(f"{archive.name} is damaged: {error}.", hint=f"Remove {archive} and try again.") from error
    if not written:
        raise BadFile(f"{archive.name} has no folder {inside}.")


def _unpack(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path, inside: str, without: tuple[str, ...]) -> int:
    """Write one file; returns its bytes, 0 for one that is not wanted."""
    path = PurePosixPath(member.name.partition("/")[2])
    if path.is_absolute() or ".." in path.parts or member.size > MOST:
        raise BadFile(f"The archive holds {member.name[:200]!r}, which does not stay in its folder.")
    source = tar.extractfile(member) if member.isreg() and path.is_relative_to(inside) else None
    if source is None or (below := path.relative_to(inside)).parts[0] in without:
        return 0
    place = target / below
    with replacing(place, mode=0o700 if member.mode & 0o100 else FILE, durable=False) as file:
        shutil.copyfileobj(source, file, 1 << 20)
    return member.size
