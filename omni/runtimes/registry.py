"""The runtimes of one home: which are here, whether they are what was added, and what trials found out.

A folder appears and goes by one rename, under a lock that all processes of the home share. Nothing is remembered here: every
question reads the small files again, so that what another process did is known.
"""

import hashlib
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from omni.core.errors import BadFile, NotFound, OmniError, UsageError, nearest
from omni.core.files import make_folder, storing, sync, sync_all, write_atomic
from omni.core.locks import locked
from omni.core.paths import Home
from omni.runtimes.libraries import unpinned
from omni.runtimes.runtime import (
    BUILT_IN,
    NAME,
    RESERVED,
    AnyRuntime,
    BrokenRuntime,
    PinnedFile,
    Refusal,
    Runtime,
    RuntimeTrial,
)
from omni.runtimes.tuning import Tuning

FILE, TRIED = "engine.json", "tried.json"
FORMAT = 1  # of both
MOST_TRIALS = 200  # that are remembered of one runtime
_LARGEST = 1 << 20  # bytes of either file
ADDING, REMOVING = ".adding-", ".removing-"  # how folders begin that are no engine yet, or none any more


class _Format(msgspec.Struct, frozen=True, kw_only=True):
    """What every format of both files has."""

    format: int = FORMAT


class _Tried(msgspec.Struct, frozen=True, kw_only=True):
    """`tried.json`."""

    trials: tuple[RuntimeTrial, ...] = ()
    tunings: tuple[Tuning, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    format: int = FORMAT


class Runtimes:
    """The runtimes of `home`. All of it blocks for some milliseconds; hashing takes longer."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def installed(self) -> list[AnyRuntime]:
        """All that were added, by name; those that cannot be used with the reason."""
        try:
            names = sorted(path.name for path in self._home.engines.iterdir())
        except OSError:
            return []
        runtimes: list[AnyRuntime] = []
        for name in names:
            if name.startswith(".") or name == BUILT_IN or not (self._home.engines / name).is_dir():
                continue
            try:
                runtimes.append(self.get(name))
            except OmniError as error:
                runtimes.append(BrokenRuntime(name=name, reason=error.message))
        return runtimes

    def usable(self) -> list[Runtime]:
        """Those that can be used, after the one that comes with Omni."""
        return [built_in(), *(each for each in self.installed() if isinstance(each, Runtime))]

    def get(self, name: str) -> Runtime:
        """One of them. Raises NotFound, and BadFile for a folder that is not as it was written."""
        if name == BUILT_IN:
            return built_in()
        folder = self._home.engines / name
        if not NAME.fullmatch(name) or not folder.is_dir():
            names = [BUILT_IN, *(each.name for each in self.installed())]
            raise NotFound(f"No engine is named {name!r}.", hint=nearest(name, names) or "`omni engine ls` lists them.")
        try:
            data = _own_bytes(folder / FILE)
            if _is_later(data):
                raise _newer(folder / FILE)
            runtime = msgspec.json.decode(data, type=Runtime)
            wrong = _problem(runtime, name)
        except FileNotFoundError:
            wrong = f"it holds no {FILE}"
        except (OSError, ValueError, msgspec.DecodeError, RecursionError) as error:
            wrong = f"its {FILE} cannot be read: {getattr(error, 'strerror', None) or error}"
        if wrong:
            raise BadFile(
                f"The engine {name!r} cannot be used: {wrong}.", hint=f"`omni engine rm {name}`, and add it again."
            )
        return msgspec.structs.replace(runtime, folder=str(folder))

    def check(self, runtime: Runtime) -> None:
        """Raise BadFile when a file is not the one that was added, or one came to those that a program could load. What has kept
        its size and time is not read again."""
        for pin in runtime.files:
            path = Path(runtime.folder) / pin.path
            try:
                status = path.stat()
                same = status.st_size == pin.size and (
                    status.st_mtime_ns == pin.changed or sha256_of(path) == pin.sha256
                )
                why = "it is not the file that was added"
            except OSError as error:
                same, why = False, error.strerror or "it is not there"
            if not same:
                raise BadFile(
                    f"The engine {runtime.name!r} is not started: {path}: {why}.",
                    hint=f"If you changed or updated it: `omni engine rm {runtime.name}`, and add it again.",
                )
        try:
            other = unpinned(runtime)
        except OSError as error:
            raise BadFile(f"The engine {runtime.name!r} is not started: {error.filename}: {error.strerror}.") from error
        if other is not None:
            raise BadFile(
                f"The engine {runtime.name!r} is not started: {other} came after it was added, and it could load that.",
                hint=f"Remove that file. If it is yours: `omni engine rm {runtime.name}`, and add it again.",
            )

    def require_free(self, name: str) -> None:
        """Raise UsageError where a name is taken or can be none, before anything is done for it."""
        check_name(name)
        if (self._home.engines / name).exists():
            raise UsageError(
                f"An engine named {name!r} is here.", hint=f"`omni engine rm {name}` first, or choose a --name."
            )

    @contextmanager
    def adding(self, name: str) -> Iterator[Path]:
        """A folder to fill, which becomes the runtime `name` when the block ends and is gone when it raises.

        `write` says in it what it is. Two who add wait for each other; what a killed one left is removed. Raises UsageError
        where the name is taken or none, StorageError.
        """
        check_name(name)
        folder = self._home.engines / name
        with storing(self._home.engines):
            make_folder(self._home.engines)
            with locked(self._home.engines_lock):
                self._sweep()
                self.require_free(name)
                making = self._home.engines / f"{ADDING}{name}"
                making.mkdir(mode=0o700)
                try:
                    yield making
                    sync_all(making)
                    making.rename(folder)
                    sync(self._home.engines)
                except BaseException:
                    shutil.rmtree(making, ignore_errors=True)
                    raise

    def remove(self, name: str) -> int:
        """Take a runtime away; returns the bytes that it had. Raises NotFound, StorageError."""
        folder = self._home.engines / name
        if name == BUILT_IN:
            raise UsageError("The engine that comes with Omni cannot be removed.")
        if not NAME.fullmatch(name) or not folder.is_dir():
            self.get(name)  # says so
        with storing(folder), locked(self._home.engines_lock):
            self._sweep()
            going = self._home.engines / f"{REMOVING}{name}"
            size = sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())
            folder.rename(going)
            shutil.rmtree(going)
        return size

    def tried(self, runtime: Runtime) -> tuple[RuntimeTrial, ...]:
        """What trials of this very build came to, on any machine. A file that cannot be read is as good as none."""
        return self._tried(runtime).trials

    def refused(self, runtime: Runtime, base: str, machine: str, files: str) -> str:
        """Why this very build could not load a base on a machine, as the end of a sentence that begins with its name; "" where
        nobody knows of that, or its `files` are not those of then any more."""
        of = (base, machine, files)
        refusals = self._tried(runtime).refusals
        return next((one.words for one in refusals if (one.base, one.machine, one.files) == of), "")

    def tuned(self, runtime: Runtime, base: str, machine: str) -> Tuning | None:
        """What was measured of a base with this very build on a machine."""
        of = (base, machine)
        return next((one for one in self._tried(runtime).tunings if (one.base, one.machine) == of), None)

    def require_known(self, runtime: Runtime) -> None:
        """Raise BadFile where a newer Omni wrote what trials of a runtime came to: nothing can be added to it here."""
        path = self._home.engines / runtime.name / TRIED
        with suppress(OSError, ValueError):
            if _is_later(_own_bytes(path)):
                raise _newer(path)

    def _tried(self, runtime: Runtime) -> _Tried:
        try:
            data = _own_bytes(self._home.engines / runtime.name / TRIED)
            tried = _Tried() if _is_later(data) else msgspec.json.decode(data, type=_Tried)
        except (OSError, ValueError, msgspec.DecodeError, RecursionError):
            return _Tried()
        return _Tried(
            trials=tuple(trial for trial in tried.trials if trial.runtime == runtime.key),
            tunings=tuple(one for one in tried.tunings if one.runtime == runtime.key),
            refusals=tuple(one for one in tried.refusals if one.runtime == runtime.key),
        )

    def note(self, runtime: Runtime, trial: RuntimeTrial) -> None:
        """Remember a trial, in the place of an earlier one of the same types on the same machine and devices. Raises StorageError,
        and BadFile where a newer Omni keeps what is known."""

        def with_it(known: _Tried) -> _Tried:
            others = [one for one in known.trials if _place(one) != _place(trial)]
            return msgspec.structs.replace(known, trials=tuple([*others, trial][-MOST_TRIALS:]))

        self._change(runtime, with_it)

    def note_tuning(self, runtime: Runtime, tuning: Tuning) -> None:
        """Remember what was measured of a base, in the place of what was known of it on the same machine."""

        def with_it(known: _Tried) -> _Tried:
            of = (tuning.base, tuning.machine)
            others = [one for one in known.tunings if (one.base, one.machine) != of]
            return msgspec.structs.replace(known, tunings=tuple([*others, tuning][-MOST_TRIALS:]))

        self._change(runtime, with_it)

    def note_refusal(self, runtime: Runtime, refusal: Refusal) -> None:
        """Remember that a build cannot load a base, in the place of what was known of it on the same machine."""

        def with_it(known: _Tried) -> _Tried:
            of = (refusal.base, refusal.machine)
            others = [one for one in known.refusals if (one.base, one.machine) != of]
            return msgspec.structs.replace(known, refusals=tuple([*others, refusal][-MOST_TRIALS:]))

        self._change(runtime, with_it)

    def forget_refusals(self, runtime: Runtime) -> None:
        """Let a build load every base again, as a person wants who has it tried anew."""
        if self._tried(runtime).refusals:
            self._change(runtime, lambda known: msgspec.structs.replace(known, refusals=()))

    def _change(self, runtime: Runtime, change: Callable[[_Tried], _Tried]) -> None:
        folder = self._home.engines / runtime.name
        with storing(folder), locked(self._home.engines_lock):
            if runtime.name != BUILT_IN and not folder.is_dir():
                return  # it was removed meanwhile
            self.require_known(runtime)
            kept = change(self._tried(runtime))
            write_atomic(folder / TRIED, msgspec.json.format(msgspec.json.encode(kept), indent=1))

    def sweep(self) -> None:
        """Remove what those who were killed left, unless somebody is at it."""
        if self._home.engines.is_dir():
            with storing(self._home.engines), locked(self._home.engines_lock, wait=False) as free:
                if free:
                    self._sweep()

    def _sweep(self) -> None:
        """Remove what those who were killed left. Nobody else is at it: the lock is held."""
        for path in self._home.engines.glob(".*"):
            if path.name.startswith((ADDING, REMOVING)):
                shutil.rmtree(path, ignore_errors=True)


def built_in() -> Runtime:
    """The engine that comes with Omni."""
    from importlib.metadata import PackageNotFoundError, version

    known = ""
    with suppress(PackageNotFoundError):
        known = version("xllamacpp")
    return Runtime(name=BUILT_IN, kind="xllamacpp", version=known, source="comes with Omni")


def check_name(name: str) -> None:
    """Raise UsageError for what cannot be the name of a runtime."""
    if name in RESERVED or not NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot be the name of an engine.",
            hint="Choose one with --name: small letters, digits and . _ + -, at most 64; "
            f"{', '.join(RESERVED)} mean something else.",
        )


def write(folder: Path, runtime: Runtime) -> None:
    """Write `engine.json` into a folder that is being filled. Raises StorageError."""
    plain = {name: value for name, value in msgspec.to_builtins(runtime).items() if name != "folder"}
    write_atomic(folder / FILE, msgspec.json.format(msgspec.json.encode(plain), indent=1))


def pinned(folder: Path, paths: Iterable[Path]) -> tuple[PinnedFile, ...]:
    """What files are now; those below `folder` by their paths in it. Raises OSError."""
    pins = []
    for path in paths:
        status = path.stat()
        name = path.relative_to(folder) if path.is_relative_to(folder) else path
        pins.append(PinnedFile(path=str(name), size=status.st_size, changed=status.st_mtime_ns, sha256=sha256_of(path)))
    return tuple(pins)


def sha256_of(path: Path) -> str:
    """The hash of a file. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _place(trial: RuntimeTrial) -> tuple[str, tuple[str, ...], bool]:
    """What there is one trial for."""
    return trial.machine, trial.types, trial.layers > 0


def _is_later(data: bytes) -> bool:
    """Whether a newer Omni wrote this."""
    try:
        return msgspec.json.decode(data, type=_Format).format > FORMAT
    except (msgspec.DecodeError, ValueError, RecursionError):
        return False


def _newer(path: Path) -> BadFile:
    return BadFile(
        f"{path} was written by a newer Omni.", hint="Update this Omni, or remove that file: then all begins anew."
    )


def _problem(runtime: Runtime, name: str) -> str:
    """Why what a file says is no runtime; or ""."""
    if runtime.name != name:
        return f"it calls itself {runtime.name[:80]!r}"
    if name in RESERVED:
        return "its name means something else"
    if runtime.kind == "llama_server" and not runtime.binary:
        return "it names no binary"
    inside = [path for path in (runtime.binary, *runtime.libraries) if not Path(path).is_absolute()]
    if any(".." in Path(path).parts for path in inside):
        return "it names a file outside of its folder"
    return ""


def _own_bytes(path: Path) -> bytes:
    """What stands in a file that is this user's alone to write. Raises OSError, ValueError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o022:
            raise ValueError("it is no file, belongs to somebody else, or others may write to it")
        data = file.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise ValueError(f"it has more than {_LARGEST} bytes")
    return data
