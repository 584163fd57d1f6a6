"""A smaller brain with the very same tokens may draft for a bigger one: where that measured faster here, or where a person says so,
and never without the memory for both."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from omni.cartridges import Base, Brain, read_header, read_vocabulary
from omni.core.errors import OmniError
from omni.core.events import TokenLogprob
from omni.core.paths import Home
from omni.core.settings import parse
from omni.engine import Engines
from omni.runtimes import ROUNDS, Runtimes, Tuning, best_draft, built_in
from tests.drafting_brains import FAMILIES
from tests.engine.engine_tools import DirectKeeper, asked, end_of, events_of, real_spec, text_of
from tests.engine.test_engines import machine
from tests.small_brain import write_small_brain


def brain_of(gguf: Path, name: str, **more: Any) -> Brain:
    header = msgspec.structs.replace(read_header(gguf), **more)
    base = Base(id=f"sha256-{name}", path=str(gguf), parts=(str(gguf),), size=gguf.stat().st_size, header=header, origin="file")  # fmt: skip
    return Brain(name=name, state="ready", base=base, size=base.size)


@pytest.fixture
def big(starter_gguf: Path) -> Brain:
    return brain_of(starter_gguf, "@me/big")


@pytest.fixture(scope="module")
def small(starter_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Brain:
    return brain_of(write_small_brain(starter_gguf, tmp_path_factory.mktemp("small") / "small.gguf"), "@me/small")


def engines(home: Home, *brains: Brain, draft: str = "", memory: int = 0, said: list[str] | None = None) -> Engines:
    heard = [] if said is None else said
    settings = f"[engine]\ncontext = 1024\nmemory = {memory}\n{f'draft = {draft!r}' if draft else ''}"
    keeper: Any = None
    return Engines(home, keeper, parse(settings), machine(16), brains=lambda: brains, said=heard.append)


def measured(home: Home, of: Brain, draft: Brain, speed: float) -> None:
    assert of.base is not None
    assert draft.base is not None
    figures = {"": (10.0,) * ROUNDS, draft.base.id: (speed,) * ROUNDS}
    tuning = Tuning(runtime=built_in().key, machine=engines(home).machine, base=of.base.id, drafts=figures)
    Runtimes(home).note_tuning(built_in(), tuning)


@pytest.mark.parametrize(
    ("figures", "best"),
    [
        ({}, ""),
        ({"": (1.0,) * ROUNDS}, ""),
        ({"": (1.0,) * ROUNDS, "a": (1.2,) * ROUNDS, "b": (1.3,) * ROUNDS}, "b"),
        ({"": (1.0,) * ROUNDS, "a": (1.2, 0.9, 3.0, 3.0)}, ""),
        ({"": (1.0,), "a": (1.2,)}, ""),
    ],
)
def test_a_draft_is_used_where_it_was_ahead_in_every_round(figures: dict[str, tuple[float, ...]], best: str) -> None:
    assert best_draft(figures) == best


@pytest.mark.real
def test_what_measured_faster_drafts_and_is_counted(home: Home, big: Brain, small: Brain) -> None:
    alone = engines(home, big, small).spec(big)
    measured(home, big, small, 12.0)
    assert small.base is not None
    drafted = engines(home, big, small).spec(big)
    assert "draft" not in alone.settings
    assert (drafted.settings["draft"], drafted.settings["draft_base"]) == (small.base.path, small.base.id)
    assert drafted.need_bytes - alone.need_bytes > small.size
    assert int(drafted.settings["ceiling"]) > int(alone.settings["ceiling"])
    assert "prefixes" in alone.settings
    assert "prefixes" not in drafted.settings  # a slot that is read back knows nothing of the draft


@pytest.mark.real
@pytest.mark.parametrize("why", ["slower", "off", "gone", "vectors"])
def test_nobody_drafts_otherwise(home: Home, big: Brain, small: Brain, why: str) -> None:
    measured(home, big, small, 9.0 if why == "slower" else 12.0)
    used = engines(home, *([big] if why == "gone" else [big, small]), draft="off" if why == "off" else "")
    assert "draft" not in used.spec(big, embeddings=why == "vectors").settings


@pytest.mark.real
def test_a_draft_for_which_there_is_no_memory_is_left_out_and_that_is_said(
    home: Home, big: Brain, small: Brain
) -> None:
    heard: list[str] = []
    used = engines(home, big, small, draft="@me/small", memory=300, said=heard)
    assert "draft" not in used.spec(big).settings
    assert "too little memory" in heard[0]


@pytest.mark.real
def test_a_person_names_what_drafts_and_hears_why_it_does_not(
    home: Home, big: Brain, small: Brain, tmp_path: Path
) -> None:
    assert small.base is not None
    assert engines(home, big, small, draft="@me/small").spec(big).settings["draft"] == small.base.path
    assert "draft" not in engines(home, big, small, draft="@me/small").spec(small).settings
    (tmp_path / "other.gguf").write_bytes(Path(small.base.path).read_bytes().replace(b"hello", b"jello", 1))
    other = brain_of(tmp_path / "other.gguf", "@me/other")
    assert read_vocabulary(tmp_path / "other.gguf") != read_vocabulary(small.base.path)
    recurrent = brain_of(Path(small.base.path), "@me/ssm", keys=("ssm.state_size",))
    for name, reason in (
        (
            "@me/other",
            "@me/other, which engine.draft names, drafts for nobody: no larger brain with its tokens is here",
        ),
        ("@me/othr", "engine.draft names '@me/othr', and no brain here is called that. Did you mean '@me/other'?"),
        ("@me/ssm", "@me/ssm does not draft for Smollm2 135M 8k Lc100K Mix1 Ep2: one of the two keeps a state"),
    ):
        choice = engines(home, big, other, recurrent, draft=name).choice(big)
        assert choice.draft is None
        assert reason in choice.undrafted


@pytest.mark.real
def test_brains_that_a_named_draft_is_not_meant_for_say_nothing_of_it(
    home: Home, big: Brain, small: Brain, tmp_path: Path
) -> None:
    assert small.base is not None
    (tmp_path / "other.gguf").write_bytes(Path(small.base.path).read_bytes().replace(b"hello", b"jello", 1))
    other = brain_of(tmp_path / "other.gguf", "@me/other")
    vectors = brain_of(Path(big.base.path) if big.base else tmp_path, "@me/vectors", kind="embedding")
    used = engines(home, big, other, small, vectors, draft="@me/small")
    for one in (other, vectors, small):
        choice = used.choice(one)
        assert (choice.draft, choice.undrafted) == (None, "")
    assert used.choice(big).draft == small.base
    gone = msgspec.structs.replace(small, state="corrupt", reason="its bytes are not what they were")
    told = engines(home, big, gone, draft="@me/small").choice(big).undrafted
    assert told == "@me/small, which engine.draft names, cannot be used: its bytes are not what they were"
    with pytest.raises(OmniError, match=r"engine\.draft"):
        parse('[engine]\ndraft = ""\n')


@pytest.mark.real
@pytest.mark.parametrize("change", ["corrupt", "other tokens"])
def test_what_measured_faster_does_not_draft_any_more_where_it_changed_since(
    home: Home, big: Brain, small: Brain, tmp_path: Path, change: str
) -> None:
    measured(home, big, small, 12.0)
    assert engines(home, big, small).choice(big).draft is not None
    assert small.base is not None
    if change == "corrupt":
        changed = msgspec.structs.replace(small, state="corrupt")
    else:
        (tmp_path / "x.gguf").write_bytes(Path(small.base.path).read_bytes().replace(b"hello", b"jello", 1))
        changed = msgspec.structs.replace(
            small, base=msgspec.structs.replace(small.base, path=str(tmp_path / "x.gguf"))
        )
    assert engines(home, big, changed).choice(big).draft is None


@pytest.mark.real
async def test_answers_with_drafts_are_those_without(
    keeper: DirectKeeper, worker_engine: Any, starter_gguf: Path
) -> None:
    """The brain drafts for itself, so that most is right."""
    answers, drafted = [], []
    for draft in ("", str(starter_gguf)):
        more = {"draft": draft} if draft else {}
        async with worker_engine(real_spec(starter_gguf, slots=2, **more)) as engine:
            events = await events_of(engine, asked("Count from 1 to 9.", max_tokens=16))
            answers.append(text_of(events))
            drafted.append(end_of(events).usage)
    assert answers[1] == answers[0]
    assert drafted[0].drafted_tokens == 0
    assert drafted[1].accepted_tokens > 3


@pytest.mark.real
async def test_a_draft_that_cannot_be_loaded_is_left_out(
    keeper: DirectKeeper, worker_engine: Any, starter_gguf: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF and nothing else")
    async with worker_engine(real_spec(starter_gguf, draft=str(broken))) as engine:
        assert text_of(await events_of(engine, asked("Hello.")))
    assert "Without drafts: what drafts in broken.gguf could not be loaded" in keeper.started[0].log.read_text("utf-8")


@pytest.mark.real
async def test_likelihoods_come_from_a_worker_without_drafts(
    keeper: DirectKeeper, worker_engine: Any, starter_gguf: Path
) -> None:
    async with worker_engine(real_spec(starter_gguf, slots=1, draft=str(starter_gguf))) as engine:
        events = await events_of(engine, asked("Hello.", max_tokens=8, logprobs=2))
    assert all(event.chosen.logprob < 0 for event in events if isinstance(event, TokenLogprob))
    assert end_of(events).usage.drafted_tokens == 0


@pytest.mark.real
@pytest.mark.parametrize("family", FAMILIES)
async def test_a_layer_of_its_own_drafts_and_the_answer_is_the_same(
    keeper: DirectKeeper, worker_engine: Any, starter_gguf: Path, tmp_path: Path, family: str
) -> None:
    """Where hardly any draft is right, too: what was guessed wrongly is taken back, out of a state as well."""
    gguf = FAMILIES[family](starter_gguf, tmp_path / "own.gguf")
    answers, drafted = [], []
    for mtp in (0, 1):
        async with worker_engine(real_spec(gguf, slots=2, threads=1, mtp=mtp)) as engine:
            events = await events_of(engine, asked("Hello.", max_tokens=40))
            answers.append(text_of(events))
            drafted.append(end_of(events).usage)
    assert answers[0] == answers[1]
    assert drafted[0].drafted_tokens == 0
    assert drafted[1].drafted_tokens > 0
    assert family == "qwen35" or drafted[1].accepted_tokens > 10


@pytest.mark.real
@pytest.mark.parametrize("family", FAMILIES)
def test_a_layer_that_drafts_is_known_by_the_header_and_used_as_measured_or_said(
    home: Home, small: Brain, starter_gguf: Path, tmp_path: Path, family: str
) -> None:
    own = brain_of(FAMILIES[family](starter_gguf, tmp_path / "own.gguf"), "@me/own")
    assert own.base is not None
    assert own.base.header.drafts_ahead
    assert not msgspec.structs.replace(own.base.header, architecture="exaone4").drafts_ahead
    assert not msgspec.structs.replace(own.base.header, draft_layers=2).drafts_ahead
    plain = engines(home, own).spec(own)
    named = engines(home, own, draft="mtp").spec(own)
    assert "mtp" not in plain.settings
    assert named.settings["mtp"] == 1
    assert named.need_bytes > plain.need_bytes
    assert int(named.settings["ceiling"]) > int(plain.settings["ceiling"])
    assert "mtp" not in engines(home, small, draft="mtp").spec(small).settings
    figures = {"": (10.0,) * ROUNDS, "mtp": (12.0,) * ROUNDS}
    tuning = Tuning(runtime=built_in().key, machine=engines(home).machine, base=own.base.id, drafts=figures)
    Runtimes(home).note_tuning(built_in(), tuning)
    assert engines(home, own).spec(own).settings["mtp"] == 1
    assert "mtp" not in engines(home, own, draft="off").spec(own).settings


@pytest.mark.real
def test_a_layer_that_drafts_waits_for_memory(home: Home, starter_gguf: Path, tmp_path: Path) -> None:
    heard: list[str] = []
    own = brain_of(FAMILIES["glm4moe"](starter_gguf, tmp_path / "own.gguf"), "@me/own")
    assert "mtp" not in engines(home, own, draft="mtp", memory=180, said=heard).spec(own).settings
    assert "too little memory" in heard[0]
