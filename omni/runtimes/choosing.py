"""Which runtime a brain is run by, and on what: the settings, what trials found out, and nothing else."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from omni.hardware import ComputeDevice, GpuUse, usable_devices
from omni.runtimes.losses import Moment
from omni.runtimes.runtime import ABILITIES, BUILT_IN, Ability, Runtime, RuntimeKind, RuntimeTrial, types_words

if TYPE_CHECKING:
    from omni.cartridges import Base

FASTER = 1.10  # at prompts, of what the engine that comes with Omni reads: less is the noise of a measurement
MUCH_FASTER = 1.25  # where it does not keep Omni's grammars: a smaller gain is not worth what answers by a schema lose
SLOWER = 0.95  # at answers, of what that one writes


class EngineChoice(NamedTuple):
    """`runtime` runs the brain. `llguidance`: whether it keeps Omni's own grammars. `untried`: it was asked for, and nobody
    knows yet; until then the one that comes with Omni is used. `words`: why it is not what was asked for. `devices`: what
    layers go to (empty: the processor does it all), and `fits`: how many of a base did, by its id. `kind` is the runtime's.
    `batch`: how many tokens of a prompt it computes together, where another number than usual measured better. `draft` drafts for
    it, `heads`: a layer of its own does, and `undrafted` says why what should does not."""

    runtime: str = BUILT_IN
    llguidance: bool = True
    untried: bool = False
    words: str = ""
    devices: tuple[ComputeDevice, ...] = ()
    fits: Mapping[str, int] = MappingProxyType({})
    kind: RuntimeKind = "xllamacpp"
    batch: int = 0
    draft: "Base | None" = None
    heads: bool = False
    undrafted: str = ""


def choose(
    use: str,
    types: Iterable[str],
    runtimes: Iterable[tuple[Runtime, Iterable[RuntimeTrial]]],
    machine: str,
    gpu: GpuUse = "auto",
    *,
    moment: Moment | None = None,
    needs: frozenset[Ability] = frozenset(),
    refused: Mapping[str, str] = MappingProxyType({}),
) -> EngineChoice:
    """The runtime for a brain with these quantisation types. `use` is the setting `engine.use`: a name, or "auto": the one
    that comes with Omni, unless another one that answered with all of them measured better here, in the same hour. `gpu` is the
    setting `engine.gpu`: "on" takes one that answers on a graphics processor, however slowly; "auto" where it measured better.
    Devices that were lost, and rest at this `moment` (None: now), are left alone. `needs` is what the brain asks of an engine's
    kind beside answering; `refused` names those that cannot load its file, with their reasons."""
    wanted, moment, listed = frozenset(types), moment or Moment.here(), list(runtimes)
    kinds = {runtime.name: runtime.kind for runtime, _ in listed}
    if use in kinds and (lacking := needs - ABILITIES[kinds[use]]):
        return EngineChoice(words=f"{use} cannot do {' and '.join(sorted(lacking))}, which this brain needs")
    if use in refused:
        return EngineChoice(words=f"{use} {refused[use]}")
    tried = {
        runtime.name: [one for one in trials if one.machine == machine and _allowed(one, gpu)]
        for runtime, trials in listed
        if needs <= ABILITIES[runtime.kind] and runtime.name not in refused
    }
    choice = _chosen(use, tried, wanted, gpu, moment)
    if choice.words and not choice.untried:  # what would answer otherwise is told of, where there is such a one
        choice = choice._replace(words="; ".join(f"{name} {why}" for name, why in refused.items()) or choice.words)
    return choice._replace(kind=kinds.get(choice.runtime, "xllamacpp"))


def _chosen(
    use: str, tried: dict[str, list[RuntimeTrial]], wanted: frozenset[str], gpu: GpuUse, moment: Moment
) -> EngineChoice:
    if use not in ("auto", BUILT_IN) and use not in tried:
        return EngineChoice(words=f"no usable engine is named {use!r}")
    here = {name: [one for one in trials if not one.rests(moment)] for name, trials in tried.items()}
    if gpu == "on":
        choice = _on_device(use, tried, wanted, moment)
        return choice if not choice.words else _plainly(use, here, wanted)._replace(words=choice.words)
    return _plainly(use, here, wanted)


def _allowed(trial: RuntimeTrial, gpu: GpuUse) -> bool:
    """Whether what was tried may be used: on the processor always, on devices by the setting."""
    return not trial.layers or bool(usable_devices(trial.devices, gpu))


def _on_device(
    use: str, here: Mapping[str, list[RuntimeTrial]], wanted: frozenset[str], moment: Moment
) -> EngineChoice:
    """The fastest of those that answer on a device."""
    if use == BUILT_IN:
        return EngineChoice(
            words="no graphics processor is used by the engine that comes with Omni, which engine.use names"
        )
    trials = {name: here[name] for name in here if name != BUILT_IN and use in ("auto", name)}
    answered = [
        (one.speeds.answer, name, one)
        for name, tried in trials.items()
        for one in tried
        if one.layers and one.speeds is not None and frozenset(one.types) == wanted
    ]
    if awake := [one for one in answered if not one[2].rests(moment)]:
        _, name, trial = max(awake, key=lambda one: one[0])
        return _as_tried(name, trial, "on")
    if any(
        not any(one.looked == "on" and frozenset(one.types) == wanted for one in tried) for tried in trials.values()
    ):
        return EngineChoice(untried=True)
    for _, name, trial in answered:
        if trial.lost is not None:
            return EngineChoice(words=f"{name} {trial.lost.rest_words}")
    if not trials:
        return EngineChoice(
            words="no engine is here that could use a graphics processor (`omni engine add` brings one)"
        )
    return EngineChoice(words=f"no engine here answers on a graphics processor with {types_words(sorted(wanted))}")


def _plainly(use: str, here: dict[str, list[RuntimeTrial]], wanted: frozenset[str]) -> EngineChoice:
    """The choice where devices are only used if they measured better."""
    if use == BUILT_IN:
        return EngineChoice()
    if use != "auto":
        return _named(use, here[use], wanted)
    best, most = EngineChoice(), 0.0
    for name, trial in ((name, one) for name, tried in here.items() for one in tried if name != BUILT_IN):
        if frozenset(trial.types) != wanted or trial.speeds is None or trial.own is None:
            continue
        faster = trial.speeds.prompt / max(trial.own.prompt, 0.1)
        needed = FASTER if trial.llguidance else MUCH_FASTER
        if faster >= max(needed, most) and trial.speeds.answer >= trial.own.answer * SLOWER:
            best, most = _as_tried(name, trial, "auto"), faster
    return best


def _named(use: str, trials: list[RuntimeTrial], wanted: frozenset[str]) -> EngineChoice:
    if not wanted:
        return EngineChoice(words=f"nobody knows a quantisation that {use} could be tried with")
    same = _same(trials, wanted)
    if same is not None and (same.layers or not same.passed):
        return _as_tried(use, same, "auto") if same.passed else EngineChoice(words=f"{use} {same.words}")
    passed = [one for one in trials if one.passed and not one.layers]
    if not wanted <= {each for one in passed for each in one.types}:
        return EngineChoice(untried=True, words=f"{use} was not tried with {types_words(sorted(wanted))}")
    return EngineChoice(use, any(one.llguidance for one in passed))


def _same(trials: Iterable[RuntimeTrial], wanted: frozenset[str]) -> RuntimeTrial | None:
    """The trial with these types; of two, on the processor and on devices, the one that answered faster."""
    same = [one for one in trials if frozenset(one.types) == wanted]
    return max(same, key=lambda one: one.speeds.answer if one.speeds is not None else -1.0, default=None)


def _as_tried(name: str, trial: RuntimeTrial, gpu: GpuUse) -> EngineChoice:
    devices = usable_devices(trial.devices, gpu) if trial.layers else ()
    return EngineChoice(name, trial.llguidance, devices=devices, fits=trial.fits)
