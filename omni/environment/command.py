"""The command `omni`: a script in the home that runs this clone from any folder, and a link to it on the PATH."""

import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from omni.core.errors import SetupError, StorageError
from omni.core.files import storage_error, write_atomic
from omni.core.paths import Home
from omni.environment import place

_SCRIPT = """\
#!/bin/sh
# Runs Omni from its source, in whatever folder you are. Written by its set-up; `omni uninstall` removes it.
clone={clone}
[ -n "$OMNI_HOME" ] || OMNI_HOME={home}
export OMNI_HOME
if [ ! -f "$clone/omni/__main__.py" ]; then
    echo "Omni's source is no longer at $clone. Start it once from its new place: python3 -m omni run" >&2
    exit 4
fi
for python in {pythons}; do
    if command -v "$python" >/dev/null 2>&1; then
        exec "$python" -I "$clone/omni/__main__.py" "$@"
    fi
done
echo "There is no Python 3.11 or newer on the PATH." >&2
exit 4
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Linked:
    """Where the link lies, and whether a shell finds it there."""

    path: Path
    on_path: bool


def write_command(home: Home, environment: Path, clone: Path) -> Path:
    """Write `bin/omni` of the home; it prefers `environment`, then the Python that made it, then any."""
    base = getattr(sys, "_base_executable", None) or sys.executable
    pythons = [place.python(str(environment)), base, "python3"]
    script = _SCRIPT.format(
        clone=_quoted(clone), home=_quoted(home.root), pythons=" ".join(shlex.quote(each) for each in pythons)
    )
    path = home.bin / "omni"
    write_atomic(path, os.fsencode(script), mode=0o755)
    return path


def _quoted(path: Path) -> str:
    """Always in single quotes: `omni.environment.start` looks for exactly that."""
    return "'" + str(path).replace("'", "'\"'\"'") + "'"


def switch_link(home: Home, environment: Path) -> None:
    """Let `venv` name `environment`, by rename: there is no moment without it."""
    target = Path(home.venvs.name) / environment.name
    temporary = home.venv.with_name(f".{home.venv.name}.{os.getpid()}")
    try:
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(target)
        temporary.replace(home.venv)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise storage_error(home.venv, error) from error


def link_path() -> Path:
    """Where a person's own commands live."""
    return Path(os.path.expanduser("~/.local/bin/omni"))


def linked_here(home: Home) -> bool:
    """True when the link on the PATH is there and leads into this home."""
    path = link_path()
    return path.is_symlink() and path.readlink() == home.bin / "omni"


def link_command(home: Home) -> Linked:
    """Link `bin/omni` of the home to `~/.local/bin/omni`. Raises SetupError when something else is there."""
    path, target = link_path(), home.bin / "omni"
    if not target.is_file():
        raise SetupError(f"{target} is not there.", hint="It is written by `python3 -m omni run` from a clone.")
    if not linked_here(home):
        if os.path.lexists(path):
            leads = f" (leads to {path.readlink()})" if path.is_symlink() else ""
            raise SetupError(f"{path} is there already and is not Omni's{leads}.", hint=f"Remove it: rm {path}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(target)
        except OSError as error:
            raise StorageError(f"{path} cannot be made: {error.strerror}.") from error
    folders = [os.path.abspath(each) for each in os.environ.get("PATH", "").split(os.pathsep) if each]
    return Linked(path=path, on_path=str(path.parent) in folders)
