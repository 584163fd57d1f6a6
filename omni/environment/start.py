"""The way from `python3 -m omni …` into the environment. The second start passes here and pays nothing for it.

`OMNI_ENVIRONMENT=own` makes a clone behave as an installed package does: it uses the Python it was started with.
"""

import os
import sys

from omni.environment import place

_STARTED = "_OMNI_STARTED"  # "<pid>:<descriptor>"; exec keeps the pid, so a child that inherits it is not fooled


def start(arguments: list[str]) -> tuple[int | None, list[str]]:
    """Bring `arguments` into the right environment: it is this one, or by exec, or after setting it up.

    Returns (None, arguments) where this process is to run them, else an exit code: all is done.
    """
    started = os.environ.pop(_STARTED, "")
    root = place.source_root()
    if root is None or os.environ.get("OMNI_ENVIRONMENT") == "own" or started.startswith(f"{os.getpid()}:"):
        return None, arguments
    arguments = _take_from(arguments)
    if arguments[:1] == ["develop"] or arguments[:2] == ["environment", "repair"]:
        from omni.environment.launch import maintain

        return maintain(root, arguments), []
    if _is_development(root):
        return None, arguments
    try:
        environment = place.environment_folder(place.home_folder(), place.lock_file(root, place.CORE))
    except OSError:  # no lock file: the set-up says so
        environment = f"{place.home_folder()}/venvs/none"
    if _enter(environment, root, arguments):
        return None, arguments
    from omni.environment.launch import set_up

    code = set_up(root, arguments)
    if code is None and _enter(environment, root, arguments):
        return None, arguments
    if code is None:
        sys.stderr.write(f"The environment {environment} was set up, but its Python does not run.\n")
    return 4 if code is None else code, []


def _enter(environment: str, root: str, arguments: list[str]) -> bool:
    """Continue as the environment's Python. Returns True when this is it, False when it is not there or not whole."""
    try:
        descriptor = place.hold(environment)
    except OSError:
        return False
    try:
        _keep_link(environment, root)
        if sys.prefix == environment and sys.flags.isolated:
            return True
        os.environ[_STARTED] = f"{os.getpid()}:{descriptor}"
        python = place.python(environment)
        # -I: neither the working folder nor PYTHONPATH nor the user's own packages are asked for modules.
        os.execv(python, [python, "-I", f"{root}/omni/__main__.py", *arguments])  # noqa: S606 - our own Python, without a shell
    except OSError:
        os.environ.pop(_STARTED, None)
        os.close(descriptor)
        return False


def _keep_link(environment: str, root: str) -> None:
    """Let `venv` name this environment and `bin/omni` a clone that exists; both may be stale after a move or a return."""
    home = os.path.dirname(os.path.dirname(environment))
    target = f"venvs/{os.path.basename(environment)}"
    try:
        with open(f"{home}/bin/omni", encoding="utf-8", errors="surrogateescape") as file:
            command = file.read()
        if os.readlink(f"{home}/venv") == target and (root in command or _names_a_clone(command)):
            return
    except OSError:
        pass
    from omni.environment.launch import renew

    renew(home, environment, root)


def _names_a_clone(command: str) -> bool:
    clone = command.partition("\nclone='")[2].partition("'\n")[0]
    return os.path.isfile(f"{clone}/omni/__main__.py")


def _is_development(root: str) -> bool:
    """True in the environment that `make test` made for this clone: it holds all that a start needs."""
    if not os.path.exists(f"{sys.prefix}/{place.STAMP}"):
        return False
    wanted = place.file_hash(place.lock_file(root, place.DEV))[:16]
    return os.path.basename(sys.prefix).startswith(f"{wanted}-")


def _take_from(arguments: list[str]) -> list[str]:
    """Take `--from FOLDER` out of the arguments and put it into `OMNI_FROM`, where every later process finds it."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    for place_of, argument in enumerate(arguments[:end]):
        if argument.startswith("--from="):
            os.environ["OMNI_FROM"] = os.path.abspath(argument[7:])
            return arguments[:place_of] + arguments[place_of + 1 :]
        if argument == "--from" and place_of + 1 < end:
            os.environ["OMNI_FROM"] = os.path.abspath(arguments[place_of + 1])
            return arguments[:place_of] + arguments[place_of + 2 :]
    return arguments
