"""Takes one file out of a wheel, streaming, and refuses more than was promised."""

import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO

from omni.core.errors import BadFile

CHUNK = 1 << 20


def member_size(wheel: Path, member: str) -> int:
    """Bytes of a file inside a wheel, by its directory. Raises BadFile when it is not there or the wheel is broken."""
    with _opened(wheel) as archive:
        return _info(archive, wheel, member).file_size


def append_member(
    wheel: Path, member: str, target: IO[bytes], *, limit: int, cancelled: Callable[[], bool] = lambda: False
) -> int:
    """Write a file of a wheel to the end of `target`; returns its bytes, or -1 when it was cancelled midway.

    Raises BadFile when the wheel is broken or the file has more than `limit` bytes, whatever its directory claims.
    """
    written = 0
    try:
        with _opened(wheel) as archive:
            info = _info(archive, wheel, member)
            if info.file_size > limit:
                raise BadFile(
                    f"{member} of {wheel.name} has {info.file_size:,} bytes; at most {limit:,} were promised."
                )
            with archive.open(info) as source:
                while chunk := source.read(CHUNK):
                    written += len(chunk)
                    if written > limit:
                        raise BadFile(f"{member} of {wheel.name} unpacks to more than it promised.")
                    if cancelled():
                        return -1
                    target.write(chunk)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise BadFile(f"{wheel.name} is damaged: {error}.", hint="Pull again.") from error
    return written


def _opened(wheel: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(wheel)
    except (zipfile.BadZipFile, EOFError, ValueError, NotImplementedError) as error:
        raise BadFile(f"{wheel.name} is no wheel: {error}.", hint="Pull again.") from error


def _info(archive: zipfile.ZipFile, wheel: Path, member: str) -> zipfile.ZipInfo:
    try:
        return archive.getinfo(member)
    except KeyError as error:
        raise BadFile(f"{wheel.name} does not hold {member}.", hint="The cartridge names another version.") from error
