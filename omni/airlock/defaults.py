"""The index that pip asks when nobody configured one: read out of a pip that is installed, as text, never imported.

Omni has no address of its own, so a machine without any pip must name an index.
"""

import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from omni.core.errors import SetupError
from omni.core.paths import Home

_MODULE = "pip/_internal/models/index.py"
_DEFAULT = re.compile(r"^PyPI\s*=\s*PackageIndex\(\s*['\"](https://[^'\"\s]{1,500})['\"]", re.MULTILINE)
_MAX_BYTES = 1 << 20


def default_index(environment: Mapping[str, str] = os.environ, *, home: Home | None = None) -> str:
    """The URL of the simple index that the nearest pip would use. Raises SetupError where there is no pip at all."""
    for path in _candidates(environment, home or Home.from_environment(environment)):
        if match := _DEFAULT.search(_text(path)):
            return match[1].rstrip("/") + "/simple"
    raise SetupError(
        "No package index is configured, and no pip is installed whose default could be used.",
        hint="Set PIP_INDEX_URL to the address of a package index, or set up from an exported folder with `--from FOLDER`.",
    )


def _candidates(environment: Mapping[str, str], home: Home) -> Iterator[Path]:
    """Modules and wheels of pip: this Python's, the one it bundles, the one set-up kept, other Pythons' on the PATH."""
    import sysconfig

    for folder in dict.fromkeys([*sys.path, *(sysconfig.get_path(kind) or "" for kind in ("purelib", "platlib"))]):
        if folder:
            yield Path(folder) / _MODULE
    library = sysconfig.get_path("stdlib")
    yield from _wheels(Path(library) / "ensurepip" / "_bundled")
    for folder in (
        sysconfig.get_config_var("WHEEL_PKG_DIR"),
        "/usr/share/python-wheels",
    ):  # Debian's and Fedora's place
        if folder:
            yield from _wheels(Path(folder))
    yield home.venv / "pip.whl"
    user = Path(environment.get("HOME") or os.path.expanduser("~"))
    yield from _below(user / ".local")
    yield from _below(user / ".local/share/pipx/shared")
    for entry in dict.fromkeys(environment.get("PATH", os.defpath).split(os.pathsep)):
        for name in ("python3", "python", "pip3", "pip"):
            command = Path(entry) / name
            if entry and command.exists():
                yield from _below(command.parent.parent)
                yield from _below(command.resolve().parent.parent)


def _below(prefix: Path) -> Iterator[Path]:
    for library in sorted(prefix.glob("lib/python3*"), reverse=True):
        yield library / "site-packages" / _MODULE
        yield library / "dist-packages" / _MODULE
        yield from _wheels(library / "ensurepip" / "_bundled")


def _wheels(folder: Path) -> list[Path]:
    return sorted(folder.glob("pip-*.whl"), reverse=True)


def _text(path: Path) -> str:
    """The module's text, from a file or from inside a wheel; empty when it is not there."""
    try:
        if path.suffix != ".whl":
            with path.open("rb") as file:
                return file.read(_MAX_BYTES).decode("utf-8", "replace")
        if not path.is_file():
            return ""
        from zipfile import BadZipFile, ZipFile

        try:
            with ZipFile(path) as wheel, wheel.open(_MODULE) as member:
                return member.read(_MAX_BYTES).decode("utf-8", "replace")
        except (BadZipFile, KeyError, NotImplementedError):
            return ""
    except OSError:
        return ""
