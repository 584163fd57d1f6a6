"""The process that tries a feature: it imports the modules that its command line names, from the folder before them, behind
the wall."""

import sys
from importlib import import_module

from omni.core import confinement


def main() -> None:
    """Import them; what goes wrong ends the process."""
    folder, *modules = sys.argv[1:]
    confinement.confine()
    sys.path.insert(0, folder)  # first: what is tried is what lies there
    for module in modules:
        import_module(module)


if __name__ == "__main__":
    main()
