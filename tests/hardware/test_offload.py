"""What of a brain goes to which device: as much as fits, from the last layer on, experts last, and always with the reason."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from omni.hardware import ComputeDevice, OffloadFacts, device_kind, offload, usable_devices

MARGIN, BUFFERS = 256 << 20, 128 << 20  # of a device's memory: what is left to others, and what computing takes

MB = 1 << 20
FIXED = MARGIN + BUFFERS


def card(room: int, name: str = "CUDA0") -> ComputeDevice:
    """A device with so many bytes for layers."""
    return ComputeDevice(name=name, description="NVIDIA", total=100 << 30, free=room + FIXED)


def facts(count: int = 4, **more: Any) -> OffloadFacts:
    return OffloadFacts(
        layer_bytes=(10 * MB,) * count,
        output_bytes=30 * MB,
        kv_bytes=4 * count * MB,
        **more,
    )


def test_what_fits_goes_there_whole() -> None:
    plan = offload(facts(), [card(86 * MB)])
    assert (plan.layers, plan.most, plan.split, plan.cpu_experts) == (5, 5, (5,), 0)
    assert plan.taken == (86 * MB + BUFFERS,)
    assert (plan.weights_bytes, plan.kv_bytes) == (40 * MB, 16 * MB)  # the table of texts stays in memory, too
    assert plan.why == "all 5 layers on CUDA0"


def test_a_byte_less_and_the_first_layer_stays() -> None:
    plan = offload(facts(), [card(86 * MB - 1)])
    assert (plan.layers, plan.split) == (4, (4,))
    assert plan.why == "4 of 5 layers on CUDA0: more does not fit into its memory"


def test_what_comes_after_the_layers_goes_first_and_else_nothing_does() -> None:
    assert offload(facts(), [card(30 * MB)]).layers == 1
    none = offload(facts(), [card(30 * MB - 1)])
    assert none.layers == 0
    assert "not one layer fits" in none.why


def test_experts_stay_before_a_layer_does_and_those_of_the_first_layers_first() -> None:
    mixture = facts(expert_bytes=(8 * MB,) * 4)
    plan = offload(mixture, [card(86 * MB - 9 * MB)])
    assert (plan.layers, plan.cpu_experts) == (5, 2)
    assert plan.taken == (70 * MB + BUFFERS,)
    assert "the experts of 2 on the processor" in plan.why
    small = offload(mixture, [card(46 * MB)])
    assert (small.layers, small.cpu_experts) == (3, 4)


def test_one_device_that_takes_all_is_better_than_two_and_two_share_what_one_cannot_take() -> None:
    alone = offload(facts(), [card(40 * MB, "CUDA0"), card(86 * MB, "CUDA1")])
    assert alone.split == (0, 5)
    both = offload(facts(), [card(30 * MB, "CUDA0"), card(58 * MB, "CUDA1")])
    assert both.split == (2, 3)
    assert both.taken == (28 * MB + BUFFERS, 58 * MB + BUFFERS)
    assert both.why == "all 5 layers on CUDA0, CUDA1"


def test_a_limit_that_was_found_out_holds() -> None:
    plan = offload(facts(), [card(1 << 40)], limit=2)
    assert plan.layers == 2
    assert plan.why.endswith("more did not load")
    assert offload(facts(), [card(1 << 40)], limit=0).layers == 0


def test_a_device_that_does_not_tell_its_memory_is_tried_with_all() -> None:
    assert offload(facts(), [ComputeDevice(name="X0")]).layers == 5
    assert offload(facts(), []).layers == 0
    assert offload(OffloadFacts(layer_bytes=()), [card(1 << 40)]).layers == 0


@given(
    st.lists(st.integers(1, 100), min_size=1, max_size=12),
    st.lists(st.integers(0, 400), min_size=1, max_size=4),
    st.integers(0, 100),
    st.booleans(),
)
def test_no_device_is_ever_given_more_than_it_has(
    layers: list[int], rooms: list[int], output: int, mixture: bool
) -> None:
    told = OffloadFacts(
        layer_bytes=tuple(size * MB for size in layers),
        expert_bytes=tuple(size * MB // 2 for size in layers) if mixture else (),
        output_bytes=output * MB,
        kv_bytes=len(layers) * MB,
    )
    plan = offload(told, [card(room * MB, f"D{at}") for at, room in enumerate(rooms)])
    assert sum(plan.split) == plan.layers <= plan.most
    for taken, room in zip(plan.taken, rooms, strict=False):
        assert taken <= room * MB + BUFFERS


def test_software_is_known_by_its_name_and_used_only_where_somebody_says_so() -> None:
    names = {
        "llvmpipe (LLVM 15.0.6, 256 bits)": "software",
        "SwiftShader Device (Subzero)": "software",
        "NVIDIA GeForce RTX 3060": "gpu",
        "AMD Radeon RX 7900 XTX (RADV NAVI31)": "gpu",
        "AMD Radeon Graphics (RADV PHOENIX)": "integrated",
        "Intel(R) UHD Graphics 770": "integrated",
        "Intel(R) Arc(tm) A770 Graphics": "gpu",
        "Apple M2 Pro": "integrated",
    }
    assert {name: device_kind(name) for name in names} == names
    software = ComputeDevice(name="Vulkan1", kind="software")
    built_in = ComputeDevice(name="Vulkan2", kind="integrated")
    own = ComputeDevice(name="Vulkan0", kind="gpu")
    assert usable_devices([software], "auto") == ()
    assert usable_devices([software], "on") == (software,)
    assert usable_devices([software, built_in, own], "on") == (own,)
    assert usable_devices([software, built_in], "auto") == (built_in,)
    assert usable_devices([own], "off") == ()
