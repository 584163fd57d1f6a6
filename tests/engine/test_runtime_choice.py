"""Which engine runs a brain in the end: what was chosen, when it answered; else the one that comes with Omni, and that is said."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from omni.cartridges import Base, Brain, GgufHeader
from omni.core.errors import BadFile, OmniError
from omni.core.paths import Home
from omni.core.settings import parse
from omni.engine import Engines, LoadFailed, to_try
from omni.hardware import ComputeDevice
from omni.keeper import KeeperClient, WorkerSpec
from omni.runtimes import BUILT_IN, DeviceLoss, Moment, Runtime, RuntimeKind, Runtimes, RuntimeTrial, Speeds, lost
from omni.runtimes.registry import write
from tests.engine.engine_tools import asked, events_of, text_of
from tests.engine.test_engines import machine
from tests.keeper_tools import kept
from tests.runtime_tools import HELP, added, fake_server

TYPES = {"F32": 10, "Q4_K": 90}


def brain(name: str = "@omni/a", size: int = 100, types: dict[str, int] = TYPES, **more: Any) -> Brain:
    header = GgufHeader(version=3, architecture="llama", kind="model", context_length=2048, kv_elements=64, weights_bytes=size, type_bytes=types)  # fmt: skip
    base = Base(id=f"sha256-{size}", path="/nowhere/a.gguf", parts=(), size=size, header=header, origin="blob")
    return Brain(name=name, state="ready", base=base, size=size, **more)


@pytest.fixture
async def keeper(home: Home) -> AsyncIterator[KeeperClient]:
    async with kept(home) as client:
        yield client


class Heard(list[str]):
    """What was said aloud."""


def engines(home: Home, keeper: Any, heard: list[str], use: str) -> Engines:
    return Engines(home, keeper, parse(f'[engine]\nuse = "{use}"\ncontext = 512\n'), machine(16), said=heard.append)


def passed(runtime: Runtime, engines: Engines, prompt: float = 100.0) -> RuntimeTrial:
    return RuntimeTrial(
        runtime=runtime.key,
        machine=engines.machine,
        types=tuple(sorted(TYPES)),
        speeds=Speeds(prompt=prompt, answer=20.0),
        own=Speeds(prompt=100.0, answer=20.0),
    )


def own_is_scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Omni's own engine would say to a file that is not there is no part of these tests."""
    spec = Engines.spec

    def scripted(*given: Any, **more: Any) -> WorkerSpec:
        made = spec(*given, **more)
        return msgspec.structs.replace(made, engine="scripted") if made.engine == BUILT_IN else made

    monkeypatch.setattr(Engines, "spec", scripted)


async def failing(
    home: Home, keeper: KeeperClient, heard: list[str], folder: Path, *, elsewhere: bool = False
) -> Engines:
    """Engines with one that answered in its trial, here and perhaps `elsewhere`, and loads nothing now."""
    runtime = await added(home, fake_server(folder / "own-server", before="sys.exit('no device')"))
    made = engines(home, keeper, heard, "own-server")
    trial = passed(runtime, made)
    for place in ("another one", made.machine) if elsewhere else (made.machine,):
        Runtimes(home).note(runtime, msgspec.structs.replace(trial, machine=place))
    return made


async def test_a_chosen_engine_is_tried_before_its_first_use_and_then_answers(
    home: Home, tmp_path: Path, keeper: KeeperClient
) -> None:
    heard: list[str] = []
    runtime = await added(home, fake_server(tmp_path / "own-server", reply="by a program"))
    made = engines(home, keeper, heard, "own-server")
    assert made.choice(brain()).untried
    assert made.spec(brain()).engine == BUILT_IN
    engine = await made.open(brain())
    [trial] = Runtimes(home).tried(runtime)
    assert trial.passed
    assert trial.types == ("F32", "Q4_K")
    assert made.spec(brain()).engine == "own-server"
    assert made.spec(brain()).settings["llguidance"] == 0
    assert text_of(await events_of(engine, asked("Hi"))) == "by a program"
    assert heard == []
    [worker] = [one for one in await keeper.processes() if one.kind == "worker"]
    assert worker.engine == "own-server"
    await made.close()


@pytest.mark.parametrize("kind", ["llama_cpp", "mlx"])
def test_a_kind_that_can_do_little_is_given_nothing_else_to_do(home: Home, kind: RuntimeKind) -> None:
    runtime = Runtime(name="small", kind=kind, sha256="5" * 64)
    with Runtimes(home).adding("small") as folder:
        write(folder, runtime)
    heard: list[str] = []
    made = engines(home, None, heard, "small")
    own = made.spec(brain())
    assert own.engine == BUILT_IN
    Runtimes(home).note(runtime, passed(runtime, made))
    spec = made.spec(brain())
    assert spec.engine == "small"
    assert {"speculation", "prefixes"} <= own.settings.keys()
    assert not {"speculation", "prefixes"} & spec.settings.keys()
    plain_numbers = 4 * 100 if kind == "mlx" else 0
    guesses = 31 * 4 * (1 << 17)  # rows of likelihoods, of a vocabulary that is not known
    assert spec.need_bytes - own.need_bytes == plain_numbers - guesses
    unmapped = 100 - TYPES["Q4_K"]  # of the weights what is not packed anew is not mapped, either
    assert int(spec.settings["ceiling"]) - int(own.settings["ceiling"]) == plain_numbers + unmapped - guesses
    assert made.spec(brain(), embeddings=True).engine == ("small" if kind == "llama_cpp" else BUILT_IN)
    elsewhere = "small makes no vectors: those of @omni/a come from the engine that comes with Omni"
    assert heard == ([elsewhere] if kind == "mlx" else [])
    nobody: Any = None
    adapted = Engines(
        home, nobody, parse('[engine]\nuse = "small"\n'), machine(16), adapters=lambda _: ["/nowhere/b.gguf"]
    )
    assert adapted.choice(brain()).words == "small cannot do adapters, which this brain needs"
    assert adapted.spec(brain()).engine == BUILT_IN


async def test_one_that_crashes_in_its_trial_is_not_used_and_that_is_said_once(
    home: Home, tmp_path: Path, keeper: KeeperClient
) -> None:
    heard: list[str] = []
    await added(home, fake_server(tmp_path / "own-server", before="os.kill(os.getpid(), signal.SIGILL)"))
    made = engines(home, keeper, heard, "own-server")
    await made.open(brain())
    await made.open(brain())
    assert made.spec(brain()).engine == BUILT_IN
    assert heard == [
        "own-server ends with an illegal instruction with Q4_K: its code is for processors of another kind, so that "
        "xllamacpp answers"
    ]
    await made.close()


async def test_one_that_answered_and_now_cannot_load_a_brain_gives_way_to_omnis_own(
    home: Home, tmp_path: Path, keeper: KeeperClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[str] = []
    made = await failing(home, keeper, heard, tmp_path)
    own_is_scripted(monkeypatch)
    engine = await made.open(brain())
    assert text_of(await events_of(engine, asked("Hi")))
    assert len(heard) == 1
    assert heard[0].startswith("own-server could not load @omni/a: The engine 'own-server' failed: ")
    assert heard[0].endswith("so that xllamacpp answers")
    assert made.choice(brain()).runtime == BUILT_IN
    await made.close()


async def test_what_was_found_out_on_another_machine_makes_nobody_give_way_for_ever(
    home: Home, tmp_path: Path, keeper: KeeperClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[str] = []
    made = await failing(home, keeper, heard, tmp_path, elsewhere=True)
    own_is_scripted(monkeypatch)
    engine = await made.open(brain())
    assert text_of(await events_of(engine, asked("Hi")))
    assert text_of(await events_of(engine, asked("Hi again")))
    assert len(heard) == 1
    assert made.choice(brain()).runtime == BUILT_IN
    await made.close()


async def test_two_questions_at_once_give_way_together(
    home: Home, tmp_path: Path, keeper: KeeperClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[str] = []
    made = await failing(home, keeper, heard, tmp_path)
    own_is_scripted(monkeypatch)
    engine = await made.open(brain())
    answers = await asyncio.gather(*(events_of(engine, asked(f"Hi {number}")) for number in range(3)))
    assert all(text_of(events) for events in answers)
    assert len(heard) == 1
    await made.close()


async def test_one_that_is_tried_again_and_answers_is_used_again(
    home: Home, tmp_path: Path, keeper: KeeperClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = tmp_path / "stop"
    stop.touch()
    program = fake_server(
        tmp_path / "own-server", before=f"os.path.exists({str(stop)!r}) and sys.exit('busy')", reply="here"
    )
    runtime = await added(home, program)
    made = engines(home, keeper, [], "own-server")
    Runtimes(home).note(runtime, passed(runtime, made))
    own_is_scripted(monkeypatch)
    assert text_of(await events_of(await made.open(brain()), asked("Hi"))) != "here"
    stop.unlink()
    assert (await made.try_runtime(runtime, brain(), compare=False)).passed
    assert text_of(await events_of(await made.open(brain()), asked("Hi"))) == "here"
    await made.close()


async def test_one_that_is_removed_while_it_loads_gives_way(
    home: Home, tmp_path: Path, keeper: KeeperClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[str] = []
    runtime = await added(home, fake_server(tmp_path / "own-server"))
    made = engines(home, keeper, heard, "own-server")
    Runtimes(home).note(runtime, passed(runtime, made))
    own_is_scripted(monkeypatch)
    engine = await made.open(brain())
    Runtimes(home).remove("own-server")
    assert text_of(await events_of(engine, asked("Hi")))
    assert heard == ["No engine is named 'own-server', so that xllamacpp answers"]
    await made.close()


async def test_a_program_that_was_changed_is_not_asked_for_its_devices(
    home: Home, tmp_path: Path, keeper: KeeperClient
) -> None:
    program = fake_server(tmp_path / "own-server")
    runtime = await added(home, program)
    left = tmp_path / "left"
    program.write_text(f"#!/bin/sh\ntouch {left}\n")
    made = engines(home, keeper, [], "own-server")
    with pytest.raises(BadFile, match="is not the file that was added"):
        await made.try_runtime(runtime, brain(), compare=False)
    assert not left.exists()
    await made.close()


async def test_a_model_for_vectors_is_asked_no_question_of_a_trial(home: Home, tmp_path: Path) -> None:
    await added(home, fake_server(tmp_path / "own-server"))
    vectors = brain()
    assert vectors.base is not None
    header = msgspec.structs.replace(vectors.base.header, kind="embedding")
    vectors = msgspec.structs.replace(vectors, base=msgspec.structs.replace(vectors.base, header=header))
    made = engines(home, None, [], "own-server")  # nobody is there who could try
    await made.open(vectors)
    assert made.spec(vectors).engine == BUILT_IN
    assert to_try([vectors]) == []
    await made.close()


async def test_auto_changes_the_worker_where_another_engine_measured_better(home: Home, tmp_path: Path) -> None:
    registry = Runtimes(home)
    runtime = await added(home, fake_server(tmp_path / "own-server"))
    made = engines(home, None, [], "auto")
    assert made.spec(brain()).engine == BUILT_IN
    registry.note(runtime, passed(runtime, made, 150.0))
    assert made.spec(brain()).engine == "own-server"
    assert made.spec(brain()).settings["mapped"] == 0  # of Q4_K a processor has a copy of its own
    assert made.spec(brain(types={"Q8_0": 1})).engine == BUILT_IN
    registry.remove("own-server")
    assert made.spec(brain()).engine == BUILT_IN


def test_brains_of_each_set_of_types_are_tried_the_smallest_first_and_one_of_each_base() -> None:
    large, small = brain("large", 300), brain("small", 200)
    same = brain("same", 200, shares="small")
    other = brain("other", 900, {"Q8_0": 1})
    gone = Brain(name="gone", state="gone")
    names = [[one.name for one in brains] for brains in to_try([large, other, gone, same, small])]
    assert names == [["small", "large"], ["other"]]


BROKEN = (
    'if "broken" in after("--model"):\n'
    '    sys.stderr.write("0.00.001.000 E llama_model_load: error loading model: tensor data is not within the file\\n")\n'
    "    sys.exit(1)"
)


def broken_brain(folder: Path) -> Brain:
    """One whose file a fake server that runs BROKEN refuses, as llama.cpp does."""
    whole = brain("@me/broken", 90)
    assert whole.base is not None
    path = folder / "broken.gguf"
    path.write_bytes(b"GGUF")
    base = msgspec.structs.replace(whole.base, path=str(path), parts=(str(path),))
    return msgspec.structs.replace(whole, base=base)


@pytest.mark.parametrize("layers", [0, 17])
async def test_a_file_that_an_engine_refuses_is_remembered_and_the_engine_runs_all_others(
    home: Home, tmp_path: Path, keeper: KeeperClient, monkeypatch: pytest.MonkeyPatch, layers: int
) -> None:
    own_is_scripted(monkeypatch)
    heard: list[str] = []
    program = fake_server(tmp_path / "own-server", before=BROKEN, help_text=FOR_CARDS, reply="by a program")
    runtime = await added(home, program)
    made, broken = engines(home, keeper, heard, "own-server"), broken_brain(tmp_path)
    trial = passed(runtime, made)
    if layers:
        trial = msgspec.structs.replace(trial, devices=(CARD,), looked="auto", layers=layers)
    Runtimes(home).note(runtime, trial)
    assert made.spec(broken).engine == "own-server"
    assert text_of(await events_of(await made.open(broken), asked("Hi"))) == "You said: Hi"
    assert [words for words in heard if "so that" in words] == [
        "own-server cannot load @me/broken: tensor data is not within the file, so that xllamacpp answers"
    ]
    assert Runtimes(home).tried(runtime) == (trial,)  # neither a failure of these types nor a rest of its device
    assert made.spec(broken).engine == "scripted"
    assert made.spec(brain()).engine == "own-server"
    assert text_of(await events_of(await made.open(brain()), asked("Hi"))) == "by a program"
    (tmp_path / "broken.gguf").write_bytes(b"GGUF and the rest of it")
    assert made.spec(broken).engine == "own-server"
    await made.close()


async def test_a_trial_with_a_broken_file_says_nothing_of_its_types(
    home: Home, tmp_path: Path, keeper: KeeperClient
) -> None:
    heard: list[str] = []
    runtime = await added(home, fake_server(tmp_path / "own-server", before=BROKEN, reply="by a program"))
    made, broken = engines(home, keeper, heard, "own-server"), broken_brain(tmp_path)
    with pytest.raises(LoadFailed, match=r"own-server cannot load @me/broken: tensor data is not within the file\.$"):
        await made.try_runtime(runtime, broken, compare=False)
    assert Runtimes(home).tried(runtime) == ()
    await made.open(broken)
    assert heard == ["own-server cannot load @me/broken: tensor data is not within the file, so that xllamacpp answers"]
    assert (await made.try_runtime(runtime, brain(), compare=False)).passed
    assert made.choice(brain()).runtime == "own-server"
    Runtimes(home).forget_refusals(runtime)
    assert made.choice(broken).runtime == "own-server"
    await made.close()


async def test_an_engine_answers_though_what_a_newer_omni_found_out_cannot_be_added_to(
    home: Home, tmp_path: Path, keeper: KeeperClient
) -> None:
    heard: list[str] = []
    await added(home, fake_server(tmp_path / "own-server", reply="by a program"))
    tried = home.engines / "own-server" / "tried.json"
    tried.write_text('{"format": 9}')
    tried.chmod(0o600)
    made = engines(home, keeper, heard, "own-server")
    await made.open(brain())
    assert made.spec(brain()).engine == BUILT_IN
    assert (
        heard[0] == f"another engine could not be tried: {tried} was written by a newer Omni, so that xllamacpp answers"
    )
    assert tried.read_text() == '{"format": 9}'
    await made.close()


def wide_brain() -> Brain:
    """One of 17 layers, the last one included."""
    narrow = brain()
    assert narrow.base is not None
    header = msgspec.structs.replace(narrow.base.header, layer_bytes=(5,) * 16, output_bytes=20)
    return msgspec.structs.replace(narrow, base=msgspec.structs.replace(narrow.base, header=header))


CARD = ComputeDevice(name="CUDA0", description="NVIDIA T400", total=8 << 30, free=8 << 30)
FOR_CARDS = f"{HELP}\n-ngl, --gpu-layers N    layers\n-dev, --device NAMES    devices\n"


async def test_a_device_that_is_lost_in_mid_answer_rests_comes_back_by_itself_and_rests_longer_the_next_time(
    home: Home, tmp_path: Path, keeper: KeeperClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_is_scripted(monkeypatch)
    heard: list[str] = []
    program = fake_server(tmp_path / "own-server", help_text=FOR_CARDS, reply="here it is", die_after=1, die_at="lose")
    runtime = await added(home, program)
    made, wide = engines(home, keeper, heard, "auto"), wide_brain()
    better = msgspec.structs.replace(passed(runtime, made, prompt=900.0), devices=(CARD,), looked="auto", layers=17)
    Runtimes(home).note(runtime, better)

    async def answer(question: str) -> str:
        return text_of(await events_of(await made.open(wide), asked(question)))

    def loss() -> DeviceLoss:
        [trial] = Runtimes(home).tried(runtime)
        assert trial.speeds == better.speeds  # what was measured stays
        assert trial.lost is not None
        return trial.lost

    assert await answer("Hi") == "here it is"
    with pytest.raises(OmniError, match="ended"):
        await answer("lose it")
    assert await answer("Hi") == "You said: Hi"
    assert heard == [f"own-server {loss().rest_words}, so that scripted on the processor answers"]
    assert (loss().times, loss().words) == (1, "ended while @omni/a answered with 17 layers on CUDA0")

    another_start = msgspec.structs.replace(loss(), boot="another start of the machine")
    Runtimes(home).note(runtime, msgspec.structs.replace(better, lost=another_start))
    assert await answer("Hi") == "here it is"
    with pytest.raises(OmniError, match="ended"):
        await answer("lose it")
    assert await answer("Hi") == "You said: Hi"
    assert loss().times == 2
    again = msgspec.structs.replace(loss(), boot="another start of the machine")
    Runtimes(home).note(runtime, msgspec.structs.replace(better, lost=again))
    assert await answer("Hi") == "You said: Hi"  # a new start ends the first rest only
    over = msgspec.structs.replace(again, at=again.at - 25 * 3600)
    Runtimes(home).note(runtime, msgspec.structs.replace(better, lost=over))
    assert await answer("Hi") == "here it is"
    await made.close()


async def test_fewer_layers_are_tried_where_a_device_has_too_little_memory_and_what_loads_is_remembered(
    home: Home, tmp_path: Path, keeper: KeeperClient
) -> None:
    heard: list[str] = []
    short = (
        'if int(after("--gpu-layers")) > 4:\n'
        '    sys.stderr.write("ggml_vulkan: Device memory allocation of size 9 failed.\\n")\n'
        "    sys.exit(1)"
    )
    runtime = await added(home, fake_server(tmp_path / "own-server", before=short, help_text=FOR_CARDS, reply="here"))
    made = engines(home, keeper, heard, "own-server")
    on_device = msgspec.structs.replace(passed(runtime, made), devices=(CARD,), looked="auto", layers=17)
    Runtimes(home).note(runtime, on_device)
    wide = wide_brain()
    assert made.spec(wide).settings["gpu_layers"] == 17
    engine = await made.open(wide)
    assert text_of(await events_of(engine, asked("Hi"))) == "here"
    assert made.spec(wide).settings["placed"] == "4 layers on CUDA0"
    [trial] = Runtimes(home).tried(runtime)
    assert trial.fits == {"sha256-100": 4}
    assert trial.passed
    assert "@omni/a: 17 layers on CUDA0 need more memory than is free there; fewer are tried" in heard
    assert "@omni/a: 4 of 17 layers on CUDA0: more did not load" in heard
    assert not any("so that" in words for words in heard)
    [worker] = [one for one in await keeper.processes() if one.kind == "worker"]
    assert (worker.engine, worker.placed) == ("own-server", "4 layers on CUDA0")
    await made.close()


async def test_a_brain_that_asks_for_a_trial_ends_no_rest_and_forgets_no_loss(
    home: Home, tmp_path: Path, keeper: KeeperClient
) -> None:
    program = fake_server(tmp_path / "own-server", help_text=FOR_CARDS, reply="here")
    runtime = await added(home, program)
    other = Engines(
        home, keeper, parse('[engine]\nuse = "own-server"\ncontext = 512\n'), machine(16), said=lambda _: None
    )
    resting = msgspec.structs.replace(
        passed(runtime, other),
        types=("Q8_0",),
        devices=(CARD,),
        looked="auto",
        layers=17,
        lost=lost("ended", Moment.here()),
    )
    Runtimes(home).note(runtime, resting)
    engine = await other.open(wide_brain())
    del engine
    assert list(Runtimes(home).tried(runtime)) == [resting]
    await other.close()


@pytest.mark.long
@pytest.mark.parametrize("asked_by_a_person", [False, True])
async def test_a_loss_is_forgotten_only_where_a_person_asks_for_a_trial(
    home: Home, tmp_path: Path, keeper: KeeperClient, monkeypatch: pytest.MonkeyPatch, asked_by_a_person: bool
) -> None:
    own_is_scripted(monkeypatch)
    monkeypatch.setattr("omni.engine._picking.find_devices", lambda *_: (CARD,))
    runtime = await added(home, fake_server(tmp_path / "own-server", help_text=FOR_CARDS, reply="here"))
    made = engines(home, keeper, [], "own-server")
    over = DeviceLoss(at=Moment.here().now - 7 * 3600, words="ended")
    before = msgspec.structs.replace(passed(runtime, made), devices=(CARD,), looked="auto", layers=17, lost=over)
    Runtimes(home).note(runtime, before)
    trial = await made.try_runtime(runtime, wide_brain(), compare=asked_by_a_person)
    assert (trial.layers, trial.lost) == (17, None if asked_by_a_person else over)
    await made.close()
