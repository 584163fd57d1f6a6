"""A source archive that compiles in a second, and a package index that has it: doubles of the large ones."""

import asyncio
import hashlib
import io
import tarfile
import zipfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Literal

from omni.airlock import Fetched, FetchProgress, IndexFile
from omni.core.errors import NotFound
from omni.runtimes.building import Recipe

CMAKE = """cmake_minimum_required(VERSION 3.14)
project(tiny C CXX)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
add_executable(server server.cpp a.cpp b.cpp)
add_executable(quantize server.cpp b.cpp a.cpp)
"""
SOURCES = {
    "CMakeLists.txt": CMAKE,
    "server.cpp": '#include <cstdio>\nint a(); int b();\nint main() { std::printf("%d\\n", a() + b()); }\n',
    "a.cpp": "int a() { return 1; }\n",
    "b.cpp": "int b() { return 2; }\n",
}
RECIPE = Recipe(
    project="tiny",
    inside="code/tiny",
    options={},
    backends={"cpu": {}, "cuda": {}, "vulkan": {}},
    targets=("server", "quantize"),
    binary="bin/server",
    tools={"quantize": "bin/quantize"},
    download=1000,
    disk=1_000_000,
)


def archive(files: dict[str, str] = SOURCES, top: str = "tiny-1.0/code/tiny") -> bytes:
    """A source archive with these files."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(f"{top}/{name}")
            info.size = len(text.encode())
            tar.addfile(info, io.BytesIO(text.encode()))
    return out.getvalue()


def wheel(tool: str, program: str) -> bytes:
    """A wheel that carries a program as those of cmake and ninja do."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr(f"{tool}/data/bin/{tool}", program)
    return out.getvalue()


class TinyIndex:
    """A package index behind an open door. It counts what it was asked for."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.asked: list[str] = []

    async def find(
        self, project: str, *, purpose: Literal["engine"], wanted: Callable[[IndexFile], bool]
    ) -> list[IndexFile]:
        self.asked.append(project)
        offered = [
            IndexFile(
                name=name, url=f"https://index.test/{name}", sha256=hashlib.sha256(data).hexdigest(), size=len(data)
            )
            for name, data in self.files.items()
            if name.startswith(project)
        ]
        if not (suitable := [file for file in offered if wanted(file)]):
            raise NotFound(f"No index has {project}.")
        return suitable

    async def fetch(
        self, url: str, target: Path, *, purpose: Literal["engine"], size: int | None, sha256: str | None
    ) -> AsyncIterator[FetchProgress]:
        data = self.files[url.rpartition("/")[2]]
        self.asked.append(url)
        yield FetchProgress(done=len(data) // 2, total=len(data))
        await asyncio.to_thread(target.write_bytes, data)
        fetched = Fetched(path=target, size=len(data), sha256=hashlib.sha256(data).hexdigest())
        yield FetchProgress(done=len(data), total=len(data), fetched=fetched)


def lock_file(path: Path, **pins: bytes) -> Path:
    """A lock that pins each of these at version 1.0."""
    lines = [f"{name}==1.0 --hash=sha256:{hashlib.sha256(data).hexdigest()}" for name, data in pins.items()]
    path.write_text("\n".join(lines) + "\n")
    return path
