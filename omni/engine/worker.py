"""A worker's process: builds its wall, takes its order, loads one base, and serves it until it is told to end.

Nothing heavy may be imported before `prepare`: libgomp reads its environment once, when it is loaded.
"""

import os
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

NICE = 10
SPIN_COUNT = "1000"  # libgomp's spinning barrier costs a factor of 30 as soon as anybody else wants a core


def main() -> None:
    """Run a worker with the order on fd 0; never returns."""
    started = time.monotonic()
    from omni.core import confinement, memory, pages
    from omni.keeper import adopt

    prepare()
    confinement.undumpable()
    # Before the first thread: Landlock holds who sets it and what that one starts.
    confinement.confine()
    place = adopt.take(orders={"wall": try_wall}, answers=False)
    memory.hold(int(place.spec["settings"].get("ceiling", 0)))
    program = starts_program(str(place.spec["engine"]))
    if not program:
        # Before the first byte of a file that a stranger may have made.
        confinement.confine(connect=False, execute=False)
    held = [hold_base(base) for base in bases_of(place.spec)]
    log = log_path()
    offset = log.stat().st_size if log.is_file() else 0
    from omni.core.errors import OmniError

    try:
        server = _serve(place, log, offset)
    except OmniError as error:
        place.failed(f"{error.message}\n{error.hint}")
    except Exception as error:  # noqa: BLE001 - whatever it is, the front end that waits shall read it
        place.failed(f"The worker failed: {type(error).__name__}: {error}")
    settings = place.spec["settings"]
    # Others may have threads of a driver, which write when they like.
    if place.spec["engine"] == "xllamacpp" and settings.get("trim", 1):
        for path in filter(None, (place.spec["path"], settings.get("draft"))):
            pages.give_back_file(str(path))
        pages.give_back_zeros()  # nobody asks before `ready`
    confined = confinement.confine(connect=False, execute=False) if program else confinement.state()
    place.ready(
        seconds=round(time.monotonic() - started, 3),
        context=int(settings.get("context", 0)),
        cells=int(settings.get("cells", 0)),
        memory=resident_bytes(),
        confined=confined.kind if confined.enforced else f"none: {confined.reason}",
    )
    _sleep(server, held)


def prepare() -> None:
    """Be a good neighbour even when who started this process forgot it."""
    from omni.core import memory

    memory.share_heap()
    os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)
    os.environ.setdefault("GGML_NO_BACKTRACE", "1")  # else the cause is not among the last lines of a log
    missing = NICE - os.nice(0)
    if missing > 0:
        os.nice(missing)


def try_wall(_order: dict[str, Any]) -> dict[str, Any]:
    """Every way around the confinement, and around the ceiling where there is one, tried in this very process."""
    from omni.core import confinement, memory

    attempts = confinement.attempts()
    if ceiling := memory.held():
        attempts.append(confinement.EscapeAttempt("memory", "itself", *memory.beyond(ceiling)))
    return {"attempts": [attempt._asdict() for attempt in attempts]}


def starts_program(engine: str) -> bool:
    """Whether an engine is a program of its own, which the worker starts and asks whether it has loaded; of what cannot be
    read nothing is started."""
    from omni.core.errors import OmniError
    from omni.core.paths import Home
    from omni.runtimes import BUILT_IN, Runtimes

    with suppress(OmniError):
        return engine not in (BUILT_IN, "scripted") and (
            Runtimes(Home.from_environment()).get(engine).kind == "llama_server"
        )
    return False


def bases_of(spec: dict[str, Any]) -> list[str]:
    """The ids of the bases that a worker loads: its own, and that of a brain that drafts for it."""
    return [str(base) for base in (spec["base"], spec["settings"].get("draft_base")) if base]


def hold_base(base: str) -> ExitStack:
    """Take hold of the base, as long as this process lives: nobody removes its file meanwhile, however its keeper fares."""
    from omni.cartridges import hold
    from omni.core.paths import Home

    stack = ExitStack()
    with suppress(OSError):  # a full disk keeps nobody from asking a brain
        stack.enter_context(hold(Home.from_environment(), base))
    return stack


def log_path() -> Path:
    """The file that standard error goes to, or the null device when it is no file."""
    if os.uname().sysname == "Darwin":  # untested: written from the manual of fcntl(2)
        import fcntl

        path = os.fsdecode(fcntl.fcntl(2, 50, b"\0" * 1024).rstrip(b"\0"))  # F_GETPATH
    else:
        path = os.fspath(Path("/proc/self/fd/2").readlink())
    return Path(path) if Path(path).is_file() else Path(os.devnull)


def resident_bytes() -> int:
    """Memory of this process that is really there; 0 where nobody tells."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _serve(place: Any, log: Path, offset: int) -> Any:
    from omni.runtimes import BUILT_IN

    settings: dict[str, Any] = place.spec["settings"]
    if (name := str(place.spec["engine"])) not in ("scripted", BUILT_IN):
        return _serve_added(name, place, log, offset)
    place.answer_keeper()
    if name == "scripted":
        from omni.engine.scripted_worker import serve

        return serve(place.socket, place.key, settings)
    from omni.engine.llama import start

    return start(place.spec["path"], place.socket, place.key, settings, log=log, offset=offset)


def _serve_added(name: str, place: Any, log: Path, offset: int) -> Any:
    """The same by an engine that was added. Raises EngineError, which names it: another one may load the file."""
    from omni.core.errors import EngineError, OmniError
    from omni.core.paths import Home
    from omni.engine import llama, server
    from omni.engine.stepwise import loading
    from omni.runtimes import SHOWS_SOFTWARE, STEPWISE, Runtimes

    runtimes = Runtimes(Home.from_environment())
    path, settings = place.spec["path"], place.spec["settings"]
    try:
        runtime = runtimes.get(name)
        runtimes.check(runtime)
        if runtime.kind not in (
            "llama_server",
            "mlx",
        ):  # mlx' reader of GGUFs opens a brain's file for writing, or not at all
            _hold_to_folders(name, place.socket, settings)
        place.answer_keeper()  # by a thread that is held as well: a package's code can have any of them run it
        if runtime.kind == "llama_server":
            return server.start(runtime, path, place.socket, place.key, settings, log=log, offset=offset)
        sys.dont_write_bytecode, sys.pycache_prefix = True, os.devnull  # what is compiled already is not pinned
        if settings.get("software"):
            os.environ.update(SHOWS_SOFTWARE)
        if runtime.kind in STEPWISE:
            return loading.start(runtime, path, place.socket, place.key, settings)
        sys.path.insert(0, os.fspath(runtime.packages))
        settings = {"gpu_layers": 0, **settings}  # a build for a graphics processor would take it by itself
        return llama.start(path, place.socket, place.key, settings, log=log, offset=offset)
    except OmniError as error:
        raise EngineError(f"The engine {name!r} failed: {error.message}", hint=error.hint) from error


def _hold_to_folders(name: str, socket: str, settings: dict[str, Any]) -> None:
    """Let this thread, and all that it starts, change files only where a worker must: a package of strangers comes next."""
    from omni.core.files import make_folder
    from omni.core.landlock import NONE, write_only_below

    folders = [Path("/dev"), Path(socket).parent]  # a card's drivers open theirs to write
    if prefixes := settings.get("prefixes"):
        make_folder(Path(str(prefixes)))
        folders.append(Path(str(prefixes)))
    if not write_only_below(folders):
        sys.stderr.write(f"{name} may write where you may: {NONE}.\n")
        sys.stderr.flush()


def _sleep(*kept: object) -> None:
    """Keep what is handed over alive; native threads and the control thread do all the work and end the process."""
    import threading

    threading.Event().wait()
    sys.stderr.write(f"{kept} ended\n")


if __name__ == "__main__":
    main()
