"""Memory of graphics processors: who tells what, each believed for what it knows, and nothing made up."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from omni.hardware import ComputeDevice, GraphicsMemory, Probes, Vram, graphics_memory
from tests.hardware.machines import RecordedProbes

GEFORCE = ComputeDevice(name="CUDA0", description="NVIDIA GeForce RTX 4090", total=24 << 30, free=20 << 30)
RADEON = ComputeDevice(name="Vulkan0", description="AMD Radeon RX 7900 XTX (RADV NAVI31)", total=24 << 30)
ARC = ComputeDevice(name="Vulkan0", description="Intel(R) Arc(tm) A770 Graphics (DG2)", total=16 << 30)
SOFTWARE = ComputeDevice(name="Vulkan0", description="llvmpipe (LLVM 15.0.6, 256 bits)", kind="software", total=1 << 30)

CARD = "/sys/bus/pci/devices/0000:03:00.0"
AMD_FILES = {f"{CARD}/mem_info_vram_used": f"{5 << 30}\n", f"{CARD}/mem_info_vram_total": f"{24 << 30}\n"}


def line(region: str, *sizes: str, client: int = 7) -> str:
    return f"pos:\t0\ndrm-driver:\tx\ndrm-pdev:\t0000:03:00.0\ndrm-client-id:\t{client}\n" + "".join(
        f"drm-{kind}-{region}:\t{size}\n" for kind, size in (each.split("=") for each in sizes)
    )


def machine(nvidia: list[Vram], held: dict[int, int] | None = None) -> RecordedProbes:
    return RecordedProbes(system=("Linux", "x86_64"), nvidia=nvidia, nvidia_processes=held)


def with_files(files: dict[str, str], nvidia: list[Vram] | None = None) -> RecordedProbes:
    return RecordedProbes(system=("Linux", "x86_64"), files=files, nvidia=nvidia)


def test_nvidias_driver_tells_all_of_it_and_what_a_worker_and_its_program_hold() -> None:
    card = Vram(name="NVIDIA GeForce RTX 4090", used=6 << 30, total=24 << 30)
    memory = graphics_memory(
        machine([card], {11: 2 << 30, 12: 3 << 30, 99: 1 << 30}), [GEFORCE], {10: [10, 11], 12: [12], 13: [13]}
    )
    assert memory.cards == (card,)
    assert memory.taken == {10: 2 << 30, 12: 3 << 30}
    assert memory.words == "VRAM 6.4 of 25.8 GB"


def test_amds_stands_in_sysfs_and_what_a_worker_holds_in_its_open_files_each_line_counted_once() -> None:
    files = AMD_FILES | {
        "/proc/10/fdinfo/1": "pos:\t0\n",
        "/proc/10/fdinfo/5": line("vram", "memory=1048576 KiB") + "drm-memory-gtt:\t9999999 KiB\n",
        "/proc/10/fdinfo/6": line("vram", "memory=1048576 KiB"),
        "/proc/11/fdinfo/5": line("vram", "memory=512 MiB", client=8),
        "/proc/12/fdinfo/0": "pos:\t0\n",
    }
    memory = graphics_memory(with_files(files), [RADEON], {10: [10, 11], 12: [12]})
    assert memory.cards == (Vram(name="AMD graphics", used=5 << 30, total=24 << 30, address="0000:03:00.0"),)
    assert memory.taken == {10: (1 << 30) + (512 << 20)}


def test_of_intels_the_engine_says_how_much_there_is_and_nobody_how_much_is_taken() -> None:
    files = {
        "/proc/10/fdinfo/5": line("local0", "total=4 GiB", "resident=3145728 KiB") + "drm-resident-system0:\t77 KiB\n",
    }
    memory = graphics_memory(with_files(files), [ARC], {10: [10]})
    assert memory.cards == (Vram(name=ARC.description, used=None, total=16 << 30),)
    assert memory.taken == {10: 3 << 30}  # what is resident, not what was asked for
    assert memory.words == "VRAM 3.2 GB taken"
    silent = graphics_memory(with_files({}), [ARC], {10: [10]})
    assert (silent.taken, silent.words) == ({}, "VRAM 17.2 GB in all")


def test_what_shares_the_machines_memory_is_said_as_such_and_read_nowhere() -> None:
    class Silent(Probes):
        def nvidia(self) -> Any:
            return None

        def nvidia_processes(self) -> Any:
            raise AssertionError("nobody asks")

    memory = graphics_memory(Silent(), [SOFTWARE], {os.getpid(): [os.getpid()]})
    assert memory.cards == (Vram(name=SOFTWARE.description, shared=True),)
    assert (memory.taken, memory.words) == ({}, "VRAM is RAM")
    assert memory.cards[0].words == "the machine's own memory"


def test_a_card_that_no_brain_uses_is_left_out() -> None:
    card = Vram(name="NVIDIA GeForce RTX 4090", used=6 << 30, total=24 << 30)
    memory = graphics_memory(with_files(AMD_FILES, [card]), [RADEON], {})
    assert [one.name for one in memory.cards] == ["AMD graphics"]
    assert GraphicsMemory().words == ""


def test_several_cards_are_one_where_there_is_room_for_one() -> None:
    cards = [Vram(name=f"NVIDIA T{number}", used=number << 30, total=8 << 30) for number in (1, 2)]
    devices = [ComputeDevice(name=f"CUDA{number}", description=f"NVIDIA T{number + 1}") for number in (0, 1)]
    memory = graphics_memory(machine(cards), devices, {})
    assert memory.together == Vram(name="2 cards", used=3 << 30, total=16 << 30)


BIG = Vram(name="NVIDIA A100", used=30 << 30, total=80 << 30, address="0000:01:00.0")
SMALL = Vram(name="NVIDIA T400", used=1 << 30, total=4 << 30, address="0000:02:00.0")


def test_a_card_of_the_same_maker_that_no_brain_uses_is_left_out() -> None:
    device = ComputeDevice(name="CUDA1", description="NVIDIA T400", total=4 << 30)
    assert graphics_memory(machine([BIG, SMALL]), [device], {}).cards == (SMALL,)
    files = AMD_FILES | {
        "/sys/bus/pci/devices/0000:05:00.0/mem_info_vram_used": "7\n",
        "/sys/bus/pci/devices/0000:05:00.0/mem_info_vram_total": f"{512 << 20}\n",  # that of the processor
    }
    [card] = graphics_memory(with_files(files), [RADEON], {}).cards
    assert (card.used, card.total) == (5 << 30, 24 << 30)


@pytest.mark.parametrize("told", ["00000000:02:00.0", "0000:02:00.0", "0:02:00.0"])
def test_of_two_alike_the_one_is_counted_that_the_engine_names_by_its_place(told: str) -> None:
    twins = [msgspec.structs.replace(BIG, used=number << 30, address=f"0000:0{number}:00.0") for number in (1, 2, 3)]
    device = ComputeDevice(name="CUDA0", description=BIG.name, total=BIG.total or 0, card=told)
    assert graphics_memory(machine(twins), [device], {}).cards == (twins[1],)
    by_another = ComputeDevice(name="Vulkan7", description=BIG.name, total=BIG.total or 0, card=told)
    assert graphics_memory(machine(twins), [device, by_another], {}).cards == (twins[1],)


def test_of_two_alike_that_nobody_can_tell_apart_no_figure_is_made_up() -> None:
    twins = [msgspec.structs.replace(BIG, used=number << 30, address=f"0000:0{number}:00.0") for number in (1, 2)]
    one, other = (ComputeDevice(name=f"CUDA{number}", description=BIG.name, total=BIG.total or 0) for number in (0, 1))
    [card] = graphics_memory(machine(twins), [one], {}).cards
    assert (card.used, card.total) == (None, BIG.total)
    again = msgspec.structs.replace(one, free=7)  # as another engine saw it, at another time
    [card] = graphics_memory(machine(twins), [one, again], {}).cards
    assert card.used is None
    three = [*twins, msgspec.structs.replace(BIG, address="0000:07:00.0")]
    assert [card.used for card in graphics_memory(machine(three), [one, other], {}).cards] == [None, None]
    assert graphics_memory(machine(twins), [one, other], {}).cards == tuple(
        twins
    )  # where both are used nothing is unclear


class NvmlDouble(SimpleNamespace):
    """NVIDIA's library with one card, as far as it is asked."""

    class NVMLError(Exception):
        pass

    def __init__(self, *, size: Any = None, computing: Any = (), drawing: Any = ()) -> None:
        super().__init__(size=size, computing=computing, drawing=drawing, open=0)

    def nvmlInit(self) -> None:
        self.open += 1

    def nvmlShutdown(self) -> None:
        self.open -= 1

    def nvmlDeviceGetCount(self) -> int:
        return 1

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetName(self, _card: int) -> bytes:
        return b"NVIDIA GB10"

    def nvmlDeviceGetPciInfo(self, _card: int) -> Any:
        return SimpleNamespace(busId=b"00000009:01:00.0")

    def nvmlDeviceGetMemoryInfo(self, _card: int) -> Any:
        if self.size is None:
            raise self.NVMLError
        return self.size

    def nvmlDeviceGetComputeRunningProcesses(self, _card: int) -> Any:
        return self.computing

    def nvmlDeviceGetGraphicsRunningProcesses(self, _card: int) -> Any:
        if self.drawing is None:
            raise self.NVMLError
        return self.drawing


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> Iterator[NvmlDouble]:
    double = NvmlDouble()
    monkeypatch.setitem(sys.modules, "pynvml", double)
    yield double
    assert double.open == 0


def test_a_process_that_computes_and_draws_counts_once_and_one_that_the_driver_hides_not_at_all(
    nvml: NvmlDouble,
) -> None:
    nvml.computing = [SimpleNamespace(pid=1, usedGpuMemory=100), SimpleNamespace(pid=2, usedGpuMemory=None)]
    nvml.drawing = [SimpleNamespace(pid=1, usedGpuMemory=100), SimpleNamespace(pid=3, usedGpuMemory=5)]
    assert Probes().nvidia_processes() == {1: 100, 3: 5}
    nvml.drawing = None
    assert Probes().nvidia_processes() == {1: 100}


def test_a_card_that_shares_the_machines_memory_is_listed_without_a_figure(nvml: NvmlDouble) -> None:
    assert Probes().nvidia() == [Vram(name="NVIDIA GB10", address="0009:01:00.0")]
    nvml.size = SimpleNamespace(used=1, total=2)
    assert Probes().nvidia() == [Vram(name="NVIDIA GB10", used=1, total=2, address="0009:01:00.0")]


@pytest.mark.skipif(not Path("/proc/self/fdinfo").exists(), reason="reads /proc")
def test_this_process_holds_no_card() -> None:
    assert graphics_memory(Probes(), [ARC], {os.getpid(): [os.getpid()]}).taken == {}
