"""Which environment belongs to this clone, this home and this Python. Every start pays for this module: `os`, `sys`.

An environment lies in `venvs/<lock hash>-<python>-<system>-<machine>` of the home and holds a stamp once it is whole.
A new lock file therefore means a new folder, beside the one that an open shell still runs from.
"""

import os
import sys

TYPE_CHECKING = False  # importing `typing` for it would double what a start costs
if TYPE_CHECKING:
    from collections.abc import Mapping

STAMP = "omni.json"
CORE, DEV = "core", "dev"


def source_root() -> str | None:
    """The clone that this code runs from, or None when it was installed as a package."""
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
    return root if os.path.isfile(f"{root}/pyproject.toml") and os.path.isdir(f"{root}/requirements") else None


def home_folder(environment: "Mapping[str, str]" = os.environ) -> str:
    """The same answer as `omni.core.paths.Home`, without its imports."""
    return os.path.abspath(os.path.expanduser(environment.get("OMNI_HOME") or "~/.omni"))


def lock_file(root: str, feature: str) -> str:
    """The hash-locked requirements of one feature."""
    return f"{root}/requirements/{feature}.txt"


def file_hash(path: str) -> str:
    """The sha256 of a small file, in hex."""
    with open(path, "rb") as file:
        return _sha256(file.read())


def python_tag() -> str:
    """The same answer as `omni.core.paths.python_tag`, without its imports."""
    return f"{sys.implementation.cache_tag}-{sys.platform}-{os.uname().machine}"


def environment_folder(home: str, lock: str) -> str:
    """Where the environment of the lock file `lock` lies, made or not."""
    return f"{home}/venvs/{file_hash(lock)[:16]}-{python_tag()}"


def python(environment: str) -> str:
    """The interpreter of an environment."""
    return f"{environment}/bin/python"


def hold(environment: str) -> int:
    """As long as this descriptor or a child's copy of it is open, nobody removes the environment. Raises OSError."""
    import fcntl

    descriptor = os.open(f"{environment}/{STAMP}", os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    os.set_inheritable(descriptor, True)
    return descriptor


def _sha256(data: bytes) -> str:
    """`hashlib` loads OpenSSL, which costs more than the rest of a start; the interpreter has its own."""
    try:
        if sys.version_info >= (3, 12):
            from _sha2 import sha256
        else:
            from _sha256 import sha256  # type: ignore[import-not-found]  # not listed for the interpreter that checks
    except ImportError:  # an interpreter that was built without it
        from hashlib import sha256
    return str(sha256(data).hexdigest())
