"""`python3 -m omni`: from a clone it finds or makes the environment, installed as a package it uses its own.

This file is read by every Python that somebody may try, 2.7 included, and by every start: it stays short and old.
"""

import os
import sys


def main():
    """Run Omni and return the exit code; the arguments are those of the command line."""
    if sys.version_info < (3, 11):
        from omni.too_old import explain

        return explain(sys.argv[1:])
    if os.name == "nt":
        sys.stderr.write("Omni runs on Linux and macOS; on Windows start it inside WSL2 (`wsl --install`).\n")
        return 4
    occupy_standard_descriptors()
    from omni.environment.start import start

    code, arguments = start(sys.argv[1:])
    return open_command_line(arguments) if code is None else code


def occupy_standard_descriptors():
    """Give a start with closed standard streams (`<&-`) the null device: else the next file opened would be one of them."""
    descriptor = os.open(os.devnull, os.O_RDWR)
    while descriptor <= 2:
        os.set_inheritable(descriptor, True)
        descriptor = os.open(os.devnull, os.O_RDWR)
    os.close(descriptor)


def open_command_line(arguments):
    """Hand over to the command line, in the environment that holds what it needs."""
    sys.argv = ["omni"] + arguments  # noqa: RUF005 - Python 2.7 reads it
    try:
        from omni.cli.main import main as run
    except ImportError as error:
        if (error.name or "omni").partition(".")[0] == "omni":
            raise
        from omni.environment.launch import damaged

        return damaged(error)
    return run() or 0


if __name__ == "__main__":
    # Whatever the working folder holds, this clone's code runs: only its root may be asked before the library.
    _root = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    if sys.path and not getattr(sys.flags, "safe_path", False):
        del sys.path[0]
    sys.path.insert(0, _root)
    sys.exit(main())
