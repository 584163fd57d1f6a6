"""kill -9 of everything, at the worst moment; moved homes, cleaned folders, stale files, clients that misbehave."""

import asyncio
import json
import os
import signal
import socket
from pathlib import Path

import pytest

from omni.core.errors import EngineError, SetupError
from omni.core.locks import is_held
from omni.core.paths import Home
from omni.keeper import KeeperClient
from omni.keeper.places import read_object
from omni.keeper.process import Keeper as Process
from tests.keeper.keeper_office import Office, alive, echo, granted, named
from tests.waiting import until

pytestmark = pytest.mark.real  # every test here starts processes


async def test_kill_9_of_the_keeper_during_a_turn_costs_nothing(office: Office) -> None:
    client = await office.client()
    async with client.turn(office.spec()) as turn:
        await granted(turn)
        (worker,) = await named(client, "worker")
        reader, writer = await asyncio.open_unix_connection(turn.socket)
        writer.write(b"before\n")
        assert (await reader.readline()).endswith(b"before\n")
        ticket = await client.door("pull")
        (airlock,) = await named(client, "airlock")
        old, epoch = office.kill_keeper(), client.epoch
        writer.write(b"after\n")
        assert (await reader.readline()).endswith(b"after\n")  # the answer in flight goes on
        await until(lambda: not alive(airlock.pid))  # the door is shut
        await until(lambda: client.epoch != epoch)
        assert office.pid != old
        assert [one.pid for one in await named(client, "worker")] == [worker.pid]  # adopted
        async with client.turn(office.spec()) as second:
            state = await anext(second.waiting())
            while getattr(state, "reason", "") != "slot":  # until it has said that it is ready
                state = await anext(second.waiting())
            await turn.__aexit__(None, None, None)  # a place that was granted before the keeper lived
            await granted(second)
        assert (await client.door("pull")).token != ticket.token
        writer.close()


async def test_a_worker_that_is_loading_is_adopted(office: Office, tmp_path: Path) -> None:
    client = await office.client()
    gate = tmp_path / "gate"
    async with client.turn(office.spec(gate=str(gate))) as turn:
        states = turn.waiting()
        await anext(states)
        await until(lambda: any(is_held(path) for path in office.home.run.glob("worker-1-*.json")))
        (worker,) = await named(client, "worker")
        office.kill_keeper()
        gate.touch()
        await granted(turn)
        assert await echo(turn) == f"{turn.key} hello"
        assert [one.pid for one in await named(client, "worker")] == [worker.pid]


async def test_a_waiting_turn_waits_on_at_the_next_keeper(office: Office) -> None:
    one, two = await office.client("shell"), await office.client("cli")
    async with one.turn(office.spec()) as first:
        await granted(first)
        async with two.turn(office.spec()) as second:
            await anext(second.waiting())
            office.kill_keeper()
            await asyncio.gather(named(one, "worker"), named(two, "worker"))
            await first.__aexit__(None, None, None)
            await granted(second)
            assert second.worker == first.worker


async def test_an_adopted_worker_can_be_ended(office: Office) -> None:
    client = await office.client()
    async with client.turn(office.spec()) as turn:
        await granted(turn)
    (worker,) = await named(client, "worker")
    office.kill_keeper()
    await until(lambda: not is_held(office.home.keeper_lock) or office.pid)
    await client.stop("worker-1")
    await until(lambda: not alive(worker.pid))
    assert await named(client, "worker") == []


async def test_an_adopted_worker_that_dies_is_noticed(office: Office) -> None:
    client = await office.client()
    async with client.turn(office.spec()) as turn:
        await granted(turn)
    (worker,) = await named(client, "worker")
    office.kill_keeper()
    assert [one.pid for one in await named(client, "worker")] == [worker.pid]
    changes = client.changes()
    os.kill(worker.pid, signal.SIGKILL)
    async with asyncio.timeout(20):
        while await named(client, "worker"):
            await anext(changes)
    async with client.turn(office.spec()) as turn:
        await granted(turn)


async def test_without_its_starter_a_window_uses_the_keeper_that_another_has_started(office: Office) -> None:
    one = await office.client("shell")
    two = await office.client("cli")
    os.kill(office.starters[0].pid, signal.SIGKILL)
    office.kill_keeper()
    assert len(await named(two, "client")) >= 1
    assert one.epoch
    assert len(await named(one, "client")) == 2


async def test_without_starter_and_keeper_the_error_says_what_to_do(office: Office) -> None:
    client = await office.client()
    os.kill(office.starters[0].pid, signal.SIGKILL)
    await until(lambda: not alive(office.starters[0].pid))
    office.kill_keeper()
    with pytest.raises(SetupError) as caught:
        await client.processes()
    assert "start it again" in caught.value.hint


async def test_a_turn_that_waits_hears_that_there_is_no_keeper_any_more(office: Office, tmp_path: Path) -> None:
    client = await office.client()
    async with client.turn(office.spec(gate=str(tmp_path / "never"))) as turn:
        await anext(turn.waiting())
        os.kill(office.starters[0].pid, signal.SIGKILL)
        await until(lambda: not alive(office.starters[0].pid))
        office.kill_keeper()
        with pytest.raises(SetupError):
            await granted(turn)


async def test_a_cleaner_that_removed_the_sockets_folder_is_survived(office: Office) -> None:
    client = await office.client()
    async with client.turn(office.spec()) as turn:
        await granted(turn)
    keeper = office.pid
    for path in list(office.home.sockets.iterdir()):
        path.unlink()
    office.home.sockets.rmdir()
    other = await office.client("cli")
    assert office.pid == keeper
    async with other.turn(office.spec()) as turn:  # its worker cannot be reached any more: another one serves
        await granted(turn)
        assert await echo(turn) == f"{turn.key} hello"


@pytest.mark.parametrize("content", ["", "garbage", "[]", '{"socket": 7}', '{"socket": "/nowhere", "epoch": "x"}'])
async def test_a_wrong_discovery_file_is_written_anew(office: Office, content: str) -> None:
    await office.client()
    keeper = office.pid
    office.home.keeper_file.write_text(content)
    await office.client("cli")
    assert office.pid == keeper


async def test_what_dead_workers_left_is_removed(office: Office) -> None:
    run = office.home.run
    run.mkdir()
    folder = office.home.ensure_sockets()
    spec = {"engine": "scripted", "base": "x", "path": "x", "need_bytes": 1, "settings": {}}
    order = dict.fromkeys(("name", "key", "state"), "x") | {"pid": 1, "spec": spec, "socket": f"{folder}/x.sock"}
    (run / "worker-1.json").write_text(json.dumps(order | {"control": f"{folder}/x.ctl"}))
    (run / "worker-2.json").write_text("garbage")
    (run / ".worker-3.json.77").write_text("")
    (folder / "x.sock").touch()
    (folder / "keeper.sock").touch()
    client = await office.client()
    assert await named(client, "worker") == []
    assert list(run.iterdir()) == []
    assert [path.name for path in folder.iterdir()] == ["keeper.sock"]


async def test_a_home_that_moves_takes_its_workers_along(office: Office, tmp_path: Path) -> None:
    client = await office.client()
    async with client.turn(office.spec()) as turn:
        await granted(turn)
        (worker,) = await named(client, "worker")
        old = office.pid
        await client.close()
        office.home.root.rename(tmp_path / "elsewhere")
        await until(lambda: not alive(old))
        moved = Office(Home(tmp_path / "elsewhere"))
        after = await moved.client()
        try:
            assert [one.pid for one in await named(after, "worker")] == [worker.pid]
            async with after.turn(office.spec()) as turn:
                await granted(turn)
                assert await echo(turn) == f"{turn.key} hello"
        finally:
            await after.shutdown()
            await after.close()
            moved.starters[0].goodbye()
            moved.home.sockets.rmdir()
            (tmp_path / "elsewhere").rename(office.home.root)


def dial(office: Office) -> socket.socket:
    state = read_object(office.home.keeper_file)
    assert state is not None
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(10)
    connection.connect(state["socket"])
    return connection


@pytest.mark.parametrize(
    "data",
    [
        b"garbage\n",
        b"[1, 2]\n",
        b"[" * 70_000 + b"\n",
        b'{"do": "hello"}\n',
        b'{"do": "processes", "id": 1}\n',
        b'{"do": ["x"], "id": {}}\n',
        b'{"do": "hello", "client": "x", "protocol": 999}\n',
        b'{"do": "hello", "client": "x", "protocol": 1, "pid": "y"}\n',
        b'{"do": "hello", "client": "x", "protocol": 1, "pid": 1, "starter": 0, "tickets": [3]}\n',
        b"\xff\xfe\n",
    ],
)
async def test_garbage_is_answered_with_an_error(office: Office, data: bytes) -> None:
    client = await office.client()
    with dial(office) as connection:
        connection.sendall(data)
        assert b'"error"' in await asyncio.to_thread(connection.recv, 4096)
    assert len(await named(client, "keeper")) == 1


@pytest.mark.parametrize(
    "order",
    [
        {"do": "turn", "ticket": 1},
        {"do": "turn", "ticket": "x", "spec": {}},
        {"do": "turn", "ticket": 1, "spec": {"engine": 1}},
        {"do": "lease", "ticket": 1, "spec": None, "priority": "now"},
        {"do": "done"},
        {"do": "stop"},
        {"do": "door", "purpose": ["x"]},
        {"do": "air_gap", "on": "yes"},
        {"do": "changed"},
        {"do": "wall"},
        {"do": "__init__"},
    ],
)
async def test_a_wrong_order_is_refused_and_the_line_stays(office: Office, order: dict[str, object]) -> None:
    await office.client()
    hello = {"id": 1, "do": "hello", "client": "x", "protocol": 1, "pid": 1, "starter": 0}
    with dial(office) as connection, connection.makefile("rwb") as line:
        for said, answer in ((hello, "ok"), ({**order, "id": 2}, "error"), ({"do": "doors", "id": 3}, "ok")):
            line.write(json.dumps(said).encode() + b"\n")
            line.flush()
            reply: dict[str, object] = {}
            while reply.get("id") != said["id"]:
                reply = json.loads(await asyncio.to_thread(line.readline))
            assert answer in reply


async def test_half_a_line_and_a_line_without_end_harm_nobody(office: Office) -> None:
    client = await office.client()
    with dial(office) as connection:
        connection.sendall(b'{"do": "hel')
    with dial(office) as endless:
        endless.setblocking(False)
        sent = 0

        def send() -> bool:
            nonlocal sent
            try:
                sent += endless.send(b"x" * 65536)
            except BlockingIOError:
                return False
            except OSError:
                return True
            return sent > 1 << 26

        await until(send)
        assert sent < 1 << 26
    assert len(await named(client, "keeper")) == 1


async def test_a_client_that_never_reads_is_let_go(office: Office) -> None:
    client = await office.client()
    with dial(office) as deaf:
        hello = {"id": 1, "do": "hello", "client": "deaf", "protocol": 1, "pid": 1, "starter": 0}
        deaf.sendall(json.dumps(hello).encode() + b"\n")
        name = f"deaf-{os.getpid()}"  # whatever it says about its pid
        await until_named(client, name)
        names = [name]
        async with asyncio.timeout(20):
            while name in names:
                await client.changed("conversation", "x" * 100_000)
                names = [one.name for one in await named(client, "client")]
    assert len(names) == 1


async def until_named(client: KeeperClient, name: str) -> None:
    async with asyncio.timeout(20):
        while name not in [one.name for one in await named(client, "client")]:
            pass


async def test_a_worker_that_its_keeper_did_not_live_to_see_leaves_the_place_to_the_next(
    office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = tmp_path / "gate"
    monkeypatch.setenv("SLOW_START", str(gate))  # Python itself takes a while to start
    client = await office.client()
    async with client.turn(office.spec()) as turn:
        await anext(turn.waiting())
        (orphan,) = await named(client, "worker")
        office.kill_keeper()
        await until(lambda: client.epoch != "" and office.pid)
        async with asyncio.timeout(20):
            while [one.pid for one in await named(client, "worker")] in ([], [orphan.pid]):
                pass
        gate.touch()
        await granted(turn)
        assert await echo(turn) == f"{turn.key} hello"  # not the orphan's key
        await until(lambda: not alive(orphan.pid))
        assert await echo(turn) == f"{turn.key} hello"  # and it has not taken the sockets along
        assert len(list(office.home.run.glob("*.json"))) == 1


@pytest.mark.parametrize(
    "order",
    [
        b'"spec": {"engine": "x", "base": "x", "path": "/x", "need_bytes": 1, "settings": {"slots": Infinity}}',
        b'"spec": {"engine": "x", "base": "x", "path": "/x", "need_bytes": 1, "settings": {"keep_alive": 1%s}}'
        % (b"0" * 400),
        b'"spec": {"engine": "x", "base": "x", "path": "/x", "need_bytes": 1%s, "settings": {}}' % (b"0" * 400),
        b'"spec": {"engine": "x", "base": "x", "path": "/x", "need_bytes": 1, "settings": {"slots": [1]}}',
        b'"tokens": 1e999, "spec": {"engine": "x", "base": "x", "path": "/x", "need_bytes": 1, "settings": {}}',
    ],
)
async def test_a_number_without_measure_stops_nobody(office: Office, order: bytes) -> None:
    client = await office.client()
    hello = {"id": 1, "do": "hello", "client": "x", "protocol": 1, "pid": 10**30, "starter": 0}
    for pid in (10**30, 1):
        with dial(office) as connection, connection.makefile("rwb") as line:
            line.write(
                json.dumps(hello | {"pid": pid}).encode() + b'\n{"id": 2, "do": "turn", "ticket": 1, ' + order + b"}\n"
            )
            line.flush()
            reply: dict[str, object] = {}
            while reply.get("id") != 2:
                reply = json.loads(await asyncio.to_thread(line.readline))
            assert "error" in reply
    async with client.turn(office.spec()) as turn:
        await granted(turn)
    assert len(await named(client, "worker")) == 1


def test_a_fault_of_ours_that_repeats_does_not_fill_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    def fail(_: object) -> None:
        raise OverflowError("too much")

    keeper = object.__new__(Process)
    keeper._trouble = ""
    for _ in range(3):
        keeper._guarded(fail, None)
    assert capsys.readouterr().err.count("OverflowError: too much") == 1


async def test_who_never_says_hello_does_not_keep_it_alive(office: Office) -> None:
    office.timings |= {"idle": 0.2, "hello": 5.0}
    client = await office.client()
    with dial(office):
        await client.close()
        await until(lambda: not is_held(office.home.keeper_lock))


async def test_a_worker_that_no_keeper_dials_ends(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONELY", "0.2")
    client = await office.client()
    async with client.turn(office.spec()) as turn:
        await granted(turn)
    (worker,) = await named(client, "worker")
    os.kill(office.starters[0].pid, signal.SIGKILL)
    await until(lambda: not alive(office.starters[0].pid))
    office.kill_keeper()
    await until(lambda: not alive(worker.pid))
    assert not (office.home.run / "worker-1.json").exists()
    with pytest.raises(SetupError):
        await KeeperClient.connect(office.home, office.starters[0], client="cli", patience=0.1)


async def test_a_lease_is_kept_by_the_next_keeper_and_loads_nothing_again(office: Office) -> None:
    client = await office.client()
    one = await client.worker(office.spec("one", keep_alive=0))
    two = await client.worker(office.spec("two", keep_alive=0))
    assert [[type(state).__name__ async for state in lease.states()][-1] for lease in (one, two)] == ["Ready", "Ready"]
    await client.stop(two.worker)
    office.kill_keeper()
    changes = client.changes()
    async with client.turn(office.spec("one", keep_alive=0)) as turn:
        await granted(turn)
    assert [item.name for item in await named(client, "worker")] == [one.worker]
    one.close()
    async with asyncio.timeout(20):
        while await named(client, "worker"):
            await anext(changes)


async def test_whoever_waits_when_all_is_shut_down_is_told(office: Office, tmp_path: Path) -> None:
    one, two = await office.client("shell"), await office.client("cli")
    async with one.turn(office.spec(gate=str(tmp_path / "never"))) as turn:
        await anext(turn.waiting())
        await two.shutdown()
        with pytest.raises(EngineError, match=r"told to end|could not be loaded"):
            await granted(turn)
