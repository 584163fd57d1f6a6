"""The sentence for a Python that is too old to run Omni. Parses and runs on Python 2.7 and all that came after."""

import os
import subprocess
import sys

NEWEST, OLDEST = 20, 11


def explain(arguments):
    """Say which Python to take instead, and return the exit code of a machine that is not as needed."""
    python = newer(os.environ.get("PATH", ""))
    if python:
        hint = "Run it with the newer one that is here: {} -m omni {}".format(python, " ".join(arguments))
    elif sys.platform == "darwin":
        hint = "Install one, for instance with `brew install python`, and run `python3 -m omni run` with it."
    else:
        hint = "Install one, for instance with `sudo apt install python3` on a system of 2023 or later, or with `uv python install`."
    here = ".".join(str(part) for part in sys.version_info[:3])
    sys.stderr.write("Omni needs Python 3.{} or newer; this is Python {}.\n{}\n".format(OLDEST, here, hint.rstrip()))
    return 4


def newer(path):
    """The name of the newest Python on `path` that is new enough and really runs, or ""."""
    names = ["python3.{}".format(minor) for minor in range(NEWEST, OLDEST - 1, -1)] + ["python3", "python"]
    for name in names:
        for folder in path.split(os.pathsep):
            candidate = os.path.join(folder, name)
            if folder and os.access(candidate, os.X_OK) and _runs(candidate):
                return name
    return ""


def _runs(candidate):
    """True when `candidate` starts and is new enough; a version manager's stand-in may do neither."""
    test = "import sys; sys.exit(sys.version_info < (3, {}))".format(OLDEST)
    try:
        process = subprocess.Popen([candidate, "-c", test], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        process.communicate()
    except OSError:
        return False
    return process.returncode == 0
