"""What fits is said with its reason, and a measured speed replaces the estimate."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from omni.core.paths import Home
from omni.core.settings import Settings, parse
from omni.hardware import BaseFacts, Budget, Notes, kv_bytes, measure_bandwidth, memory_class, profile, remember_speed

SMOL = BaseFacts(id="smol", weights_bytes=98_362_432, layers=30, kv_heads=3, head_dim=64, context_max=8192)
LARGE = BaseFacts(id="large", weights_bytes=40 << 30, layers=80, kv_heads=8, head_dim=128, context_max=131_072)
GB = 10**9


def budget(memory: float, **fields: object) -> Budget:
    return msgspec.structs.replace(
        Budget(memory=int(memory * GB), free=int(memory * GB), context=16384, bandwidth=36e9), **fields
    )


def test_a_small_brain_gets_its_whole_context() -> None:
    fit = budget(16).fit(SMOL)
    assert (fit.fits, fit.context, fit.measured) == (True, 8192, False)
    assert fit.memory > SMOL.weights_bytes + kv_bytes(SMOL, 8192)
    assert fit.speed == pytest.approx(1 / (98_362_432 / 36e9 + 0.004))


def test_context_shrinks_before_a_brain_is_refused() -> None:
    middle = BaseFacts(weights_bytes=4 * GB, layers=32, kv_heads=32, head_dim=128, context_max=32_768)
    fit = budget(7).fit(middle)
    assert fit.fits
    assert fit.context == 4096
    assert "more context does not fit" in fit.why


def test_what_cannot_fit_says_what_it_needs() -> None:
    fit = budget(16).fit(LARGE)
    assert not fit.fits
    assert "needs 43.8 GB" in fit.why
    assert "16.0 GB" in fit.why


def test_what_fits_but_not_now_says_so() -> None:
    fit = budget(16, free=50_000_000).fit(SMOL)
    assert fit.fits
    assert "only 50 MB are free now" in fit.why


def test_the_first_answer_replaces_the_estimate(home: Home) -> None:
    remember_speed(home, "smol", 131.0, 400.0)
    remember_speed(home, "smol", 160.0)
    remember_speed(home, "other", 0.0)
    notes = Notes.load(home)
    assert notes.speeds.keys() == {"smol"}
    assert (notes.speeds["smol"].answer, notes.speeds["smol"].prompt) == (160.0, 400.0)
    assert budget(16, notes=notes).speed(SMOL) == (160.0, True)


def test_a_speed_that_is_known_is_not_written_with_every_answer(home: Home) -> None:
    remember_speed(home, "smol", 131.0, 400.0)
    home.hardware.chmod(0o400)  # what is written anew has its own mode
    for near in (140.0, 120.0):
        remember_speed(home, "smol", near)
        remember_speed(home, "smol", near, 390.0)
    assert home.hardware.stat().st_mode & 0o777 == 0o400
    remember_speed(home, "smol", 131.0, 800.0)
    assert Notes.load(home).speeds["smol"].prompt == 800.0


def test_a_file_of_notes_that_was_torn_is_as_good_as_none(home: Home) -> None:
    home.hardware.write_text('{"bandwidth": 1')
    assert Notes.load(home) == Notes()


def test_unknown_bandwidth_gives_no_number() -> None:
    assert budget(16, bandwidth=None).fit(SMOL).speed is None


def test_a_mixture_of_experts_reads_only_what_is_active() -> None:
    dense = BaseFacts(weights_bytes=18 * GB)
    mixture = msgspec.structs.replace(dense, active_bytes=2 * GB)
    fast, slow = budget(32).speed(mixture)[0], budget(32).speed(dense)[0]
    assert fast is not None
    assert slow is not None
    assert fast > 5 * slow


@pytest.mark.parametrize(("sold", "seen"), [(4, 3.9), (8, 7.6), (16, 15.3), (32, 30.9), (64, 62.7)])
def test_classes_are_what_machines_are_sold_as(sold: int, seen: float) -> None:
    assert memory_class(int(seen * 2**30)) == sold


def test_the_person_decides_the_memory(home: Home) -> None:
    import asyncio

    hardware = asyncio.run(profile(home, measure=False))
    assert Budget.of(hardware, parse("[engine]\nmemory = 1500")).memory == 1_500_000_000
    assert Budget.of(hardware, Settings()).memory < hardware.memory.usable


def test_the_best_quantisation_that_fits() -> None:
    seven = {"Q8_0": 8_100_000_000, "Q6_K": 6_250_000_000, "Q4_K_M": 4_680_000_000, "Q2_K": 3_000_000_000}
    half = {"F16": 1_260_000_000, "Q8_0": 675_000_000, "Q4_K_M": 400_000_000}
    assert budget(16, bandwidth=30e9).quantisation(seven) == "Q4_K_M"  # eight bits would fit, and crawl
    assert budget(64, bandwidth=400e9).quantisation(seven) == "Q8_0"
    assert budget(4, bandwidth=30e9).quantisation(half) == "Q8_0"
    assert budget(4, bandwidth=None).quantisation(half) == "Q4_K_M"
    assert budget(6, bandwidth=30e9).quantisation(seven) == "Q2_K"
    assert budget(2, bandwidth=30e9).quantisation(seven) is None
    assert budget(16).quantisation({"Q6_K": 6_250_000_000, "F16": 15_000_000_000}) == "Q6_K"
    assert budget(16).quantisation({"": 5, "NEW_2": 7}) == "NEW_2"  # names that nobody knows: the larger one


@given(st.integers(1, 64), st.integers(1, 80 << 30), st.integers(0, 128), st.integers(0, 200_000))
def test_a_verdict_never_exceeds_the_budget(memory: int, weights: int, layers: int, context: int) -> None:
    given_budget = budget(memory)
    fit = given_budget.fit(
        BaseFacts(weights_bytes=weights, layers=layers, kv_heads=8, head_dim=128, context_max=context)
    )
    assert fit.fits == (fit.memory <= given_budget.memory)
    assert fit.context <= 16384
    assert fit.why


async def test_bandwidth_is_measured_once(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    first = await profile(home)
    assert first.bandwidth is not None
    assert first.bandwidth > 1e8
    monkeypatch.setattr("omni.hardware.machine.measure_bandwidth", lambda threads: pytest.fail("measured again"))
    assert (await profile(home)).bandwidth == first.bandwidth


def test_the_measurement_is_bounded() -> None:
    assert measure_bandwidth(1, chunk=1 << 20, rounds=1) > 1e7
