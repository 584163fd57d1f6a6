"""A worker's process: how it loads, what confines it, how it ends, and what a front end sees of that."""

import asyncio
import json
import os
import signal
import sys
from contextlib import aclosing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from omni.core.confinement import state_of
from omni.core.errors import BadFile, EngineError
from omni.core.events import BrainLoading, PromptProgress, ReasoningDelta, TextDelta
from omni.core.landlock import missing
from omni.core.paths import Home
from omni.engine import WorkerEngine
from omni.engine.http import WorkerClient
from omni.engine.llama import reason_of
from omni.engine.refusals import Misasked
from omni.engine.scripted_worker import VOCABULARY
from omni.hardware import process_memory
from omni.keeper import WorkerSpec
from omni.runtimes import add, offered
from tests.engine.engine_tools import DirectKeeper, Worker, asked, end_of, events_of, real_spec, scripted_spec, text_of
from tests.runtime_tools import wheel

Make = Any


async def test_loading_is_told_before_the_first_word(worker_engine: Make) -> None:
    async with worker_engine(scripted_spec()) as engine:
        events = await events_of(engine, asked("Hi"))
        assert isinstance(events[0], BrainLoading)
        assert not any(isinstance(event, BrainLoading) for event in await events_of(engine, asked("Hi")))


async def test_a_cancelled_turn_keeps_its_ticket_until_the_slot_is_idle(
    worker_engine: Make, keeper: DirectKeeper
) -> None:
    async with worker_engine(scripted_spec(endless=1, reply="on and on", token_ms=1)) as engine:
        events = engine.chat(asked("Hi", max_tokens=100_000))
        await anext(event async for event in events if isinstance(event, TextDelta))
        keeper.given_back.clear()
        await events.aclose()
        assert keeper.turns
        async with asyncio.timeout(10):
            await keeper.given_back.wait()
        assert not keeper.turns
        slots = await WorkerClient(keeper.process(engine.spec).socket, keeper.process(engine.spec).key).json("/slots")
        assert not any(slot["is_processing"] for slot in slots)


@pytest.mark.real
async def test_computing_stops_after_a_cancelled_prompt(
    worker_engine: Make, keeper: DirectKeeper, starter_gguf: Path
) -> None:
    """A prompt of 1,500 tokens takes seconds; the server looks at its client once a second, then ends its batch."""
    async with worker_engine(real_spec(starter_gguf)) as engine:
        await engine.capabilities()
        events = engine.chat(asked("word " * 1500, max_tokens=64))
        await anext(event async for event in events if isinstance(event, PromptProgress))
        keeper.given_back.clear()
        await events.aclose()
        async with asyncio.timeout(20):
            await keeper.given_back.wait()
        assert text_of(await events_of(engine, asked("Hello.")))


async def test_closing_the_engine_gives_back_what_a_cancelled_turn_held(
    worker_engine: Make, keeper: DirectKeeper
) -> None:
    async with worker_engine(scripted_spec(endless=1, reply="on", token_ms=1)) as engine:
        events = engine.chat(asked("Hi", max_tokens=100_000))
        await anext(event async for event in events if isinstance(event, TextDelta))
        await events.aclose()
    assert not keeper.turns


async def test_a_worker_that_hangs_after_its_client_has_left_is_ended(home: Home, keeper: DirectKeeper) -> None:
    spec = scripted_spec(endless=1, reply="again")
    engine = WorkerEngine(spec, cast("Any", keeper), name="@omni/test", patience=0.05)
    async with aclosing(engine.chat(asked("Hi", max_tokens=1000))) as events:
        await anext(event async for event in events if isinstance(event, TextDelta))
        hanging = keeper.process(spec).process
        hanging.send_signal(signal.SIGSTOP)
    await keeper.given_back.wait()
    assert hanging.poll() == -signal.SIGKILL
    assert text_of(await events_of(engine, asked("Hi", max_tokens=2)))
    await engine.close()


async def test_a_request_that_has_ended_two_workers_is_not_sent_to_a_third(home: Home) -> None:
    asked_for: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1]
        asked_for.append(path)
        known = {
            b"/props": b'{"default_generation_settings":{"n_ctx":100}}',
            b"/v1/chat/completions/input_tokens": b'{"input_tokens":1}',
        }.get(path)
        if known is not None:  # else it ends, without a word
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(known), known))
        writer.close()

    class Dying(DirectKeeper):
        """Its workers all are the one above."""

        def process(self, spec: WorkerSpec) -> Any:
            return SimpleNamespace(name="dying", socket=socket, key="k", facts={"state": "ready"})

    socket = str(home.ensure_sockets() / "dying.sock")
    async with await asyncio.start_unix_server(serve, socket):
        engine = WorkerEngine(scripted_spec(), cast("Any", Dying(home)), name="@omni/test")
        with pytest.raises(EngineError, match="ended in the middle"):
            await events_of(engine, asked("Hi"))
    assert asked_for.count(b"/v1/chat/completions") == 2


async def test_a_turn_reserves_its_prompt_and_its_answer(worker_engine: Make, keeper: DirectKeeper) -> None:
    async with worker_engine(scripted_spec(reply="a b c")) as engine:
        async with aclosing(engine.chat(asked("one two", max_tokens=100))) as events:
            await anext(event async for event in events if isinstance(event, TextDelta))
            assert [turn.tokens for turn in keeper.turns] == [3 + 100]
        await events_of(engine, asked("x"))


async def test_a_model_that_never_stops_is_stopped(worker_engine: Make) -> None:
    async with worker_engine(scripted_spec(endless=1, reply="again")) as engine:
        assert end_of(await events_of(engine, asked("Hi", max_tokens=50))).reason == "length"


async def test_thoughts_are_apart_from_the_answer(worker_engine: Make) -> None:
    async with worker_engine(scripted_spec(reasoning="hm so", reply="Yes.")) as engine:
        events = await events_of(engine, asked("Hi"))
        assert text_of(events) == "Yes."
        assert "".join(event.text for event in events if isinstance(event, ReasoningDelta)) == "hm so"


async def test_a_base_that_cannot_be_loaded_says_why(worker_engine: Make) -> None:
    async with worker_engine(scripted_spec(load_error="It is broken.")) as engine:
        with pytest.raises(EngineError) as failed:
            await events_of(engine, asked("Hi"))
        assert "It is broken." in failed.value.hint


@pytest.mark.real
@pytest.mark.parametrize("kind", ["truncated", "no GGUF"])
async def test_a_bad_file_gives_the_reason_of_llama_cpp(
    worker_engine: Make, starter_gguf: Path, tmp_path: Path, kind: str
) -> None:
    bad = tmp_path / "bad.gguf"
    with starter_gguf.open("rb") as whole:
        bad.write_bytes(whole.read(5_000_000) if kind == "truncated" else b"hello, I am no GGUF" * 100)
    async with worker_engine(real_spec(bad)) as engine:
        wanted = "tensor .* is not within the file bounds" if kind == "truncated" else "invalid magic"
        with pytest.raises(BadFile, match=f"^This engine cannot load bad.gguf: {wanted}"):
            await events_of(engine, asked("Hi"))


def test_the_reason_is_found_in_the_log() -> None:
    log = (
        "0.00.002.708 E gguf_init_from_reader: invalid magic characters: 'hell', expected 'GGUF'\n"
        "0.00.002.835 E llama_model_load: error loading model: llama_model_loader: failed to load model from /x.gguf\n"
        "0.00.002.847 E cmn  common_init_: failed to load model '/x.gguf'\n"
    )
    assert reason_of(log) == "invalid magic characters: 'hell', expected 'GGUF'"
    unknown = "0.1.2.3 E llama_model_load: error loading model: unknown model architecture: 'new'\n"
    assert reason_of(unknown) == "unknown model architecture: 'new'"
    assert reason_of("0.1.2.3 W srv init: something else\n") == ""


@pytest.mark.real
@pytest.mark.parametrize("engine", ["scripted", "xllamacpp"])
async def test_a_worker_is_confined_and_nice_and_tells_its_figures(
    keeper: DirectKeeper, starter_gguf: Path, engine: str
) -> None:
    worker = keeper.process(scripted_spec() if engine == "scripted" else real_spec(starter_gguf))
    await worker.ready()
    assert worker.facts["confined"] in ("seccomp", "sandbox-exec") or worker.facts["confined"].startswith("none: ")
    assert worker.facts["seconds"] > 0
    assert worker.facts["cells"] == 2048
    if os.uname().sysname == "Linux":
        assert state_of(worker.process.pid).enforced
        assert os.getpriority(os.PRIO_PROCESS, worker.process.pid) >= 10
        assert worker.facts["memory"] > 1 << 20
    attempts = (await worker.order("wall"))["attempts"]
    assert attempts
    assert all(attempt["refused"] for attempt in attempts)


async def test_the_order_to_stop_ends_the_worker_and_its_sockets(keeper: DirectKeeper, home: Home) -> None:
    worker = keeper.process(scripted_spec())
    await worker.ready()
    assert await worker.order("stop") == {}
    assert await asyncio.to_thread(worker.process.wait, 10) == 0
    assert Path(worker.socket).name not in os.listdir(home.sockets)


@pytest.mark.real
@pytest.mark.parametrize("engine", ["scripted", "xllamacpp"])
async def test_only_who_has_the_key_is_answered(keeper: DirectKeeper, starter_gguf: Path, engine: str) -> None:
    worker = keeper.process(scripted_spec() if engine == "scripted" else real_spec(starter_gguf))
    await worker.ready()
    with pytest.raises(EngineError, match="Invalid API Key"):
        await WorkerClient(worker.socket, "guessed").json("/slots")


@pytest.mark.real
async def test_a_stale_socket_is_no_obstacle(keeper: DirectKeeper, starter_gguf: Path) -> None:
    (keeper.home.ensure_sockets() / "worker-1.sock").touch()
    await keeper.process(real_spec(starter_gguf)).ready()


@pytest.mark.real
async def test_the_log_does_not_say_what_was_asked(
    worker_engine: Make, keeper: DirectKeeper, starter_gguf: Path
) -> None:
    spec = real_spec(starter_gguf)
    async with worker_engine(spec) as engine:
        answer = text_of(await events_of(engine, asked("My password is hunter2.")))
    log = keeper.process(spec).log.read_text("utf-8")
    assert "hunter2" not in log
    assert answer not in log


@pytest.mark.real
@pytest.mark.parametrize(
    ("template", "wanted"),
    [
        ("{% for message in messages %}<<{{ message['content'] }}>>{% endfor %}", "<<Hi>>"),
        ("zephyr", "<|user|>\nHi<|endoftext|>\n<|assistant|>\n"),
    ],
)
async def test_a_template_of_the_spec_replaces_the_one_of_the_file(
    worker_engine: Make, keeper: DirectKeeper, starter_gguf: Path, template: str, wanted: str
) -> None:
    spec = real_spec(starter_gguf, chat_template=template)
    async with worker_engine(spec) as engine:
        await engine.capabilities()
        worker = keeper.process(spec)
        body = {"messages": [{"role": "user", "content": "Hi"}]}
        prompt = (await WorkerClient(worker.socket, worker.key).json("/apply-template", body))["prompt"]
        assert prompt == wanted
        assert text_of(await events_of(engine, asked("Hi")))


@pytest.mark.real
async def test_embeddings_come_from_a_worker_that_was_loaded_for_them(worker_engine: Make, starter_gguf: Path) -> None:
    async with worker_engine(real_spec(starter_gguf, embeddings=1, pooling="mean")) as engine:
        sea, hill, again = await engine.embed(["the sea", "a hill", "the sea"])
        assert len(sea) == 576
        assert sea == pytest.approx(again, abs=1e-3)
        assert sea != pytest.approx(hill, abs=1e-3)


@pytest.mark.real
async def test_one_chat_never_pushes_another_out(worker_engine: Make, starter_gguf: Path) -> None:
    """What idle slots keep for the prefix cache gives way to a chat that was promised all cells."""
    spec: WorkerSpec = real_spec(starter_gguf, context=512, cells=512, slots=3)
    async with worker_engine(spec) as engine:
        for topic in ("sea ", "hill ", "tree "):
            await events_of(engine, asked(topic * 130, max_tokens=4))
        ended = end_of(await events_of(engine, asked("star " * 380, max_tokens=32)))
        assert ended.context_used > 380


async def test_the_double_speaks_of_itself_as_the_real_server_does(keeper: DirectKeeper) -> None:
    worker = keeper.process(scripted_spec(adapters=json.dumps(["/a.gguf"])))
    await worker.ready()
    client = WorkerClient(worker.socket, worker.key)
    assert await client.json("/health") == {"status": "ok"}
    assert (await client.json("/props"))["total_slots"] == 4
    assert (await client.json("/lora-adapters"))[0]["path"] == "/a.gguf"
    prompt = (await client.json("/apply-template", {"messages": [{"role": "user", "content": "a b"}]}))["prompt"]
    assert len((await client.json("/tokenize", {"content": prompt}))["tokens"]) == 3
    assert (await client.json("/v1/models"))["data"][0]["meta"]["n_vocab"] == VOCABULARY
    with pytest.raises(Misasked, match="File Not Found"):
        await client.json("/nowhere")


@pytest.mark.real
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is given back on Linux only")
async def test_a_worker_that_may_not_give_memory_back_holds_its_whole_cache(
    keeper: DirectKeeper, worker_engine: Make, starter_gguf: Path
) -> None:
    taken = []
    for trim in (1, 0):
        async with worker_engine(real_spec(starter_gguf, cells=8192, trim=trim)) as engine:
            assert text_of(await events_of(engine, asked("Hello.", max_tokens=2)))
            pid = keeper.started[-1].process.pid
            taken.append((await asyncio.to_thread(process_memory, [pid]))[pid])
    cache = 8192 * 2 * 30 * 192 * 2  # bytes: keys and values of 30 layers with 3 heads of 64 numbers, each of two bytes
    assert taken[1] - taken[0] > cache // 2


# Has the thread that listens to the keeper run what follows, as machine code of a package can.
AS_CONTROL = """
import ctypes, signal, threading
def borrowed(act):
    done, said = threading.Event(), []
    def handler(_number):
        try: said.append(act())
        except OSError as error: said.append(error)
        done.set()
    kept = ctypes.CFUNCTYPE(None, ctypes.c_int)(handler)
    ctypes.CDLL(None).signal(ctypes.c_int(signal.SIGUSR1), kept)
    [control] = [one for one in threading.enumerate() if one.name == "control"]
    signal.pthread_kill(control.ident, signal.SIGUSR1)
    done.wait(20)
    if isinstance(said[0], OSError): raise said[0]
"""


@pytest.mark.parametrize("thread", ["its own", "control"])
@pytest.mark.parametrize("kept", [False, True])
async def test_an_added_wheel_writes_only_where_a_worker_must(
    home: Home, tmp_path: Path, kept: bool, thread: str
) -> None:
    if missing():
        pytest.skip(missing())
    prefixes = home.prefixes
    target = (prefixes if kept else tmp_path) / "written"
    act = f"open({str(target)!r}, 'w').write('x')"
    code = f"{AS_CONTROL}borrowed(lambda: {act})" if thread == "control" else act
    code += "\nraise RuntimeError('it wrote')\n"
    path = wheel(tmp_path, "xllamacpp-2026.9-py3-none-any.whl", {"xllamacpp/__init__.py": code.encode()})
    runtime = add(home, await offered(home, str(path), lambda: pytest.fail("a file needs no network")))
    spec = WorkerSpec(
        engine=runtime.name, base="", path="/nowhere/a.gguf", need_bytes=0, settings={"prefixes": str(prefixes)}
    )
    worker = Worker(home, "w", spec)
    assert await asyncio.to_thread(worker.process.wait, 30) == 1
    assert ("it wrote" if kept else "PermissionError") in worker.log.read_text()
    assert target.exists() == kept
