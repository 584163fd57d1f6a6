"""A device that was lost rests, longer each time; a new start of the machine ends the first rest."""

import time

import pytest

from omni.hardware import ComputeDevice, GpuUse
from omni.runtimes import BUILT_IN, DeviceLoss, EngineChoice, Moment, Runtime, RuntimeTrial, Speeds, choose, lost

HOUR, DAY = 3600.0, 86400.0
NOW = Moment(now=1_000_000_000.0, boot="one")
CARD = ComputeDevice(name="Vulkan0", description="Radeon RX 7900", total=24 << 30, free=20 << 30)
FAST = Runtime(name="fast", kind="llama_server", sha256="f" * 64, binary="bin/llama-server")


def later(seconds: float, boot: str = "one") -> Moment:
    return Moment(now=NOW.now + seconds, boot=boot)


def rest_of(loss: DeviceLoss) -> float:
    return (loss.until - loss.at) / HOUR


def test_a_first_loss_rests_for_six_hours_or_until_the_machine_starts_anew() -> None:
    loss = lost("ended", NOW)
    assert (loss.times, rest_of(loss)) == (1, 6)
    assert loss.holds(NOW)
    assert loss.holds(later(6 * HOUR - 1))
    assert not loss.holds(later(6 * HOUR))
    assert not loss.holds(later(60, boot="two"))
    assert loss.holds(later(60, boot=""))  # nobody tells which start it is


def test_whoever_is_lost_again_rests_longer_whatever_starts_anew() -> None:
    loss, rests = lost("ended", NOW), []
    for _ in range(5):
        rests.append(rest_of(loss))
        assert loss.times == 1 or loss.holds(Moment(now=loss.at + 60, boot="another"))
        loss = lost("ended", Moment(now=loss.until, boot="one"), loss)
    assert rests == [6, 24, 96, 384, 720]  # at most thirty days


def test_a_loss_long_after_the_last_one_is_a_first_one() -> None:
    first = lost("ended", NOW)
    assert lost("ended", later(6 * HOUR + 7 * DAY - 1), first).times == 2
    assert lost("ended", later(6 * HOUR + 7 * DAY), first).times == 1


def test_one_crash_that_several_noted_is_one_loss() -> None:
    first = lost("ended", NOW)
    assert lost("ended", later(1), first) == first
    assert lost("ended", later(6 * HOUR - 1), first).until == first.until
    assert lost("ended", later(1, boot="two"), first).times == 2  # it was used again, and lost again


def test_a_clock_that_was_set_back_keeps_no_device_away() -> None:
    loss = lost("ended", NOW)
    assert not loss.holds(later(-DAY))
    assert lost("ended", later(-DAY), loss).times == 1


def test_a_rest_says_until_when_and_what_ends_it() -> None:
    until = time.strftime("%Y-%m-%d %H:%M", time.localtime(NOW.now + 6 * HOUR))
    first = lost("ended while @omni/a answered", NOW)
    assert first.rest_words == (
        f"ended while @omni/a answered; its device rests until {until} or the next start of the machine, or `omni engine try`"
    )
    second = lost("ended while @omni/a answered", later(7 * HOUR), first)
    assert second.rest_words.startswith("ended while @omni/a answered, 2 times in a row; its device rests until ")
    assert "the machine" not in second.rest_words


def test_this_machine_tells_its_time() -> None:
    moment = Moment.here()
    assert abs(moment.now - time.time()) < 60
    assert moment.boot == Moment.here().boot


def choice(moment: Moment, gpu: GpuUse, use: str = "auto") -> EngineChoice:
    """Who runs a brain whose device was lost a minute before `NOW`."""
    own = Speeds(prompt=10.0, answer=2.0)
    plain = RuntimeTrial(runtime=FAST.key, machine="here", types=("Q4_K",), own=own, devices=(CARD,), looked="on",
                         speeds=Speeds(prompt=10.0, answer=2.0))  # fmt: skip
    placed = RuntimeTrial(runtime=FAST.key, machine="here", types=("Q4_K",), own=own, devices=(CARD,), looked="on", layers=9,
                          speeds=Speeds(prompt=90.0, answer=30.0), lost=lost("ended", later(-60)))  # fmt: skip
    return choose(use, ("Q4_K",), [(FAST, [plain, placed])], "here", gpu, moment=moment)


@pytest.mark.parametrize(("gpu", "use", "meanwhile"), [
    ("auto", "auto", BUILT_IN), ("on", "auto", BUILT_IN), ("auto", "fast", "fast"), ("on", "fast", "fast"),
])  # fmt: skip
def test_a_device_that_rests_is_left_alone_and_used_again_after_it(gpu: GpuUse, use: str, meanwhile: str) -> None:
    resting = choice(NOW, gpu, use)
    assert (resting.runtime, resting.devices, resting.untried) == (meanwhile, (), False)
    again = choice(later(6 * HOUR), gpu, use)
    assert (again.runtime, again.devices) == ("fast", (CARD,))
    assert choice(later(0, boot="two"), gpu, use).devices == (CARD,)


def test_who_asked_for_the_device_hears_that_it_rests() -> None:
    assert choice(NOW, "on").words.startswith("fast ended; its device rests until ")
    assert choice(NOW, "auto").words == ""
