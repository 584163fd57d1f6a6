"""Compiles an engine for this very machine out of a source archive that Omni pins: `omni engine build`.

All of it happens in one folder beside the engines, by steps that can be done again: what was fetched, unpacked and compiled
stays when it is interrupted, and the next build goes on there. The engine appears by one rename when it is whole.
"""

import asyncio
import os
import shutil
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing, suppress
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from omni.core.errors import NotFound, OmniError, UsageError
from omni.core.events import Event
from omni.core.files import make_folder, replacing, require_space, storing, sync_all
from omni.core.locks import take_lock
from omni.core.paths import Home, resources
from omni.runtimes import wheels
from omni.runtimes.archives import unpack_source
from omni.runtimes.confined import ToolFailed, run_confined
from omni.runtimes.leftovers import PARTS, size_of
from omni.runtimes.pinned import EngineDoor, fetch_pinned
from omni.runtimes.registry import Runtimes, pinned, write
from omni.runtimes.runtime import Runtime
from omni.runtimes.toolchain import Backend, Toolchain

if TYPE_CHECKING:
    from omni.environment import Pin
    from omni.jobs import Job, Jobs

LOCK = "engines.txt"  # among the requirements
CORE_SECONDS = 1080.0  # that all files take on one core of a laptop of 2023; measured: 9 minutes on two
MEMORY_EACH = 1 << 30  # bytes that one compiler takes at most
_PROGRAMS = ("cmake", "ninja")  # that are fetched where they are not here
_AFTER = 10  # files, before the time that is left is more than a guess

Phase = Literal["fetch", "unpack", "configure", "compile", "install"]


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """How an engine is made: the project of its archive, the folder in it, what cmake is told, what ninja shall make and
    which of that is kept. `disk` is what all of it takes in bytes, `download` the archive."""

    project: str
    inside: str
    options: dict[str, str]
    backends: dict[str, dict[str, str]]
    targets: tuple[str, ...]
    binary: str
    tools: dict[str, str]
    without: tuple[str, ...] = ()
    download: int = 0
    disk: int = 0
    core_seconds: float = CORE_SECONDS


LLAMA_SERVER = Recipe(
    project="llama-cpp-python",
    inside="vendor/llama.cpp",
    without=("docs", "models", "tests", "media", "benches", "gguf-py", "examples"),
    options={
        "BUILD_SHARED_LIBS": "OFF",
        "GGML_NATIVE": "ON",
        "GGML_CCACHE": "OFF",
        "LLAMA_BUILD_SERVER": "ON",
        "LLAMA_BUILD_TESTS": "OFF",
        "LLAMA_BUILD_EXAMPLES": "OFF",
        "LLAMA_BUILD_APP": "OFF",
        "LLAMA_BUILD_UI": "OFF",
        "LLAMA_USE_PREBUILT_UI": "OFF",  # it would be downloaded
        "LLAMA_OPENSSL": "OFF",  # an engine opens no connection
    },
    backends={"cpu": {}, "cuda": {"GGML_CUDA": "ON"}, "vulkan": {"GGML_VULKAN": "ON"}},
    targets=("llama-server", "llama-quantize", "llama-imatrix", "llama-perplexity"),
    binary="bin/llama-server",
    tools={
        "quantize": "bin/llama-quantize",
        "imatrix": "bin/llama-imatrix",
        "perplexity": "bin/llama-perplexity",
    },
    download=76_600_000,
    disk=400_000_000,
)


class BuildStarted(Event, frozen=True, kw_only=True):
    """What it will take: bytes to `download`, bytes of `disk` while it goes on, and about so many `seconds`; less of them where
    a build that was interrupted is `resumed`."""

    name: str
    download: int
    disk: int
    seconds: float
    resumed: bool = False


class BuildProgress(Event, frozen=True, kw_only=True):
    """How far a phase is: bytes of a fetch, files of a compilation; `seconds_left` None while nobody can tell."""

    phase: Phase
    done: int = 0
    total: int = 0
    seconds_left: float | None = None
    what: str = ""


class BuildDone(Event, frozen=True, kw_only=True):
    """The engine `name` is here; it took `seconds` this time."""

    name: str
    seconds: float


BuildEvent = BuildStarted | BuildProgress | BuildDone


def default_name(backend: Backend) -> str:
    """What an engine that was built here is called."""
    return "built" if backend == "cpu" else f"built-{backend}"


class Build:
    """One engine to be built. `lock` names the versions and hashes, `cores` says how many compilers run at a time."""

    def __init__(
        self,
        home: Home,
        door: EngineDoor,
        *,
        backend: Backend = "cpu",
        name: str = "",
        recipe: Recipe = LLAMA_SERVER,
        lock: Path | None = None,
        cores: int | None = None,
        toolchain: Toolchain | None = None,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self._home, self._door, self._recipe, self._backend = home, door, recipe, backend
        self.name = name or default_name(backend)
        self._lock = lock or resources("requirements") / LOCK
        self._environment = environment
        self._toolchain = toolchain or Toolchain(environment)
        self._cores = cores or at_once()
        self._root = home.engine_builds
        self.log = home.logs / f"build-{self.name}.log"

    @cached_property
    def _pins(self) -> "dict[str, Pin]":
        from omni.environment import read_lock

        return {pin.name: pin for pin in read_lock(self._lock)}

    @cached_property
    def _tree(self) -> Path:
        """Where it is compiled: cmake takes no other source into a tree than the one that it was made for."""
        return self._root / f"tree-{self._backend}-{self._pins[self._recipe.project].version}"

    async def run(self) -> AsyncGenerator[BuildEvent, None]:
        """Build it; closing the iterator ends the compilers and keeps what they made.

        Raises UsageError for a name that is taken or none, and while another build runs; SetupError for what the machine
        lacks; NetworkBlocked, NotFound and BadFile of the archive; StorageError; ToolFailed with the last lines.
        """
        began = time.monotonic()
        await asyncio.to_thread(self._check)
        held = await asyncio.to_thread(self._take)
        try:
            await asyncio.to_thread(self._sweep)
            expected = await asyncio.to_thread(self._expected)
            yield expected
            async with aclosing(self._build()) as steps:
                async for step in steps:
                    yield step
            await asyncio.to_thread(self._tidy)
        finally:
            os.close(held)
        yield BuildDone(name=self.name, seconds=time.monotonic() - began)

    def _take(self) -> int:
        """The right to build, as the descriptor of a lock."""
        with storing(self._root):
            held = take_lock(self._root / "lock")
        if held is None:
            raise UsageError("Another build of an engine runs.", hint="`omni ps` lists it, `omni stop WORK` ends it.")
        return held

    def _sweep(self) -> None:
        """Remove what no build of this Omni goes on with: what was unpacked halfway, and what is of other versions."""
        versions = [f"-{self._pins[name].version}" for name in (self._recipe.project, *_PROGRAMS) if name in self._pins]
        for path in self._root.iterdir():
            if path.name == "lock" or path.name.endswith(PARTS):  # at which another command works
                continue
            if not path.is_dir():
                if not any(version in path.name for version in versions):
                    path.unlink(missing_ok=True)
            elif path.name.startswith(".") or not path.name.endswith(tuple(versions)):
                shutil.rmtree(path, ignore_errors=True)

    def _expected(self) -> BuildStarted:
        """What it will take, less what an interrupted build left. Raises StorageError where the disk has no room for it."""
        disk = max(0, self._recipe.disk - size_of(self._root))
        require_space(self._root, disk)
        seconds = self._recipe.core_seconds / self._cores
        resumed = self._tree.is_dir()
        download = 0 if resumed else self._recipe.download
        return BuildStarted(name=self.name, download=download, disk=disk, seconds=seconds, resumed=resumed)

    def _check(self) -> None:
        Runtimes(self._home).require_free(self.name)
        self._toolchain.require(self._backend)

    async def _build(self) -> AsyncGenerator[BuildProgress, None]:
        pins = self._pins
        pin = pins[self._recipe.project]
        source = self._root / f"source-{pin.version}"
        source_of = partial(unpack_source, inside=self._recipe.inside, without=self._recipe.without)
        async with aclosing(self._unpacked(pin, source, source_of)) as steps:
            async for step in steps:
                yield step
        programs: dict[str, Path] = {}
        here_already = (self._toolchain.cmake(), self._toolchain.program("ninja"))
        for tool, here in zip(_PROGRAMS, here_already, strict=True):
            folder = self._root / f"{tool}-{pins[tool].version}"
            programs[tool] = here or folder / tool / "data" / "bin" / tool
            if here is None:
                async with aclosing(self._unpacked(pins[tool], folder, wheels.unpack)) as steps:
                    async for step in steps:
                        yield step
        async with aclosing(self._compiled(source, programs["cmake"], programs["ninja"])) as steps:
            async for step in steps:
                yield step
        yield BuildProgress(phase="install")
        await asyncio.to_thread(self._install, pin)

    async def _unpacked(
        self, pin: "Pin", target: Path, unpack: Callable[[Path, Path], object]
    ) -> AsyncGenerator[BuildProgress, None]:
        """Fetch what is pinned and have it unpacked, whole or not at all; what is there already is not asked for again."""
        if await asyncio.to_thread(target.is_dir):
            return
        archive: Path | None = None
        async with aclosing(fetch_pinned(pin, self._root, self._door)) as steps:
            async for step in steps:
                archive = step.fetched.path if step.fetched is not None else None
                left = (step.total - step.done) / step.rate if step.total and step.rate else None
                yield BuildProgress(
                    phase="fetch", done=step.done, total=step.total or 0, seconds_left=left, what=pin.name
                )
        if archive is None:
            raise NotFound(f"{pin.name} {pin.version} did not come.", hint="Try again.")
        yield BuildProgress(phase="unpack", what=pin.name)
        new = target.with_name(f".{target.name}")
        with storing(target):
            await asyncio.to_thread(shutil.rmtree, new, ignore_errors=True)
            await asyncio.to_thread(unpack, archive, new)
            await asyncio.to_thread(sync_all, new)  # the name says that it is whole, after a power cut as well
            await asyncio.to_thread(new.replace, target)

    async def _compiled(self, source: Path, cmake: Path, ninja: Path) -> AsyncGenerator[BuildProgress, None]:
        temporary = self._tree / "tmp"
        with storing(temporary):
            make_folder(temporary)
        # What the person sets for compilers counts; where they write, and how they tell it, is Omni's.
        environment = dict(self._environment) | {
            "TMPDIR": str(temporary),
            "LC_ALL": "C",
            "NINJA_STATUS": "[%f/%t] ",
            "GIT_CEILING_DIRECTORIES": str(self._root),  # the source is of no repository that the home may lie in
        }
        environment.pop("CMAKE_GENERATOR", None)
        options = self._recipe.options | self._recipe.backends[self._backend]
        configure: list[str | Path] = [
            cmake,
            *("-S", source, "-B", self._tree, "-G", "Ninja"),
            *("-DCMAKE_BUILD_TYPE=Release", f"-DCMAKE_MAKE_PROGRAM={ninja}"),
            *(f"-D{name}={value}" for name, value in options.items()),
            *("-U", "Vulkan_*"),  # other headers are found again, where an earlier attempt was stopped for its own
        ]
        yield BuildProgress(phase="configure")
        async with aclosing(self._run(configure, environment)) as pieces:
            async for _ in pieces:
                pass
        compiling = self._run([ninja, "-C", self._tree, f"-j{self._cores}", *self._recipe.targets], environment)
        meter = _Meter()
        async with aclosing(compiling) as pieces:
            async for piece in pieces:
                if (step := meter.read(piece)) is not None:
                    yield step

    async def _run(self, command: list[str | Path], environment: Mapping[str, str]) -> AsyncGenerator[str, None]:
        running = run_confined(command, write=[self._tree], log=self.log, folder=self._tree, environment=environment)
        try:
            async with aclosing(running) as pieces:
                async for piece in pieces:
                    yield piece
        except ToolFailed as error:
            raise self._explained(error) from error

    def _explained(self, error: ToolFailed) -> OmniError:
        wrong = [line for line in error.lines if "error:" in line.lower() or "CMake Error" in line]
        what = f": {wrong[0].strip()[:200]}" if wrong else "."
        return ToolFailed(
            f"The engine could not be built{what}", hint=error.hint, status=error.status, lines=error.lines
        )

    def _install(self, pin: "Pin") -> None:
        """Give the engine its place, by one rename when it is whole."""
        with Runtimes(self._home).adding(self.name) as folder:
            files = [folder / name for name in (self._recipe.binary, *self._recipe.tools.values())]
            for file in files:
                made = self._tree / file.relative_to(folder)
                with made.open("rb") as source, replacing(file, mode=0o700) as target:
                    shutil.copyfileobj(source, target, 1 << 20)
            files_pinned = pinned(folder, files)
            backend = "" if self._backend == "cpu" else f" with {self._backend}"
            runtime = Runtime(
                name=self.name,
                kind="llama_server",
                source=f"built on this machine from {pin.name} {pin.version}{backend}",
                version=pin.version,
                sha256=files_pinned[0].sha256,
                binary=self._recipe.binary,
                tools=self._recipe.tools,
                files=files_pinned,
            )
            write(folder, runtime)

    def _tidy(self) -> None:
        """Remove what was needed to build it, unless another backend's unfinished build needs it, too."""
        shutil.rmtree(self._tree, ignore_errors=True)
        if not list(self._root.glob("tree-*")):
            for path in self._root.iterdir():
                if path.name.endswith(PARTS):
                    continue
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                elif path.name != "lock":
                    with suppress(OSError):
                        path.unlink()


class _Meter:
    """Reads ninja's `[12/216]`, and tells how long the rest takes at the pace of this run."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._first: int | None = None

    def read(self, piece: str) -> BuildProgress | None:
        """What a line says of how far it is; None for one that says nothing of it."""
        head, bracket, what = piece.partition("] ")
        done, slash, total = head.removeprefix("[").partition("/")
        if not (bracket and slash and head.startswith("[") and done.isdigit() and total.isdigit()):
            return None
        if self._first is None:
            self._first = int(done) - 1
        made = int(done) - self._first
        pace = (time.monotonic() - self._began) / made if made >= _AFTER else None
        left = pace * (int(total) - int(done)) if pace is not None else None
        return BuildProgress(
            phase="compile", done=int(done), total=int(total), seconds_left=left, what=what.rpartition("/")[2]
        )


def at_once() -> int:
    """How many compilers may run at a time: one for each core, less where memory is short."""
    from omni.hardware import available_memory

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, available_memory() // MEMORY_EACH))


def begin_build(jobs: "Jobs", build: Build) -> "Job[BuildEvent]":
    """Let `build` run as a job of this process, which any window lists and stops."""
    return jobs.begin("build", build.name, lambda _: build.run(), latest=(BuildProgress,))
