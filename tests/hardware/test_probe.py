"""The machine is told as it is, and inside a box the box's limits are what counts."""

import pytest

from omni.core.paths import Home
from omni.hardware import Probes, available_memory, probe
from tests.hardware import machines


def test_a_laptop_with_a_card_that_is_not_used(home: Home) -> None:
    profile = probe(home, machines.laptop())
    assert (profile.cpu.name, profile.cpu.cores, profile.cpu.threads, profile.cpu.usable) == (
        "Intel Core i7-11800H",
        8,
        16,
        16,
    )
    assert profile.cpu.features == ("AVX2", "AVX-512", "VNNI")
    assert profile.memory.limit is None
    assert [(gpu.kind, gpu.memory, gpu.used) for gpu in profile.gpus] == [("nvidia", 6 << 30, False)]
    assert "not tried on a card by us" in profile.gpus[0].note


def test_a_card_whose_driver_is_silent_is_still_said(home: Home) -> None:
    (gpu,) = probe(home, machines.laptop(nvidia=None)).gpus
    assert "driver does not answer" in gpu.note


def test_an_amd_card_tells_its_memory(home: Home) -> None:
    folder = "/sys/bus/pci/devices/0000:03:00.0"
    files = {f"{folder}/vendor": "0x1002", f"{folder}/class": "0x030000", f"{folder}/mem_info_vram_total": str(8 << 30)}
    gpus = probe(home, machines.laptop(files=files, nvidia=[])).gpus
    assert [(gpu.kind, gpu.memory) for gpu in gpus] == [("amd", 8 << 30)]


def test_a_container_has_what_its_control_group_allows(home: Home) -> None:
    profile = probe(home, machines.docker())
    assert profile.container == "docker"
    assert profile.memory.limit == profile.memory.usable == 2 << 30
    assert profile.memory.available == (2 << 30) - (512 << 20), "page cache that can be dropped counts as free"
    assert profile.cpu.usable == 1
    assert profile.cpu.limited_by == "a control group"


def test_no_limit_is_no_limit(home: Home) -> None:
    profile = probe(home, machines.docker(limit="max\n", cpu="max 100000\n"))
    assert profile.memory.limit is None
    assert profile.cpu.usable == 64


def test_a_parent_group_of_version_1_binds_too(home: Home) -> None:
    profile = probe(home, machines.kubernetes_v1())
    assert profile.container == "kubernetes"
    assert profile.memory.limit == 4 << 30
    assert profile.memory.available == (4 << 30) - 1_000_000_000
    assert profile.cpu.usable == 2


def test_of_groups_in_groups_the_one_with_the_least_left_counts(home: Home) -> None:
    profile = probe(home, machines.groups_in_groups())
    assert profile.memory.limit == 4 << 30
    assert profile.memory.available == available_memory(machines.groups_in_groups()) == 1 << 30


def test_apple_silicon_shares_its_memory_with_metal(home: Home) -> None:
    profile = probe(home, machines.apple())
    assert profile.cpu.name == "Apple M3"
    assert profile.cpu.features == ("NEON", "DOTPROD")
    assert profile.memory.total == 24 << 30
    assert profile.memory.available == 400_000 * 16384
    assert profile.gpus[0].kind == "metal"


def test_an_arm_board_is_named_by_its_device_tree(home: Home) -> None:
    profile = probe(home, machines.raspberry())
    assert profile.cpu.name == "Raspberry Pi 5 Model B Rev 1.0"
    assert profile.cpu.cores == profile.cpu.usable == 4
    assert profile.cpu.features == ("NEON", "DOTPROD")


def test_affinity_counts(home: Home) -> None:
    files = {"/proc/cpuinfo": machines.processors(8, name="x", flags="")}
    profile = probe(home, machines.RecordedProbes(system=("Linux", "x86_64"), files=files, affinity=3))
    assert (profile.cpu.threads, profile.cpu.usable) == (8, 3)


@pytest.mark.parametrize("text", ["", "garbage", "processor", "MemTotal: many kB", ":::::"])
def test_files_that_make_no_sense_are_survived(home: Home, text: str) -> None:
    files = dict.fromkeys(
        ["/proc/cpuinfo", "/proc/self/cgroup", "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/cpu.max"], text
    )
    assert probe(home, machines.RecordedProbes(system=("Linux", "x86_64"), files=files)).cpu.usable >= 1


def test_this_machine(home: Home) -> None:
    profile = probe(home)
    assert profile.cpu.threads >= profile.cpu.usable >= 1
    assert 0 < profile.memory.available <= profile.memory.usable
    assert profile.disk.free > 0
    assert 0 < available_memory(Probes()) <= profile.memory.total
