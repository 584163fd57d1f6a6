"""The installer process: the one process of a set-up that opens INET sockets.

It reads one order (a JSON object on one line) from standard input and answers with JSON lines on standard output:
steps, then `{"answer": …}` or `{"error": …}`. It and what it started end when standard input ends.
"""

import json
import os
import selectors
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from omni.core.errors import OmniError, SetupError
from omni.core.files import own, storage_error, sync_all, write_atomic
from omni.environment import place
from omni.environment.pip_output import PipOutput
from omni.environment.progress import Step
from omni.environment.requirements import normalised, read_lock

WHEEL = "pip.whl"
# Where pip installs and what it prints is decided here; every other setting of the person's applies.
_OURS = (
    "TARGET",
    "PREFIX",
    "ROOT",
    "USER",
    "PYTHON",
    "QUIET",
    "VERBOSE",
    "LOG",
    "REPORT",
    "DRY_RUN",
    "CONSTRAINT",
    "REQUIREMENT",
    "EDITABLE",
    "NO_BINARY",
)


Tell = Callable[[Step], None]
Tasks = Mapping[str, Callable[[dict[str, Any], Tell], Any]]


def main() -> None:
    """Make an environment, or fetch what one is made of."""
    serve({"install": install, "download": download})


def serve(tasks: Tasks) -> None:
    """Do what the first line of standard input says, one of these tasks."""
    with open(0, "rb", buffering=0, closefd=False) as given:  # unbuffered: the rest is the thread's
        order = json.loads(given.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        answer = tasks[order["task"]](order, _tell)
    except OmniError as error:
        _fail(error)
    except OSError as error:
        _fail(storage_error(Path(error.filename or order.get("environment") or order["target"]), error))
    else:
        _send({"answer": answer})


def install(order: dict[str, Any], tell: Callable[[Step], None]) -> dict[str, str]:
    """Make the environment `environment` with all of `lock`; returns names and versions of what is in it."""
    environment, wheels = Path(order["environment"]), order["wheels"] and Path(order["wheels"])
    tell(Step(phase="environment"))
    make_environment(environment)
    fetch_installer(environment / WHEEL, Path(order["installer"]), wheels, tell)
    arguments = ["install", "--no-user", "--no-warn-script-location", "--ignore-installed"]
    python = [place.python(str(environment)), "-I", "-u", "-X", "utf8", str(environment / WHEEL / "pip")]
    packages = site_packages(environment)
    run_pip([*python, *arguments], order, wheels, tell, lambda: len(list(packages.glob("*.dist-info"))))
    versions = installed(packages)
    missing = [pin.name for pin in read_lock(Path(order["lock"])) if not pin.marker and pin.name not in versions]
    if missing:
        raise SetupError(
            f"pip reported success, but {missing[0]} is not in {packages}.",
            hint="Is `target`, `prefix` or `root` set in pip's configuration? See `pip config list`.",
        )
    sync_all(environment)
    return versions


def download(order: dict[str, Any], tell: Callable[[Step], None]) -> list[str]:
    """Fetch the wheels of `lock` and of the lock files `also`, for this platform, and pip's own into the folder `target`;
    returns their names."""
    target = Path(order["target"])
    target.mkdir(parents=True, exist_ok=True)
    wheel = fetch_installer(target, Path(order["installer"]), None, tell)
    python = [sys.executable, "-I", "-u", "-X", "utf8", str(wheel / "pip")]
    run_pip([*python, "download", "--dest", str(target)], order, None, tell, lambda: 0)
    return sorted(each.name for each in target.glob("*.whl"))


def make_environment(environment: Path) -> None:
    """An environment without pip: the `venv` module alone, no `ensurepip`."""
    import venv

    try:
        venv.EnvBuilder(symlinks=True, with_pip=False).create(environment)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        if isinstance(error, OSError):
            raise storage_error(environment, error) from error
        raise SetupError(f"The environment cannot be made: {error}.") from error


def fetch_installer(target: Path, requirements: Path, wheels: Path | None, tell: Callable[[Step], None]) -> Path:
    """Put pip's wheel, verified, at `target` (a file, or a folder to put it in); returns where it is."""
    from omni.environment.wheel import find_wheel, obtain_wheel

    (pin,) = read_lock(requirements)
    if wheels is not None:
        source = find_wheel(wheels, pin)
        write_atomic(target, source.read_bytes())
        return target
    tell(Step(phase="installer", name=f"{pin.name} {pin.version}"))
    return obtain_wheel(pin, target, tell)


def run_pip(
    command: list[str],
    order: dict[str, Any],
    wheels: Path | None,
    tell: Callable[[Step], None],
    count: Callable[[], int],
) -> None:
    """Run pip over the lock file and tell what it does; `count` says how many packages are installed."""
    common = ["--no-input", "--disable-pip-version-check", "--require-hashes", "--no-deps", "--only-binary", ":all:"]
    # --isolated: an export is installed alone from its folder, whatever else is configured.
    source = [] if wheels is None else ["--isolated", "--no-index", "--find-links", str(wheels)]
    built = (
        [f"--no-binary={','.join(order['built'])}", f"--build-constraint={order['build']}"] if order["built"] else []
    )
    locks = [word for lock in (order["lock"], *order.get("also", ())) for word in ("-r", lock)]
    command = [*command, *common, *source, *built, "--progress-bar", "raw", *locks]
    follow_pip(command, order, tell, count)


def follow_pip(
    command: list[str], order: dict[str, Any], tell: Callable[[Step], None], count: Callable[[], int]
) -> None:
    """Run a command line of pip and tell what it does, until it ends. Raises what its output says when it fails."""
    output = PipOutput(order["total"])
    own(Path(order["log"]))
    with (
        Path(order["log"]).open("wb") as log,
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=pip_environment(os.environ, temporary=order.get("temporary", "")),
            pass_fds=() if order["door"] is None else (order["door"],),  # so that the air gap finds pip as well
        ) as process,
    ):
        assert process.stdout is not None
        _read(process.stdout, log, output, tell, count)
    if process.returncode:
        raise output.failure(process.returncode, order["log"], online=order.get("wheels") is None)


def _read(pipe: Any, log: BinaryIO, output: PipOutput, tell: Callable[[Step], None], count: Callable[[], int]) -> None:
    pending, step = b"", Step(phase="download", total=output.total)
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while True:
            if selector.select(0.2):
                data = os.read(pipe.fileno(), 65536)
                if not data:
                    return
                log.write(data)
                *lines, pending = (pending + data).split(b"\n")
                for line in lines:
                    step = output.feed(line.decode("utf-8", "replace")) or step
            if step.phase == "install":  # pip is silent here
                step = Step(phase="install", done=min(count(), output.total), total=output.total, size=output.size)
            tell(step)


def pip_environment(environment: "os._Environ[str] | dict[str, str]", *, temporary: str = "") -> dict[str, str]:
    """The person's environment, less what would send the packages elsewhere or change what pip prints. `temporary` is where
    temporary files go; "" leaves that to the person."""
    dropped = {f"PIP_{name}" for name in _OURS} | {"FORCE_COLOR", "COLUMNS", "__PYVENV_LAUNCHER__"}
    kept = {name: value for name, value in environment.items() if name not in dropped} | {"NO_COLOR": "1"}
    return kept | ({"TMPDIR": temporary} if temporary else {})


def site_packages(environment: Path) -> Path:
    """Where the packages of an environment lie."""
    return environment / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"


def installed(packages: Path) -> dict[str, str]:
    """Names and versions by the metadata in a `site-packages` folder."""
    from importlib.metadata import distributions

    return {normalised(each.metadata["Name"]): each.version for each in distributions(path=[str(packages)])}


def _end_with_parent() -> None:
    while os.read(0, 4096):
        pass
    os.killpg(os.getpgrp(), signal.SIGKILL)  # with pip, which is in the same group


def _tell(step: Step) -> None:
    _send(step.as_dict())


def _fail(error: OmniError) -> None:
    """Send an error under the name of the class that the other side knows."""
    kind = next(each for each in type(error).__mro__ if each.__module__ == OmniError.__module__)
    _send({"error": kind.__name__, "message": error.message, "hint": error.hint})


def _send(message: dict[str, Any]) -> None:
    try:
        os.write(1, json.dumps(message).encode() + b"\n")
    except BrokenPipeError:
        os._exit(1)


if __name__ == "__main__":
    main()
