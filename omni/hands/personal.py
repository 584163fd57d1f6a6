"""What a command gets that a person's own Omni runs: the policy of a folder, the name for commits, an empty home that goes with it."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from omni.core.paths import Home
from omni.hands.policy import SandboxPolicy, give_identity, policy_for

_GIT = ("git", "config", "--global", "--get")
_SCRATCH = re.compile(r"omni-scratch-(\d+)-\w+")


def policy_here(
    home: Home,
    folder: Path,
    scratch: Path,
    *,
    read: Sequence[Path] = (),
    write: Sequence[Path] = (),
    seconds: float = 600.0,
) -> SandboxPolicy:
    """The policy of this person for a command in `folder`. Raises UsageError, see `policy_for`; blocking."""
    give_identity(scratch, _configured("user.name"), _configured("user.email"))
    return policy_for(
        folder,
        scratch,
        home=Path.home(),
        omni=home.root,
        outside=os.environ,
        read=read,
        write=write,
        seconds=seconds,
    )


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """An empty home for commands, which goes with them; what killed processes left of theirs goes, too."""
    top = Path(tempfile.gettempdir())
    for left in top.glob("omni-scratch-*"):
        named = _SCRATCH.fullmatch(left.name)
        if named and not _lives(int(named[1])):
            with suppress(OSError):
                if left.lstat().st_uid == os.getuid():
                    shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"omni-scratch-{os.getpid()}-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _configured(key: str) -> str:
    """What git says of the person, by the person's own file alone: a project's may be a stranger's."""
    try:
        done = subprocess.run([*_GIT, key], capture_output=True, text=True, timeout=5, check=False, cwd="/")
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
