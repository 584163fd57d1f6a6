"""Building an engine: fetched and pinned, compiled without a network, resumable, cancellable, there by one rename.

The archive is a double of three C++ files; compiler, cmake and ninja are real. `test_building_long.py` builds the real one.
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing
from pathlib import Path

import pytest

from omni.core.clock import SystemClock
from omni.core.errors import BadFile, NotFound, SetupError, StorageError, UsageError
from omni.core.files import require_space, sync_all
from omni.core.paths import Home
from omni.jobs import Jobs
from omni.runtimes import Build, BuildDone, BuildEvent, BuildProgress, BuildStarted, ToolFailed, begin_build, building
from omni.runtimes.toolchain import Toolchain
from tests.runtimes.build_tools import RECIPE, SOURCES, TinyIndex, archive, lock_file, wheel

pytestmark = pytest.mark.skipif(
    not (shutil.which("c++") and shutil.which("cmake") and shutil.which("ninja")),
    reason="no C++ compiler, cmake or ninja here",
)
ARCHIVE = archive()


@pytest.fixture
def index() -> TinyIndex:
    return TinyIndex({"tiny-1.0.tar.gz": ARCHIVE})


Make = Callable[..., Build]


@pytest.fixture
def build(home: Home, index: TinyIndex, tmp_path: Path) -> Make:
    def make(data: bytes = ARCHIVE, **more: object) -> Build:
        lock = lock_file(tmp_path / "engines.txt", tiny=data, cmake=b"", ninja=b"")
        return Build(home, index, recipe=RECIPE, lock=lock, cores=1, **more)  # type: ignore[arg-type] # what is given varies with the test

    return make


async def everything(build: Build) -> list[BuildEvent]:
    async with aclosing(build.run()) as events:
        return [event async for event in events]


def answer_of(program: Path) -> str:
    return subprocess.run([program], capture_output=True, text=True).stdout


async def test_an_engine_is_whole_says_what_it_is_and_runs(home: Home, build: Make) -> None:
    events = await everything(build())
    folder = home.engines / "built"
    assert isinstance(events[0], BuildStarted)
    assert isinstance(events[-1], BuildDone)
    said = json.loads((folder / "engine.json").read_bytes())
    assert (said["name"], said["kind"], said["version"]) == ("built", "llama_server", "1.0")
    assert answer_of(folder / said["binary"]) == "3\n"
    assert (folder / said["tools"]["quantize"]).is_file()


async def test_progress_counts_the_files_that_are_compiled(build: Make) -> None:
    events = await everything(build())
    compiled = [event for event in events if isinstance(event, BuildProgress) and event.phase == "compile"]
    assert [event.done for event in compiled] == sorted(event.done for event in compiled)
    assert compiled[-1].done == compiled[-1].total > 3


async def test_nothing_of_the_work_is_left_when_it_is_done(home: Home, build: Make) -> None:
    await everything(build())
    assert [path.name for path in home.engine_builds.iterdir()] == ["lock"]
    assert [path.name for path in home.engines.iterdir()] == ["built"]


async def test_a_build_that_was_closed_goes_on_where_it_stopped(home: Home, build: Make, index: TinyIndex) -> None:
    async with aclosing(build().run()) as events:
        async for event in events:
            if isinstance(event, BuildProgress) and event.phase == "compile" and event.done == 4:
                break
    assert not (home.engines / "built").exists()
    asked = list(index.asked)
    events_then = await everything(build())
    assert isinstance(events_then[0], BuildStarted)
    assert (events_then[0].resumed, events_then[0].download) == (True, 0)
    compiled = [event for event in events_then if isinstance(event, BuildProgress) and event.phase == "compile"]
    assert compiled[-1].total < 8  # three files and a program, twice, is all of it
    assert index.asked == asked
    assert (home.engines / "built" / "bin" / "server").is_file()


async def test_a_build_that_was_killed_leaves_no_compiler_and_goes_on(home: Home, build: Make, tmp_path: Path) -> None:
    slow = archive(SOURCES | {"b.cpp": "#include <fifo.h>\nint b() { return 2; }\n"})
    index = TinyIndex({"tiny-1.0.tar.gz": slow})
    lock = lock_file(tmp_path / "slow.txt", tiny=slow, cmake=b"", ninja=b"")
    os.mkfifo(tmp_path / "fifo.h")  # the compiler waits until somebody writes to it
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parents[2])!r})\n"
        "import asyncio, pathlib\n"
        "from omni.core.paths import Home\n"
        "from omni.runtimes import Build\n"
        "from tests.runtimes.build_tools import RECIPE, TinyIndex\n"
        "async def work():\n"
        f"    index = TinyIndex({{'tiny-1.0.tar.gz': pathlib.Path({str(tmp_path / 'slow.tar.gz')!r}).read_bytes()}})\n"
        f"    build = Build(Home({str(home.root)!r}), index, recipe=RECIPE, lock=pathlib.Path({str(lock)!r}), cores=1)\n"
        "    async for event in build.run(): print(event, flush=True)\n"
        "asyncio.run(work())\n"
    )
    (tmp_path / "slow.tar.gz").write_bytes(slow)
    environment = dict(os.environ) | {"CPATH": str(tmp_path)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, env=environment, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    opened = asyncio.create_task(asyncio.to_thread(os.open, tmp_path / "fifo.h", os.O_WRONLY))
    while b"compile" not in await process.stdout.readline():
        pass
    held = await opened  # the compiler is reading now
    process.kill()
    await process.wait()
    await asyncio.to_thread(_until_nobody_reads, held)
    os.close(held)
    (tmp_path / "fifo.h").unlink()
    (tmp_path / "fifo.h").write_text("")
    again = Build(home, index, recipe=RECIPE, lock=lock, cores=1, environment=environment)
    assert isinstance((await everything(again))[-1], BuildDone)
    assert answer_of(home.engines / "built/bin/server") == "3\n"


def _until_nobody_reads(descriptor: int) -> None:
    """The kernel ends the wait: a pipe that nobody reads any more refuses what is written."""
    try:
        while True:
            os.write(descriptor, b"\n" * 4096)
    except BrokenPipeError:
        return


async def test_what_is_unpacked_is_on_the_disk_before_it_has_its_name(
    home: Home, build: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[str, bool]] = []

    def watched(folder: Path) -> None:
        synced.append((folder.name, (folder / "a.cpp").is_file() and not (home.engine_builds / "source-1.0").exists()))
        sync_all(folder)

    monkeypatch.setattr(building, "sync_all", watched)
    await everything(build())
    assert (".source-1.0", True) in synced


async def test_what_no_build_of_today_goes_on_with_is_gone_when_one_starts(home: Home, build: Make) -> None:
    root = home.engine_builds
    kept = ["lock", "mlx-parts", "source-1.0", "tiny-1.0.tar.gz", "tree-vulkan-1.0"]
    for name in (*kept, ".source-1.0", "source-0.9", "tree-cpu-0.9", "cmake-0.1", "tiny-0.9.tar.gz"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch() if name == "lock" or name.endswith(".gz") else path.mkdir()
    async with aclosing(build().run()) as events:
        assert isinstance(await anext(events), BuildStarted)
        assert sorted(path.name for path in root.iterdir()) == kept


async def test_two_builds_at_once_are_refused(build: Make) -> None:
    async with aclosing(build().run()) as events:
        await anext(events)
        with pytest.raises(UsageError, match="Another build"):
            await everything(build(name="other"))


async def test_what_does_not_compile_is_said_with_its_line_and_the_log(build: Make, index: TinyIndex) -> None:
    broken = archive(SOURCES | {"a.cpp": "int a() { return nonsense; }\n"})
    index.files["tiny-1.0.tar.gz"] = broken
    job = build(broken)
    with pytest.raises(ToolFailed, match=r"nonsense.* was not declared|undeclared") as raised:
        await everything(job)
    assert str(job.log) in raised.value.hint
    assert "nonsense" in job.log.read_text()


async def test_another_archive_than_the_pinned_one_is_refused(build: Make, index: TinyIndex) -> None:
    index.files["tiny-1.0.tar.gz"] = archive(SOURCES | {"a.cpp": "int a() { return 9; }\n"})
    with pytest.raises(BadFile, match="wrong sha256"):
        await everything(build())


async def test_an_archive_that_an_index_does_not_have_is_named(build: Make, index: TinyIndex) -> None:
    index.files.clear()
    with pytest.raises(NotFound, match="tiny"):
        await everything(build())


async def test_the_source_cannot_write_outside_of_its_folder_nor_reach_the_network(
    build: Make, index: TinyIndex, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    command = f"echo no > {out}; python3 -c 'import socket; socket.socket()'; echo ended with $?"
    hostile = archive(
        SOURCES
        | {
            "CMakeLists.txt": f'execute_process(COMMAND sh -c "{command}" OUTPUT_VARIABLE said)\n'
            'message(STATUS "it ${said}")\n' + SOURCES["CMakeLists.txt"]
        }
    )
    index.files["tiny-1.0.tar.gz"] = hostile
    job = build(hostile)
    await everything(job)
    assert not out.exists()
    said = job.log.read_text()
    assert "Permission denied" in said
    assert "ended with 1" in said


async def test_a_name_that_is_taken_or_none_is_refused_before_anything_is_fetched(
    home: Home, build: Make, index: TinyIndex
) -> None:
    await everything(build())
    index.asked.clear()
    for job in (build(), build(name="../x"), build(name="auto")):
        with pytest.raises(UsageError):
            await everything(job)
    assert index.asked == []


async def test_cmake_and_ninja_come_from_the_index_where_the_machine_has_none(
    home: Home, index: TinyIndex, tmp_path: Path
) -> None:
    tools = {
        tool: wheel(tool, f'#!/bin/sh\necho {tool} of a wheel >&2\nexec {shutil.which(tool)} "$@"\n')
        for tool in ("cmake", "ninja")
    }
    index.files |= {f"{tool}-1.0-py3-none-any.whl": data for tool, data in tools.items()}
    lock = lock_file(tmp_path / "engines.txt", tiny=ARCHIVE, **tools)
    (tmp_path / "c++").symlink_to(str(shutil.which("c++")))
    toolchain = Toolchain({"PATH": str(tmp_path)})
    build = Build(home, index, recipe=RECIPE, lock=lock, cores=1, toolchain=toolchain)
    events = await everything(build)
    assert [project for project in index.asked if "/" not in project] == ["tiny", "cmake", "ninja"]
    assert isinstance(events[-1], BuildDone)
    assert {"cmake of a wheel", "ninja of a wheel"} <= set(build.log.read_text().splitlines())


async def test_a_missing_compiler_is_one_sentence_with_the_command_that_helps(build: Make, tmp_path: Path) -> None:
    (tmp_path / "apt").write_text("")
    (tmp_path / "apt").chmod(0o700)
    with pytest.raises(SetupError, match=r"C\+\+ compiler is needed") as raised:
        await everything(build(toolchain=Toolchain({"PATH": str(tmp_path)})))
    assert raised.value.hint == "sudo apt install g++"


@pytest.mark.parametrize(
    ("backend", "there", "hint"),
    [
        ("cuda", ["c++", "apt"], "sudo apt install nvidia-cuda-toolkit"),
        ("vulkan", ["c++", "apt"], "sudo apt install glslc"),
        ("vulkan", ["c++", "apt", "glslc"], "sudo apt install libvulkan-dev"),
    ],
)
def test_what_a_card_needs_is_named(backend: str, there: list[str], hint: str, tmp_path: Path) -> None:
    for name in there:
        (tmp_path / name).write_text("")
        (tmp_path / name).chmod(0o700)
    toolchain = Toolchain({"PATH": str(tmp_path)}, includes=(str(tmp_path),), cuda=tmp_path)
    with pytest.raises(SetupError) as raised:
        toolchain.require(backend)  # type: ignore[arg-type] # of the parameters above
    assert raised.value.hint == hint


def test_vulkans_headers_that_are_too_old_are_named_before_anything_is_compiled(tmp_path: Path) -> None:
    for name in ("c++", "glslc"):
        (tmp_path / name).write_text("")
        (tmp_path / name).chmod(0o700)

    def kit(name: str, text: str) -> str:
        for header, words in (("vulkan/vulkan_core.h", text), ("spirv/unified1/spirv.hpp", "")):
            path = tmp_path / name / "include" / header
            path.parent.mkdir(parents=True)
            path.write_text(words)
        return str(tmp_path / name)

    old = kit("old", "#define VK_HEADER_VERSION 239\n")
    new = kit("new", "#define VK_HEADER_VERSION 309\n#define VK_EXT_layer_settings 1\n")
    with pytest.raises(
        SetupError, match=r"too old .*they lack VK_EXT_layer_settings \(VK_HEADER_VERSION is 239\)"
    ) as raised:
        Toolchain({"PATH": str(tmp_path)}, includes=(f"{old}/include",)).require("vulkan")
    assert "VULKAN_SDK" in raised.value.hint
    Toolchain({"PATH": str(tmp_path), "VULKAN_SDK": new}, includes=(f"{old}/include",)).require("vulkan")


async def test_a_full_disk_is_seen_before_anything_is_fetched(
    build: Make, index: TinyIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = require_space
    monkeypatch.setattr("omni.runtimes.building.require_space", lambda folder, need: real(folder, 1 << 62))
    with pytest.raises(StorageError):
        await everything(build())
    assert index.asked == []


@pytest.fixture
async def jobs(home: Home) -> AsyncIterator[Jobs]:
    owner = Jobs(home, None, SystemClock())
    yield owner
    await owner.close()


async def test_as_a_job_it_is_listed_and_stopped(home: Home, build: Make, jobs: Jobs) -> None:
    job = begin_build(jobs, build())
    async with aclosing(job.events()) as events:
        async for event in events:
            if isinstance(event, BuildProgress) and event.phase == "compile":
                break
    assert [each.kind for each in jobs.running] == ["build"]
    await job.stop()
    assert job.state == "stopped"
    assert not (home.engines / "built").exists()


def test_the_lock_pins_what_the_recipe_needs() -> None:
    from omni.core.paths import resources
    from omni.environment import read_lock
    from omni.runtimes.building import LLAMA_SERVER, LOCK

    pins: Mapping[str, object] = {pin.name: pin for pin in read_lock(resources("requirements") / LOCK)}
    assert set(pins) == {LLAMA_SERVER.project, "cmake", "ninja"}
