"""Layers on a device, without a card: Mesa's software Vulkan driver is one, by a real llama-server. Two tokens a second."""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from benchmarks.equality import compare
from omni.app import Services
from omni.cartridges import Base, Brain, read_header
from omni.core.errors import OmniError
from omni.core.events import TextDelta
from omni.core.paths import Home
from omni.core.settings import parse
from omni.engine import Engine, Engines
from omni.engine.http import WorkerClient
from omni.hardware import ComputeDevice, GraphicsMemory, Vram, device_files, process_memory
from omni.keeper import KeeperClient, WorkerSpec
from omni.runtimes import Runtime, Runtimes, find_devices, rows
from tests.engine.engine_tools import asked, events_of, real_spec, text_of
from tests.engine.test_engines import machine
from tests.keeper_tools import kept
from tests.runtime_tools import added

pytestmark = [pytest.mark.real, pytest.mark.skipif(not os.path.exists("/proc/self/maps"), reason="reads /proc")]


@pytest.fixture
async def keeper(home: Home) -> AsyncIterator[KeeperClient]:
    async with kept(home) as client:
        yield client


@pytest.fixture
async def runtime(home: Home, server_program: Path) -> Runtime:
    return await added(home, server_program)


@pytest.fixture
def device(runtime: Runtime) -> ComputeDevice:
    """The software device; who asks for it is skipped where there is none, or a card stands before it."""
    devices = [one for one in find_devices(runtime, "on") if one.kind == "software"]
    if not devices:
        pytest.skip("needs a llama-server with Vulkan and Mesa's software driver (Debian: mesa-vulkan-drivers)")
    return devices[0]


def brain_of(gguf: Path) -> Brain:
    header, size = read_header(gguf), gguf.stat().st_size
    base = Base(id="sha256-small", path=str(gguf), parts=(str(gguf),), size=size, header=header, origin="blob")
    return Brain(name="@omni/small", state="ready", base=base, size=size)


async def client_of(keeper: KeeperClient, spec: WorkerSpec) -> tuple[Any, WorkerClient]:
    lease = await keeper.worker(spec)
    async for _ in lease.states():
        pass
    return lease, WorkerClient(lease.socket, lease.key)


def computes_on_software(pid: int) -> bool:
    """Whether Mesa's driver has threads of its own in what a worker has started: only a device that is opened has them."""
    [child] = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return any("llvmpipe" in each.read_text() for each in Path(f"/proc/{child}/task").glob("*/comm"))


def lose_device(workers: list[int]) -> None:
    """End what workers have started as a driver does that has lost its device."""
    for pid in workers:
        with suppress(OSError):
            for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
                os.kill(int(child), signal.SIGABRT)


async def answer_that_loses_its_device(engine: Engine, keeper: KeeperClient) -> None:
    async with aclosing(engine.chat(asked("Tell me more.", max_tokens=100))) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                lose_device([one.pid for one in await keeper.processes() if one.kind == "worker"])


async def gate(keeper: KeeperClient, runtime: Runtime, gguf: Path, placed: dict[str, int | str], *, tokens: int) -> int:
    """How many tokens fail the gate of equality against the processor."""
    plain = real_spec(gguf, slots=1, context=512, cells=512)
    other = msgspec.structs.replace(plain, engine=runtime.name, settings=plain.settings | placed | {"llguidance": 0})
    one, reference = await client_of(keeper, plain)
    two, on_device = await client_of(keeper, other)
    failed = await compare(reference, on_device, ["What is the sea?"], tokens)
    [worker] = [each for each in await keeper.processes() if each.engine == runtime.name]
    assert computes_on_software(worker.pid) == bool(placed)
    assert worker.placed == placed.get("placed", "")
    del one, two
    return failed


@pytest.mark.parametrize(
    "layers", [0, pytest.param(1, marks=pytest.mark.long), pytest.param(2, marks=pytest.mark.long), 3]
)
async def test_some_and_all_layers_on_a_device_say_what_the_processor_says(
    keeper: KeeperClient, runtime: Runtime, device: ComputeDevice, small_gguf: Path, layers: int
) -> None:
    placed: dict[str, int | str] = {}
    if layers:
        words = f"{layers} layers on {device.name}"
        placed = {
            "gpu_layers": layers,
            "devices": device.name,
            "tensor_split": str(layers),
            "software": 1,
            "placed": words,
        }
    assert await gate(keeper, runtime, small_gguf, placed, tokens=16) == 0


@pytest.mark.long  # the software computes one token a second
async def test_a_real_brain_on_a_device_says_what_the_processor_says(
    keeper: KeeperClient, runtime: Runtime, device: ComputeDevice, starter_gguf: Path
) -> None:
    placed: dict[str, int | str] = {
        "gpu_layers": 31, "devices": device.name, "tensor_split": "31", "software": 1, "placed": "all",
    }  # fmt: skip
    assert await gate(keeper, runtime, starter_gguf, placed, tokens=4) == 0


@pytest.mark.long  # a trial on software takes most of a minute; doubles of devices are quicker (`test_losses.py`)
async def test_auto_leaves_software_alone_on_takes_it_and_its_loss_in_mid_answer_ends_with_the_processor_for_a_while(
    home: Home, keeper: KeeperClient, runtime: Runtime, device: ComputeDevice, small_gguf: Path
) -> None:
    """The loss is simulated: the program is ended by the signal by which drivers end one."""
    heard: list[str] = []
    settings = '[engine]\ncontext = 512\nslots = 1\ngpu = "on"\n'
    made = Engines(home, keeper, parse(settings), machine(16), said=heard.append)
    brain = brain_of(small_gguf)
    trial = await made.try_runtime(runtime, brain)
    assert trial.speeds is not None
    assert (trial.layers, trial.devices) == (3, (device,))
    listed = rows(Runtimes(home), "auto", made.machine, "on")[1]
    assert device.words in listed.features
    assert [(one.trial.layers, one.used) for one in listed.tried] == [(0, False), (3, True)]
    auto = Engines(home, keeper, parse(settings.replace('"on"', '"auto"')), machine(16))
    assert not auto.choice(brain).devices
    assert "gpu_layers" not in auto.spec(brain).settings

    spec = made.spec(brain)
    assert spec.settings["placed"] == f"3 layers on {device.name}"
    assert spec.need_bytes > auto.spec(brain).need_bytes  # software's memory is the machine's
    engine = await made.open(brain)
    assert text_of(await events_of(engine, asked("Hi", max_tokens=4)))
    [worker] = [one for one in await keeper.processes() if one.kind == "worker"]
    assert 0 < process_memory([worker.pid])[worker.pid] < spec.need_bytes
    assert device_files(worker.pid) == []  # software needs none
    memory = await Services(home, starter=None, client="tests").graphics([worker])
    assert memory == GraphicsMemory(cards=(Vram(name=device.description, shared=True),))
    assert memory.words == "VRAM is RAM"

    with pytest.raises(OmniError, match="ended"):
        await answer_that_loses_its_device(engine, keeper)
    assert text_of(await events_of(engine, asked("Hi", max_tokens=4)))
    await made.open(brain)  # which is where the settings' own wish is weighed again
    lost = f"{runtime.name} ended while @omni/small answered with 3 layers on {device.name}; its device rests until "
    assert len(heard) == 1  # the settings' wish has the same reason, which is told once
    assert heard[0].startswith(lost)
    assert heard[0].endswith(" on the processor answers")
    assert "gpu_layers" not in made.spec(brain).settings
    [row] = [one for one in rows(Runtimes(home), "auto", made.machine, "on")[1].tried if one.trial.layers]
    assert (row.rests, row.used) == (True, False)
    assert row.words in heard[0]
    await made.close()
