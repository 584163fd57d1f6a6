"""What a start does when the environment is not there yet, or is to be mended: everything here may take its time."""

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from omni.core.errors import OmniError, UsageError
from omni.core.paths import Home
from omni.core.words import size_words
from omni.environment import place, reference
from omni.environment.progress import Terminal

INTERRUPTED = 130


def set_up(root: str, arguments: list[str]) -> int | None:
    """Answer without an environment what can be, else make it. Returns an exit code, or None when it is there now."""
    if reference.wants_version(arguments):
        from omni import __version__

        sys.stdout.write(f"omni {__version__}\n")
        return 0
    if reference.wants_help(arguments):
        sys.stdout.write(reference.help_text(arguments, Path(root) / "omni" / "cli" / "reference.txt"))
        return 0
    if "_OMNI_COMPLETE" in os.environ:  # a Tab key sets nothing up
        return 0
    home = Home.from_environment()
    if arguments[:1] == ["uninstall"] and not home.venvs.exists():
        sys.stdout.write(f"There is no environment of Omni in {home.root}.\n")
        return 0
    return _guarded(lambda: _make(home, Path(root), place.CORE))


def _make(home: Home, clone: Path, feature: str, *, again: bool = False) -> Path:
    """Make an environment and say so in two sentences."""
    from omni.environment.kept import tree_size
    from omni.environment.prepare import prepare

    display = Terminal()
    display.say(f"Omni {'mends' if again else 'prepares'} its own Python environment in {home.venvs}.")
    wheels = os.environ.get("OMNI_FROM")
    environment = prepare(home, clone, feature, display, wheels=Path(wheels) if wheels else None, again=again)
    display.say(f"Ready: {size_words(tree_size(environment))} in {environment.name}.")
    return environment


def maintain(root: str, arguments: list[str]) -> int:
    """The two commands that stand above the environment: `develop MODULE …` and `environment repair`."""
    if arguments[0] == "develop":
        return _develop(Path(root), arguments[1:])
    if reference.wants_help(arguments):
        sys.stdout.write(reference.help_text(arguments, Path(root) / "omni" / "cli" / "reference.txt"))
        return 0
    return _guarded(lambda: _make(Home.from_environment(), Path(root), place.CORE, again=True)) or 0


def _develop(clone: Path, arguments: list[str]) -> int:
    """Run a module, or a script that is no module (`lint-imports`), with the development requirements, in the clone."""

    def made() -> Path:
        from omni.environment.prepare import environment_path
        from omni.environment.users import is_whole

        if not arguments:
            raise UsageError("Which module?", hint="For instance: python3 -m omni develop pytest -q")
        home = Home.from_environment()
        environment = environment_path(home, clone, place.DEV)
        return environment if is_whole(environment) else _make(home, clone, place.DEV)

    environments: list[Path] = []
    code = _guarded(lambda: environments.append(made()))
    if code is not None:
        return code
    place.hold(str(environments[0]))
    os.chdir(clone)
    python, script = place.python(str(environments[0])), environments[0] / "bin" / arguments[0]
    run = [str(script)] if "-" in arguments[0] and script.is_file() else ["-m", arguments[0]]
    os.execv(python, [python, *run, *arguments[1:]])  # noqa: S606 -- this is what was asked for
    raise AssertionError  # exec does not return


def renew(home: str, environment: str, root: str) -> None:
    """Mend `venv` and `bin/omni` of a home in passing; a home that cannot be written is left as it is."""
    from omni.environment.command import switch_link, write_command

    with suppress(OmniError):
        switch_link(Home(home), Path(environment))
        write_command(Home(home), Path(environment), Path(root))


def damaged(error: ImportError) -> int:
    """Say that a package is missing and what mends it."""
    if place.source_root() is None:
        hint = "Install Omni again with the tool that installed it."
    else:
        hint = "Mend it: omni environment repair (or, in the clone: python3 -m omni environment repair)"
    sys.stderr.write(f"The environment {sys.prefix} is damaged: {error.name} is missing or broken.\n{hint}\n")
    return 4


def _guarded(action: Callable[[], object]) -> int | None:
    """Run a set-up; an explained failure becomes a sentence, a hint and an exit code."""
    try:
        action()
    except OmniError as error:
        sys.stderr.write(f"{error.message}\n" + (f"{error.hint}\n" if error.hint else ""))
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted; nothing half-made is kept.\n")
        return INTERRUPTED
    return None
