"""Which runtime a brain is run by: the setting, what trials found out, and nothing else."""

from collections.abc import Iterable
from typing import NamedTuple

from omni.runtimes.runtime import BUILT_IN, Runtime, RuntimeTrial

FASTER = 1.10  # at prompts, of what the engine that comes with Omni reads: less is the noise of a measurement
SLOWER = 0.95  # at answers, of what that one writes


class EngineChoice(NamedTuple):
    """`runtime` runs the brain. `llguidance`: whether it keeps Omni's own grammars. `untried`: it was asked for by its name
    and nobody knows yet; until then the one that comes with Omni is used. `words`: why it is not what was asked for."""

    runtime: str = BUILT_IN
    llguidance: bool = True
    untried: bool = False
    words: str = ""


def choose(
    use: str, types: Iterable[str], runtimes: Iterable[tuple[Runtime, Iterable[RuntimeTrial]]], machine: str
) -> EngineChoice:
    """The runtime for a brain with these quantisation types. `use` is the setting `engine.use`: a name, or "auto": the one
    that comes with Omni, unless another one that answered with all of them measured better here, in the same hour."""
    wanted = frozenset(types)
    here = {runtime.name: [one for one in trials if one.machine == machine] for runtime, trials in runtimes}
    if use == BUILT_IN:
        return EngineChoice()
    if use != "auto":
        return (
            _named(use, here[use], wanted) if use in here else EngineChoice(words=f"no usable engine is named {use!r}")
        )
    best, most = EngineChoice(), FASTER
    here.pop(BUILT_IN, None)
    for name, trials in here.items():
        trial = _same(trials, wanted)
        if trial is None or trial.speeds is None or trial.own is None:
            continue
        faster = trial.speeds.prompt / max(trial.own.prompt, 0.1)
        if faster >= most and trial.speeds.answer >= trial.own.answer * SLOWER:
            best, most = EngineChoice(name, trial.llguidance), faster
    return best


def _named(name: str, trials: list[RuntimeTrial], wanted: frozenset[str]) -> EngineChoice:
    if not wanted:
        return EngineChoice(words=f"nobody knows a quantisation that {name} could be tried with")
    same = _same(trials, wanted)
    if same is not None and not same.passed:
        return EngineChoice(words=f"{name} {same.words}")
    passed = [one for one in trials if one.passed]
    if not wanted <= {each for one in passed for each in one.types}:
        return EngineChoice(untried=True, words=f"{name} was not tried with {', '.join(sorted(wanted))}")
    return EngineChoice(name, any(one.llguidance for one in passed))


def _same(trials: Iterable[RuntimeTrial], wanted: frozenset[str]) -> RuntimeTrial | None:
    return next((one for one in trials if frozenset(one.types) == wanted), None)
