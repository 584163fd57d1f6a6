"""Runs pip, out of the wheel that the first argument names, with a promise: it starts no other program.

To learn what a source package needs, pip runs the code that would build it. `--only-binary` keeps it from choosing
such a package of an index, but not from one that a requirement names by its address (`NAME @ file:///…`, `NAME @ git+https://…`),
however deep among the requirements that stands. The hook below is set before any foreign code could run, and stays.

Run as a file of its own by `python -I`, which knows no package of ours. Standard library only.
"""

import os
import runpy
import sys

REFUSED = "this pip starts no program"
_STARTS = {
    "os.exec",
    "os.fork",
    "os.forkpty",
    "os.posix_spawn",
    "os.spawn",
    "os.system",
    "pty.spawn",
    "subprocess.Popen",
}


def refuse(event: str, arguments: tuple[object, ...]) -> None:
    """An audit hook. Raises PermissionError, which pip takes calmly where it only asks what system this is."""
    if event in _STARTS and not (event == "subprocess.Popen" and _asks_for_a_password(arguments[0])):
        raise PermissionError(REFUSED)


def _asks_for_a_password(program: object) -> bool:
    """Pip's settings may say that passwords of an index come from this program, which the person has installed."""
    return isinstance(program, str) and os.path.basename(program) == "keyring"  # noqa: PTH119 - pathlib is one more import


if __name__ == "__main__":
    wheel = sys.argv.pop(1)
    sys.path.insert(0, wheel)
    sys.addaudithook(refuse)
    runpy.run_module("pip", run_name="__main__", alter_sys=True)
