"""A server's program as a worker's child: behind the wall, with a hidden key, ending with the worker and the worker with it."""

import asyncio
import itertools
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from omni.core import memory
from omni.core.errors import EngineError
from omni.core.paths import Home
from omni.engine import Tool
from omni.engine.trials import try_runtime
from omni.keeper import KeeperClient, WorkerSpec, start
from omni.runtimes import Runtime, Runtimes
from tests.engine.engine_tools import DirectKeeper, asked, end_of, events_of, scripted_spec, text_of
from tests.engine.test_contract import calls_of
from tests.keeper_tools import kept
from tests.runtime_tools import HELP, ROOT, added, fake_server, told_by

pytestmark = pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="reads /proc")
ADD = Tool(name="add", parameters={"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]})
PLACE = {"type": "object", "properties": {"city": {"enum": ["Oslo"]}}, "required": ["city"]}


def by(runtime: str, **settings: int | str) -> WorkerSpec:
    """A worker with that engine, which keeps no grammars of ours."""
    spec = scripted_spec(llguidance=0, ceiling=2 << 30, **settings)
    return msgspec.structs.replace(spec, engine=runtime, path="/nowhere/model.gguf")


async def test_a_program_answers_as_an_engine_behind_the_wall(
    home: Home, tmp_path: Path, worker_engine: Any, keeper: DirectKeeper
) -> None:
    program = fake_server(tmp_path / "llama-server", reply="from a child")
    runtime = await added(home, program)
    async with worker_engine(by(runtime.name)) as engine:
        events = await events_of(engine, asked("Hi"))
        assert text_of(events) == "from a child"
        assert end_of(events).usage.prompt_tokens == await engine.count_tokens(asked("Hi").messages)
        [worker] = keeper.started
        assert worker.facts["confined"] == "seccomp"
        told = told_by(home)
        status = dict(line.split(":\t", 1) for line in told["status"].splitlines() if ":\t" in line)
        assert (status["Seccomp"], status["NoNewPrivs"]) == ("2", "1")
        assert told["key hidden"]
        assert worker.key not in " ".join(told["words"])
        assert os.getpriority(os.PRIO_PROCESS, told["pid"]) == 10
        assert memory.held(told["pid"]) == 2 << 30
        attempts = (await worker.order("wall"))["attempts"]
        assert all(one["refused"] for one in attempts)


async def test_a_program_can_write_nowhere_but_where_its_socket_was_made(
    home: Home, tmp_path: Path, worker_engine: Any
) -> None:
    kept = tmp_path / "a person's file"
    kept.write_text("kept")
    attempt = f"""
try:
    open({str(kept)!r}, "w")
except OSError as error:
    print("REFUSED", error.strerror, file=sys.stderr, flush=True)
try:
    os.unlink({str(kept)!r})
except OSError as error:
    print("REFUSED", error.strerror, file=sys.stderr, flush=True)
open("/dev/null", "w")
"""
    runtime = await added(home, fake_server(tmp_path / "llama-server", before=attempt))
    async with worker_engine(by(runtime.name)) as engine:
        await engine.capabilities()
    assert kept.read_text() == "kept"
    [log] = home.logs.glob("worker-*.log")
    assert log.read_text().count("REFUSED Permission denied") == 2
    assert not list(home.sockets.glob("*.d"))


async def test_the_program_ends_with_its_worker_and_the_worker_with_it(
    home: Home, tmp_path: Path, worker_engine: Any, keeper: DirectKeeper
) -> None:
    program = fake_server(tmp_path / "llama-server", reply="here")
    runtime = await added(home, program)
    async with worker_engine(by(runtime.name)) as engine:
        await engine.capabilities()
        child = os.pidfd_open(told_by(home)["pid"])
        keeper.started[0].kill()
        async with asyncio.timeout(10):
            await _gone(child)
        await engine.capabilities()
        worker = keeper.started[1]
        os.kill(told_by(home)["pid"], signal.SIGSEGV)
        assert await asyncio.to_thread(worker.process.wait, 10) == -signal.SIGSEGV
        assert text_of(await events_of(engine, asked("Hi"))) == "here"


async def test_a_server_behind_a_script_ends_with_its_worker_too(home: Home, tmp_path: Path) -> None:
    server = fake_server(tmp_path / "real-server", reply="here")
    script = tmp_path / "llama-server"
    script.write_text(f'#!/bin/sh\n{server} "$@"\n')  # it does not become the server, but waits for it
    script.chmod(0o755)
    runtime = await added(home, script)
    async with kept(home) as keeper:
        lease = await keeper.worker(by(runtime.name))
        async for _ in lease.states():
            pass
        child = os.pidfd_open(told_by(home)["pid"])
        [worker] = [one for one in await keeper.processes() if one.kind == "worker"]
        os.kill(worker.pid, signal.SIGKILL)
        async with asyncio.timeout(10):
            await _gone(child)


async def _gone(descriptor: int) -> None:
    """Wait for the end of a process that is no child of ours."""
    gone, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_reader(descriptor, gone.set)
    try:
        await gone.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


async def test_a_program_that_cannot_load_says_why(home: Home, tmp_path: Path, worker_engine: Any) -> None:
    line = "0.00.1 E llama_model_load: error loading model: unknown model architecture: 'new'"
    program = fake_server(tmp_path / "llama-server", before=f"print({line!r}, file=sys.stderr); sys.exit(1)")
    runtime = await added(home, program)
    async with worker_engine(by(runtime.name)) as engine:
        with pytest.raises(EngineError) as refused:
            await engine.capabilities()
    assert "The engine 'llama-server' failed: " in refused.value.hint
    assert "unknown model architecture: 'new'" in refused.value.hint


@pytest.mark.parametrize("end", ["sys.exit(1)", "os.kill(os.getpid(), signal.SIGABRT)"])
async def test_a_server_that_ends_with_a_draft_or_a_projector_answers_without(
    home: Home, tmp_path: Path, worker_engine: Any, end: str
) -> None:
    flags = f"{HELP}\n--spec-draft-model FNAME   draft\n--mmproj FNAME   projector\n"
    before = f'"--spec-draft-model" in words and {end}\n"--mmproj" in words and {end}'
    runtime = await added(home, fake_server(tmp_path / "own-server", before=before, help_text=flags, reply="alone"))
    spec = by(runtime.name, draft="/nowhere/small.gguf", projector="/nowhere/mmproj.gguf")
    async with worker_engine(spec) as engine:
        assert text_of(await events_of(engine, asked("Hi"))) == "alone"
    log = "".join(path.read_text("utf-8") for path in home.logs.glob("*.log"))
    assert "Without drafts: what drafts in small.gguf could not be loaded." in log
    assert "Without eyes: mmproj.gguf could not be loaded with this brain." in log


async def test_a_server_that_never_answers_is_ended_and_said(home: Home, tmp_path: Path) -> None:
    runtime = await added(home, fake_server(tmp_path / "llama-server", before="threading.Event().wait()"))
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from pathlib import Path\nfrom omni.core.errors import EngineError\nfrom omni.core.paths import Home\n"
        "from omni.engine.server import start\nfrom omni.runtimes import Runtimes\n"
        f"runtime = Runtimes(Home({str(home.root)!r})).get({runtime.name!r})\n"
        "settings = {'slots': 1, 'context': 512, 'cells': 512, 'threads': 1}\n"
        f"try:\n    start(runtime, '/nowhere.gguf', {str(tmp_path / 'x.sock')!r}, 'k', settings, "
        "log=Path('/dev/null'), offset=0, patience=3.0)\n"
        "except EngineError as error:\n    print(error.message, error.hint)\n"
    )
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=pipe, stderr=pipe)
    said, log = await asyncio.wait_for(process.communicate(), 60)
    assert said.decode().strip() == f"{runtime.program} did not answer within 3 s, and was ended."
    assert not (tmp_path / "x.sock.d").exists()
    pid = json.loads(log.decode().split("TOLD ")[1].splitlines()[0])["pid"]
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_build_that_lacks_what_is_needed_is_refused_in_words(
    home: Home, tmp_path: Path, worker_engine: Any
) -> None:
    older = "\n".join(line for line in HELP.splitlines() if "kv-unified" not in line)
    runtime = await added(home, fake_server(tmp_path / "llama-server", help_text=older))
    async with worker_engine(by(runtime.name)) as engine:
        with pytest.raises(EngineError) as refused:
            await engine.capabilities()
    assert "does not know --kv-unified, which a worker needs" in refused.value.hint


async def test_a_setting_that_a_build_cannot_keep_is_refused_in_words(
    home: Home, tmp_path: Path, worker_engine: Any
) -> None:
    runtime = await added(home, fake_server(tmp_path / "llama-server"))
    async with worker_engine(by(runtime.name, projector="/eyes.gguf")) as engine:
        with pytest.raises(EngineError) as refused:
            await engine.capabilities()
    assert "does not know --mmproj" in refused.value.hint


async def test_what_a_build_does_not_name_and_a_worker_can_do_without_is_left_out(
    home: Home, tmp_path: Path, worker_engine: Any
) -> None:
    program = fake_server(tmp_path / "llama-server", help_text=HELP.replace("- 2: warning", ""))
    runtime = await added(home, program)
    async with worker_engine(
        by(runtime.name, adapters='["/a.gguf", "/b.gguf"]', chat_template="chatml", embeddings=1)
    ) as engine:
        await engine.capabilities()
    words = told_by(home)["words"]
    assert not {"--metrics", "--poll", "--verbosity", "--no-warmup"} & set(words)
    assert words[words.index("--lora") + 1] == "/a.gguf,/b.gguf"
    assert words[words.index("--cache-ram") + 1] == "0"
    assert {"--lora-init-without-apply", "--embeddings", "--kv-unified", "--no-jinja"} <= set(words)
    assert words[words.index("--chat-template") + 1] == "chatml"


async def test_a_build_is_told_how_to_guess_and_where_to_keep_what_it_knows(
    home: Home, tmp_path: Path, worker_engine: Any
) -> None:
    flags = ("--spec-type", "--spec-ngram-map-k4v-size-n", "--spec-ngram-map-k4v-size-m")
    more = "".join(f"{flag} X      what\n" for flag in (*flags, "--cache-type-k", "--cache-type-v", "--slot-save-path"))
    for help_text, guesses in ((HELP + more, True), (HELP + more.replace("-k4v-size-n", "-size-n"), False)):
        program = fake_server(tmp_path / f"llama-server-{guesses}", help_text=help_text)
        runtime = await added(home, program)
        async with worker_engine(by(runtime.name, cache="q8_0", speculation=1, prefixes=str(home.prefixes))) as engine:
            await engine.capabilities()
        words = told_by(home)["words"]
        given = dict(itertools.pairwise(words))
        assert given["--cache-type-k"] == given["--cache-type-v"] == "q8_0"
        assert given["--slot-save-path"] == f"{home.prefixes}/"
        assert home.prefixes.is_dir()
        assert (given.get("--spec-type") == "ngram-map-k4v") is guesses
        assert all((flag in given) is guesses for flag in flags)


@pytest.mark.parametrize(
    ("flags", "words"),
    [(("--load-mode",), ["--load-mode", "none"]), (("--no-mmap",), ["--no-mmap"]), ((), [])],
)
async def test_a_build_is_told_to_keep_weights_once_in_the_words_that_it_knows(
    home: Home, tmp_path: Path, worker_engine: Any, flags: tuple[str, ...], words: list[str]
) -> None:
    more = "".join(f"{flag}   what\n" for flag in flags)
    runtime = await added(home, fake_server(tmp_path / "llama-server", help_text=HELP + more))
    async with worker_engine(by(runtime.name, mapped=0)) as engine:
        await engine.capabilities()
    told = told_by(home)["words"]
    at = told.index(words[0]) if words else 0
    assert told[at : at + len(words)] == words
    assert words or not {"--load-mode", "--no-mmap"} & set(told)


async def test_a_build_is_told_what_drafts_where_it_knows_how(home: Home, tmp_path: Path, worker_engine: Any) -> None:
    flags = ("--spec-type", "--spec-draft-model", "--spec-draft-n-max", "--spec-draft-p-min", "--spec-draft-ngl")
    for knows in (True, False):
        help_text = HELP + "".join(f"{flag} X      what\n" for flag in flags) if knows else HELP
        runtime = await added(home, fake_server(tmp_path / f"llama-server-{knows}", help_text=help_text))
        async with worker_engine(by(runtime.name, draft="/small.gguf")) as engine:
            await engine.capabilities()
        given = dict(itertools.pairwise(told_by(home)["words"]))
        assert given.get("--spec-draft-model") == ("/small.gguf" if knows else None)
        assert given.get("--spec-type") == ("draft-simple" if knows else None)


async def test_the_program_knows_nothing_of_omni(home: Home, tmp_path: Path, worker_engine: Any) -> None:
    runtime = await added(home, fake_server(tmp_path / "llama-server"))
    async with worker_engine(by(runtime.name)) as engine:
        await engine.capabilities()
    environment = told_by(home)["environment"]
    assert "PATH" in environment
    assert not [name for name in environment if name.startswith("OMNI_")]


async def test_a_program_that_was_changed_is_not_started(home: Home, tmp_path: Path, worker_engine: Any) -> None:
    program = fake_server(tmp_path / "llama-server")
    runtime = await added(home, program)
    program.write_text(program.read_text().replace("4242", "4243"))
    async with worker_engine(by(runtime.name)) as engine:
        with pytest.raises(EngineError) as refused:
            await engine.capabilities()
    assert "it is not the file that was added" in refused.value.hint
    assert told_by(home) == {}


async def test_without_grammars_of_ours_an_answer_is_held_until_it_is_proved(
    home: Home, tmp_path: Path, worker_engine: Any
) -> None:
    runtime = await added(home, fake_server(tmp_path / "good", reply='{"city": "Oslo"}'))
    async with worker_engine(by(runtime.name)) as engine:
        assert json.loads(text_of(await events_of(engine, asked("Where?", schema=PLACE)))) == {"city": "Oslo"}
    runtime = await added(home, fake_server(tmp_path / "bad", reply='{"city": "Rome"}'))
    async with worker_engine(by(runtime.name)) as engine:
        with pytest.raises(Exception, match="does not follow the schema"):
            await events_of(engine, asked("Where?", schema=PLACE))


async def test_without_grammars_of_ours_a_call_is_forced_by_a_schema(
    home: Home, tmp_path: Path, worker_engine: Any
) -> None:
    runtime = await added(home, fake_server(tmp_path / "caller", reply='{"name": "add", "arguments": {"a": 1}}'))
    async with worker_engine(by(runtime.name)) as engine:
        events = await events_of(engine, asked("Add.", tools=(ADD,), tool_choice="required", max_tokens=99))
        assert calls_of(events) == [("add", {"a": 1})]


@pytest.mark.parametrize(
    ("before", "settings", "words"),
    [
        (
            "print('AMX is not ready to be used!', file=sys.stderr, flush=True); os.kill(os.getpid(), signal.SIGILL)",
            {},
            "ends with an illegal instruction with Q4_K and Q6_K: its code is for processors with AMX",
        ),
        ("os.kill(os.getpid(), signal.SIGSEGV)", {}, "ends by SIGSEGV with Q4_K and Q6_K"),
        ("", {"die_after": 1}, "ends by SIGKILL with Q4_K and Q6_K"),
        ("sys.exit('no such device')", {}, "fails with Q4_K and Q6_K: The engine 'llama-server' failed: "),
    ],
)
async def test_a_crash_is_a_finding_in_words(
    home: Home, tmp_path: Path, before: str, settings: dict[str, Any], words: str
) -> None:
    runtime = await added(home, fake_server(tmp_path / "llama-server", before=before, reply="a b c d", **settings))
    trial = await _tried(home, runtime)
    assert not trial.passed
    assert trial.words.startswith(words)


async def test_a_trial_measures_and_finds_out_about_grammars(home: Home, tmp_path: Path) -> None:
    runtime = await added(home, fake_server(tmp_path / "llama-server", reply="The sea is wide", token_ms=1))
    trial = await _tried(home, runtime)
    assert trial.speeds is not None
    assert trial.speeds.answer > 0
    assert trial.speeds.memory > 1 << 20
    assert not trial.llguidance
    Runtimes(home).note(runtime, trial)
    assert Runtimes(home).tried(runtime) == (trial,)


async def _tried(home: Home, runtime: Runtime) -> Any:
    starter = start(home, full_screen=False)
    keeper = await KeeperClient.connect(home, starter, client="tests")
    try:
        types = ("F32", "Q4_K", "Q6_K")
        return await try_runtime(keeper, by(runtime.name), runtime, types=types, brain="@omni/test", machine="here")
    finally:
        await keeper.shutdown()
        await keeper.close()
        starter.goodbye()
