"""Which files of an engine a program could load: they are pinned when it is added, and no other may be there later.

In a folder that Omni filled these are all files. In one of the person's they are the libraries beside the program: what the
system's loader looks for in its folders, and llama.cpp by its names.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from omni.runtimes.runtime import Runtime

_LIBRARY = re.compile(r"\.(so|dylib)(\.[\d.]+)?$")
# Below a folder of libraries glibc first looks for those made for this processor: up to 2.36 in all but the first of these.
_FOR_PROCESSORS = ("glibc-hwcaps", "tls", "haswell", "avx512_1", "xeon_phi", "x86_64")
_COMPILED = "__pycache__"  # what Python makes for itself; whoever imports an engine reads none of it


def libraries_in(folder: Path) -> list[Path]:
    """The libraries that a program could load from a folder of the person's, sorted. Raises OSError."""
    files = [path for path in folder.iterdir() if path.name not in _FOR_PROCESSORS]
    for name in _FOR_PROCESSORS:
        if (folder / name).is_dir():
            files += _files(folder / name)
    return sorted(path for path in files if _LIBRARY.search(path.name))


def unpinned(runtime: Runtime) -> Path | None:
    """A file that a program could load with `runtime` and that was not pinned when it was added; None where all were.

    Raises OSError for a folder that cannot be read.
    """
    own = Path(runtime.folder)
    pinned = {own / pin.path for pin in runtime.files}
    folders = [*([runtime.packages] if runtime.packages.is_dir() else []), *runtime.library_folders]
    if runtime.binary:
        inside = runtime.program.is_relative_to(own)
        folders.append((runtime.program if inside else Path(os.path.realpath(runtime.program))).parent)
    for folder in dict.fromkeys(folders):
        filled = folder.is_relative_to(own) and folder != own  # beside engine.json lies what is written later
        files = _files(folder) if filled else libraries_in(folder)
        if (other := next((path for path in files if path not in pinned), None)) is not None:
            return other
    return None


def _files(folder: Path) -> Iterator[Path]:
    """All below a folder that is no folder; a link is not followed."""
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda each: each.name):
            if not entry.is_dir(follow_symlinks=False):
                yield Path(entry.path)
            elif entry.name != _COMPILED:
                yield from _files(Path(entry.path))
