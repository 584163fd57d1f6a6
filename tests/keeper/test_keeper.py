"""One keeper per home, turns and leases, against real processes."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from omni.core.errors import EngineError, NotFound, SetupError
from omni.core.locks import is_held
from omni.core.paths import Home, python_command
from omni.keeper import KeeperChange, KeeperClient, Loading, Ready, Waiting
from omni.keeper.places import read_object
from tests.keeper.keeper_office import ROOT, Office, alive, echo, granted, keeper_command, named, proc
from tests.waiting import until

pytestmark = pytest.mark.real  # every test here starts processes


async def test_ten_started_at_once_and_one_lives(office: Office) -> None:
    started = [office.keeper() for _ in range(10)]
    await until(lambda: read_object(office.home.keeper_file))
    await until(lambda: sum(one.poll() is None for one in started) == 1)
    (alive,) = [one for one in started if one.poll() is None]
    assert alive.pid == office.pid
    assert all(one.returncode == 0 for one in started if one is not alive)
    client = await office.client(starter=None)
    await client.shutdown()
    assert alive.wait(10) == 0
    assert not office.home.keeper_file.exists()


async def test_without_a_starter_and_a_keeper_there_is_none(office: Office) -> None:
    with pytest.raises(NotFound, match="No keeper"):
        await KeeperClient.connect(office.home, None, client="cli")


async def test_the_real_keeper_starts_with_the_standard_library_alone(office: Office) -> None:
    command = python_command("omni.keeper.process", packages=False)
    process = office.keeper(command)
    await until(lambda: read_object(office.home.keeper_file))
    client = await KeeperClient.connect(office.home, None, client="cli")
    assert [one.kind for one in await client.processes()] == ["keeper", "client"]
    assert os.getsid(process.pid) == process.pid
    await client.shutdown()
    await client.close()
    assert process.wait(10) == 0


async def test_a_turn_loads_a_worker_and_talks_to_it(office: Office) -> None:
    client = await office.client()
    async with client.turn(office.spec()) as turn:
        with pytest.raises(RuntimeError):
            turn.socket  # noqa: B018 - to ask for it is the test
        states = [state async for state in turn.waiting()]
        assert isinstance(states[0], Loading)
        assert await echo(turn) == f"{turn.key} hello"
        assert turn.worker == "worker-1"


async def test_a_worker_runs_as_it_must_and_its_key_is_in_no_command_line(office: Office) -> None:
    client = await office.client()
    async with client.turn(office.spec(environment=1)) as turn:
        await granted(turn)
        (worker,) = await named(client, "worker")
        assert turn.key not in proc(worker.pid, "cmdline")
        assert turn.key not in proc(worker.pid, "environ")
        assert os.getsid(worker.pid) == worker.pid
    log = (office.home.logs / "worker-1.log").read_text()
    assert "GOMP_SPINCOUNT=1000 nice=10" in log


async def test_two_clients_share_one_worker(office: Office) -> None:
    one, two = await office.client("shell"), await office.client("cli")
    async with one.turn(office.spec(slots=2)) as first, two.turn(office.spec(slots=2, keep_alive=7)) as second:
        await asyncio.gather(granted(first), granted(second))
        assert first.worker == second.worker
        assert len(await named(two, "worker")) == 1


async def test_a_full_worker_makes_the_next_wait_and_serves_it_when_a_place_is_free(office: Office) -> None:
    one, two = await office.client("shell"), await office.client("cli")
    async with two.turn(office.spec()) as second, one.turn(office.spec()) as first:
        # Whoever comes first gets it; the other one is told what it waits for.
        tasks = {asyncio.create_task(granted(turn)): turn for turn in (first, second)}
        done, waiting = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        assert len(done) == len(waiting) == 1
        assert tasks[done.pop()] is second
        await second.__aexit__(None, None, None)
        await granted(first) if not waiting else await waiting.pop()


async def test_the_waiting_client_is_told_place_and_reason(office: Office) -> None:
    client = await office.client()
    async with client.turn(office.spec()) as first:
        await granted(first)
        async with client.turn(office.spec()) as second, client.turn(office.spec(), priority="background") as third:
            state = await anext(second.waiting())
            assert isinstance(state, Waiting)
            assert (state.place, state.reason) == (1, "slot")
            assert await anext(third.waiting()) == Waiting(
                place=2, reason="slot", detail="1 of 1 places of worker-1 are taken"
            )


async def test_the_place_of_a_killed_client_goes_to_the_next(office: Office) -> None:
    client = await office.client()
    code = f"""
import asyncio, sys
sys.path.insert(0, {str(ROOT)!r})
from omni.core.paths import Home
from omni.keeper import KeeperChange, KeeperClient, WorkerSpec
async def main():
    keeper = await KeeperClient.connect(Home({str(office.home.root)!r}), None, client="other")
    async with keeper.turn(WorkerSpec(engine="scripted", base="base", path="/brains/base.gguf", need_bytes=1000)) as turn:
        async for _ in turn.waiting(): pass
        print("granted", flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""
    other = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    assert other.stdout is not None
    assert await other.stdout.readline() == b"granted\n"
    async with client.turn(office.spec()) as turn:
        assert isinstance(await anext(turn.waiting()), Waiting)
        other.kill()
        await granted(turn)
    await other.wait()


async def test_idle_workers_make_room_at_once(office: Office) -> None:
    office.memory(10)
    client = await office.client()
    for base in ("one", "two", "three"):
        async with client.turn(office.spec(base, need=4_000_000)) as turn:
            await granted(turn)
    assert sorted(one.detail.split(",")[0] for one in await named(client, "worker")) == ["three.gguf", "two.gguf"]


async def test_a_turn_waits_for_memory_and_says_so(office: Office) -> None:
    office.memory(10)
    client = await office.client()
    async with client.turn(office.spec("one", need=8_000_000)) as first:
        await granted(first)
        async with client.turn(office.spec("two", need=8_000_000)) as second:
            state = await anext(second.waiting())
            assert isinstance(state, Waiting)
            assert state.reason == "memory"
            assert "8 MB" in state.detail
            await first.__aexit__(None, None, None)
            await granted(second)
            assert await echo(second) == f"{second.key} hello"


async def test_what_can_never_fit_is_an_error_with_figures(office: Office) -> None:
    office.memory(10)
    client = await office.client()
    async with client.turn(office.spec(need=3_000_000_000)) as turn:
        with pytest.raises(EngineError, match=r"3\.0 GB of memory; 10 MB"):
            await granted(turn)


async def test_a_worker_that_dies_while_loading_shows_the_end_of_its_log(office: Office) -> None:
    client = await office.client()
    async with client.turn(office.spec(die=1)) as turn:
        with pytest.raises(EngineError, match="could not be loaded") as caught:
            await granted(turn)
        assert "upside down" in caught.value.hint
    async with client.turn(office.spec("good")) as turn:
        await granted(turn)


async def test_kill_9_of_a_worker_costs_its_turn_and_the_next_starts_another(office: Office) -> None:
    client = await office.client()
    async with client.turn(office.spec()) as turn:
        await granted(turn)
        (worker,) = await named(client, "worker")
        reader, writer = await asyncio.open_unix_connection(turn.socket)
        os.kill(worker.pid, signal.SIGKILL)
        with suppress(ConnectionError):
            assert await reader.read() == b""  # which is how the front end sees it
        writer.close()
    async with client.turn(office.spec()) as turn:
        await granted(turn)
        assert (await named(client, "worker"))[0].pid != worker.pid
        assert await echo(turn) == f"{turn.key} hello"


async def test_how_a_worker_ended_is_told_to_whom_it_answered(office: Office) -> None:
    client = await office.client()
    async with client.turn(office.spec()) as turn:
        await granted(turn)
        (worker,) = await named(client, "worker")
        assert await client.fate(turn.socket) is None  # it lives
        assert await client.fate(office.home.run / "nobody.sock") is None
        killed = turn.socket
        reader, writer = await asyncio.open_unix_connection(killed)
        os.kill(worker.pid, signal.SIGKILL)
        with suppress(ConnectionError):
            await reader.read()  # until its end shows
        writer.close()
        fate = await client.fate(killed)
        assert fate is not None
        assert (fate.code, fate.stopped) == (-signal.SIGKILL, "")
        assert "SIGKILL" in fate.how
    async with client.turn(office.spec()) as turn:
        await granted(turn)
        (worker,) = await named(client, "worker")
        await client.stop(worker.name)
        fate = await client.fate(turn.socket)
        assert fate is not None
        assert fate.stopped
        assert await client.fate(killed) is not None


async def test_a_worker_ends_after_its_keep_alive_and_then_the_keeper(office: Office) -> None:
    office.timings["idle"] = 0.3
    client = await office.client()
    changes = client.changes()
    async with client.turn(office.spec(keep_alive=0)) as turn:
        await granted(turn)
    async with asyncio.timeout(20):
        while await named(client, "worker"):
            await anext(changes)
    pid = office.pid
    await client.close()
    await until(lambda: not is_held(office.home.keeper_lock))
    assert not office.home.keeper_file.exists()
    await until(lambda: not alive(pid))  # the lock is free a moment before the process is gone


async def test_a_lease_keeps_a_worker_loaded(office: Office) -> None:
    client = await office.client()
    async with await client.worker(office.spec(keep_alive=0)) as lease:
        states = [state async for state in lease.states()]
        assert states[-1] == Ready(worker="worker-1")
        async with client.turn(office.spec(keep_alive=0)) as turn:
            await granted(turn)
        assert len(await named(client, "worker")) == 1
    changes = client.changes()
    async with asyncio.timeout(20):
        while await named(client, "worker"):
            await anext(changes)


async def test_loading_says_how_long_it_takes_and_can_be_stopped(office: Office, tmp_path: Path) -> None:
    client = await office.client()
    async with client.turn(office.spec(gate=str(tmp_path / "never"))) as turn:
        waiting = turn.waiting()
        first, second = await anext(waiting), await anext(waiting)
        assert isinstance(first, Loading)
        assert isinstance(second, Loading)
        assert first.seconds <= second.seconds
        await client.stop("worker-1")
        with pytest.raises(EngineError, match="stopped"):
            await granted(turn)
    assert await named(client, "worker") == []


async def test_stop_of_an_unknown_worker_names_what_there_is(office: Office) -> None:
    client = await office.client()
    async with client.turn(office.spec()) as turn:
        await granted(turn)
        with pytest.raises(NotFound, match="worker-9") as caught:
            await client.stop("worker-9")
        assert "worker-1" in caught.value.hint


async def test_changes_reach_all_others(office: Office) -> None:
    one, two = await office.client("shell"), await office.client("cli")
    mine, theirs = one.changes(), two.changes()
    await one.changed("conversation", {"id": "x", "at": 41})
    await two.changed("settings")
    async with asyncio.timeout(10):
        received = [change async for change in _first(theirs, "conversation")]
        assert received[0].value == {"id": "x", "at": 41}
        assert [change.topic async for change in _first(mine, "settings")] == ["settings"]


async def test_processes_are_announced_and_named(office: Office) -> None:
    one = await office.client("shell")
    changes = one.changes()
    await office.client("cli")
    async with asyncio.timeout(10):
        assert (await anext(changes)).topic == "processes"
    listed = await one.processes()
    assert [item.kind for item in listed] == ["keeper", "client", "starter", "client", "starter"]
    assert {item.pid for item in listed if item.kind == "starter"} == {item.pid for item in office.starters}
    assert {item.confined for item in listed} == {"none"}


async def test_shutdown_ends_everything(office: Office) -> None:
    client = await office.client()
    async with client.turn(office.spec()) as turn:
        await granted(turn)
    await client.door("pull")
    pids = [one.pid for one in await client.processes() if one.kind in ("airlock", "worker")]
    await client.shutdown()
    await until(lambda: not is_held(office.home.keeper_lock))
    assert not any(alive(pid) for pid in pids)
    assert await named(client, "worker") == []  # which has started another keeper


async def test_the_wall_is_tried_in_a_worker(office: Office) -> None:
    client = await office.client()
    async with client.turn(office.spec()) as turn:
        await granted(turn)
        tried = await client.wall(turn.worker)
    assert {"AF_INET", "io_uring"} <= {one["what"] for one in tried}
    with pytest.raises(NotFound):
        await client.wall("worker-7")


async def test_the_wall_is_tried_in_everything_that_processes_names(office: Office) -> None:
    shell, asker = await office.client("shell"), await office.client("cli")
    with pytest.raises(NotFound, match="No airlock"):
        await asker.wall("airlock")
    await shell.door("pull")
    kinds = set()
    for one in await asker.processes():
        kinds.add(one.kind)
        assert "AF_INET" in {each["what"] for each in await asker.wall(one.name)}, one
    assert kinds == {"keeper", "client", "starter", "airlock"}


async def test_who_leaves_before_it_tried_the_wall_is_no_mystery(office: Office) -> None:
    shell, asker = await office.client("shell"), await office.client("cli")
    starter = office.starters[0]
    os.kill(starter.pid, signal.SIGSTOP)
    task = asyncio.create_task(asker.wall(f"starter-{starter.pid}"))
    await until(lambda: starter._unread)
    await shell.close()
    with pytest.raises(NotFound, match="ended"):
        await task
    os.kill(starter.pid, signal.SIGCONT)


async def test_a_home_with_a_very_long_name(tmp_path: Path) -> None:
    home = Home(tmp_path / ("x" * 100) / ("y" * 100)).ensure()
    office = Office(home)
    client = await office.client()
    try:
        async with client.turn(office.spec()) as turn:
            await granted(turn)
            assert await echo(turn) == f"{turn.key} hello"
    finally:
        await client.shutdown()
        await client.close()
        office.starters[0].goodbye()
        home.sockets.rmdir()


@pytest.mark.skipif(subprocess.run(["unshare", "-rn", "true"]).returncode != 0, reason="no namespaces for users")
async def test_it_works_without_any_network(office: Office) -> None:
    command = ["unshare", "-rn", *keeper_command(**office.timings)]
    process = office.keeper(command)
    await until(lambda: read_object(office.home.keeper_file))
    client = await office.client()
    async with client.turn(office.spec()) as turn:
        await granted(turn)
    await client.shutdown()
    process.wait(10)


async def test_a_home_where_no_keeper_can_live_is_one_error(office: Office) -> None:
    starter = office.starter()
    office.home.keeper_lock.mkdir()
    with pytest.raises(SetupError, match="does not start"):
        await KeeperClient.connect(office.home, starter, client="shell", patience=0.5)
    office.home.keeper_lock.rmdir()


async def _first(changes: AsyncIterator[KeeperChange], topic: str) -> AsyncIterator[KeeperChange]:
    async for change in changes:
        if change.topic == topic:
            yield change
            return
