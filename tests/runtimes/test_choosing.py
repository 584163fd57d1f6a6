"""Which engine runs a brain: only one that answered, and by itself only a faster one."""

from typing import Any

import pytest

from omni.runtimes import BUILT_IN, Runtime, RuntimeTrial, Speeds, choose

OWN = Runtime(name=BUILT_IN, kind="xllamacpp", version="1")
FAST = Runtime(name="fast", kind="llama_server", sha256="f" * 64, binary="bin/llama-server")
STEP = Runtime(name="step", kind="llama_cpp", sha256="e" * 64)
TYPES = ("F32", "Q4_K")


MEASURED = Speeds(prompt=100.0, answer=20.0)  # of Omni's own, just before


def trial(runtime: Runtime, prompt: float = 0.0, answer: float = 0.0, **more: Any) -> RuntimeTrial:
    speeds = Speeds(prompt=prompt, answer=answer) if prompt else None
    facts = {"machine": "here", "types": TYPES, "speeds": speeds, "own": MEASURED, **more}
    return RuntimeTrial(runtime=runtime.key, **facts)


def chosen(use: str, *trials: RuntimeTrial, types: tuple[str, ...] = TYPES) -> Any:
    by_key = [(one, [each for each in trials if each.runtime == one.key]) for one in (OWN, FAST)]
    return choose(use, types, by_key, "here")


@pytest.mark.parametrize(
    ("prompt", "answer", "llguidance", "expected"),
    [
        (111.0, 20.0, True, "fast"),
        (109.0, 20.0, True, BUILT_IN),
        (126.0, 20.0, False, "fast"),
        (124.0, 20.0, False, BUILT_IN),
        (200.0, 19.0, False, "fast"),
        (200.0, 18.9, True, BUILT_IN),
    ],
)
def test_auto_takes_what_measured_faster_and_answers_no_slower_the_more_so_where_it_keeps_fewer_grammars(
    prompt: float, answer: float, llguidance: bool, expected: str
) -> None:
    assert chosen("auto", trial(FAST, prompt, answer, llguidance=llguidance)).runtime == expected


def test_auto_takes_nothing_that_was_not_measured_beside_omnis_own_here_and_with_these_types() -> None:
    assert chosen("auto", trial(FAST, 900.0, 90.0)).runtime == "fast"
    for more in ({"own": None}, {"machine": "another processor"}, {"types": ("F32", "Q8_0")}):
        assert chosen("auto", trial(FAST, 900.0, 90.0, **more)).runtime == BUILT_IN
    at_another_hour = trial(OWN, 1.0, 1.0)
    assert chosen("auto", at_another_hour, trial(FAST, 105.0, 20.0)).runtime == BUILT_IN
    assert chosen("auto", trial(OWN, 100.0, 20.0)).runtime == BUILT_IN


def test_a_named_engine_runs_what_it_answered_with_and_says_whether_it_keeps_grammars() -> None:
    choice = chosen("fast", trial(FAST, 10.0, 1.0))
    assert (choice.runtime, choice.llguidance, choice.words) == ("fast", False, "")
    assert chosen("fast", trial(FAST, 10.0, 1.0, llguidance=True)).llguidance
    assert chosen("fast", trial(FAST, 10.0, 1.0), types=("Q4_K",)).runtime == "fast"


def test_a_named_engine_that_failed_is_not_used_and_the_reason_is_told() -> None:
    choice = chosen("fast", trial(FAST, words="ends with an illegal instruction with Q4_K"))
    assert (choice.runtime, choice.llguidance) == (BUILT_IN, True)
    assert choice.words == "fast ends with an illegal instruction with Q4_K"
    assert not choice.untried


def test_a_named_engine_that_nobody_tried_with_a_type_asks_to_be_tried() -> None:
    choice = chosen("fast", trial(FAST, 10.0, 1.0), types=("F32", "Q6_K"))
    assert (choice.runtime, choice.untried) == (BUILT_IN, True)
    assert "was not tried with Q6_K" in choice.words


def test_types_are_told_without_those_that_every_brain_has_beside_them() -> None:
    types = ("F32", "Q4_1", "Q8_0")
    tried = [(FAST, [trial(FAST, 10.0, 1.0, types=types, looked="on")])]
    no_card = choose("auto", types, tried, "here", "on").words
    assert no_card == "no engine here answers on a graphics processor with Q4_1 and Q8_0"
    assert chosen("fast", types=types).words == "fast was not tried with Q4_1 and Q8_0"


def test_a_name_that_is_gone_is_told() -> None:
    assert "no usable engine is named 'lost'" in chosen("lost").words
    assert chosen(BUILT_IN, trial(FAST, 900.0, 90.0)).runtime == BUILT_IN


def test_a_kind_that_cannot_do_what_a_brain_needs_is_not_taken_and_that_is_said() -> None:
    runtimes = [(one, [trial(one, 900.0, 90.0)] if one.name != BUILT_IN else []) for one in (OWN, STEP)]
    for use in ("auto", "step"):
        assert choose(use, TYPES, runtimes, "here").kind == "llama_cpp"
        assert choose(use, TYPES, runtimes, "here", needs=frozenset({"vectors"})).runtime == "step"
        refused = choose(use, TYPES, runtimes, "here", needs=frozenset({"images", "adapters"}))
        assert refused.runtime == BUILT_IN
        assert refused.kind == "xllamacpp"
        assert refused.words == ("" if use == "auto" else "step cannot do adapters and images, which this brain needs")
