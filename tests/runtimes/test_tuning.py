"""What follows from figures that were measured beside other programs: only what was ahead in every round is used."""

import msgspec
import pytest

from omni.core.paths import Home
from omni.runtimes import BUILT_IN, ROUNDS, Runtimes, RuntimeTrial, Tuning, best_batch, built_in, may_be_batch

USUAL = (100.0, 60.0, 110.0, 90.0)


@pytest.mark.parametrize(
    ("figures", "best"),
    [
        ({}, 0),
        ({128: USUAL}, 0),
        ({128: USUAL, 64: tuple(1.2 * each for each in USUAL)}, 64),
        ({128: USUAL, 64: tuple(1.2 * each for each in USUAL), 256: tuple(3.0 * each for each in USUAL)}, 256),
        ({128: USUAL, 64: (200.0, 200.0, 112.0, 200.0)}, 0),  # behind in one round
        ({128: USUAL, 64: tuple(1.02 * each for each in USUAL)}, 0),  # hardly ahead
        ({128: USUAL, 64: tuple(1.2 * each for each in USUAL[:-1])}, 0),  # out of it before the last round
        ({128: USUAL[:2], 64: tuple(1.2 * each for each in USUAL[:2])}, 0),  # broken off
        ({128: USUAL, 512: tuple(1.2 * each for each in USUAL)}, 0),  # a cancelled answer would wait for 8 seconds
    ],
)
def test_another_batch_is_used_where_it_was_ahead_in_every_round(
    figures: dict[int, tuple[float, ...]], best: int
) -> None:
    assert len(USUAL) == ROUNDS
    assert best_batch(figures, 128) == best


def test_what_was_behind_once_is_not_measured_again() -> None:
    figures = {128: (100.0,), 64: (104.0,), 256: (130.0,)}
    assert [size for size in (64, 256) if may_be_batch(size, figures, 128)] == [256]


def test_measurements_are_remembered_of_the_very_build_beside_its_trials(home: Home) -> None:
    runtimes, own = Runtimes(home), built_in()
    tuning = Tuning(runtime=own.key, machine="here", base="sha256-1", batches={128: (1.0,), 64: (2.0,)})
    trial = RuntimeTrial(runtime=own.key, machine="here", types=("F16",))
    runtimes.note_tuning(own, tuning)
    runtimes.note(own, trial)
    runtimes.note_tuning(own, msgspec.structs.replace(tuning, machine="elsewhere", batches={}))
    runtimes.note_tuning(own, tuning)
    assert runtimes.tuned(own, "sha256-1", "here") == tuning
    assert runtimes.tuned(own, "sha256-2", "here") is None
    assert runtimes.tried(own) == (trial,)
    assert runtimes.tuned(msgspec.structs.replace(own, version="another"), "sha256-1", "here") is None
    (home.engines / BUILT_IN / "tried.json").write_text('{"tunings": 3}')
    assert runtimes.tuned(own, "sha256-1", "here") is None
