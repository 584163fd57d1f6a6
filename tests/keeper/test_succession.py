"""Updates: keepers, workers and windows of two environments in one home."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from omni.core.errors import EngineError, OmniError
from omni.keeper import KeeperClient
from omni.keeper.places import read_object
from omni.keeper.wire import PROTOCOL
from tests.keeper.keeper_office import Office, alive, echo, granted, named, proc
from tests.waiting import until

pytestmark = pytest.mark.real  # every test here starts processes


class Updated(Office):
    """A home with two environments, of which the link names the one that was made last."""

    def environment(self, name: str) -> str:
        """Make an environment and return its Python."""
        folder = self.home.venvs / name
        (folder / "bin").mkdir(parents=True)
        python = folder / "bin" / "python"
        python.symlink_to(sys.executable)
        self.name(name)
        return str(python)

    def name(self, name: str) -> None:
        self.home.venv.unlink(missing_ok=True)
        self.home.venv.symlink_to(Path("venvs") / name)

    async def window(self, python: str, name: str = "shell") -> KeeperClient:
        return await self.client(name, starter=self.starter(python))


@pytest.fixture
def updated(office: Office) -> Updated:
    updated_office = Updated(office.home)
    updated_office.clients, updated_office.starters = office.clients, office.starters  # which are closed after the test
    return updated_office


def runs(pid: int, python: str) -> bool:
    return proc(pid, "cmdline").startswith(f"{python}\0")


async def test_an_update_while_a_shell_is_open_disturbs_nobody(updated: Updated) -> None:
    old = updated.environment("old")
    shell = await updated.window(old)
    before = updated.pid
    assert runs(before, old)
    async with shell.turn(updated.spec("first", slots=2)) as turn:
        await granted(turn)
        worker = (await named(shell, "worker"))[0].pid
        new = updated.environment("new")
        newer = await updated.window(new)
        assert runs(updated.pid, new)
        assert not alive(before)
        assert (await echo(turn)).endswith("hello")  # the answer in flight goes on
        assert [one.pid for one in await named(newer, "worker")] == [worker]
        async with newer.turn(updated.spec("first", slots=2)) as second:
            await granted(second)
            assert second.worker == turn.worker
    async with shell.turn(updated.spec("other")) as turn:  # the old window gets what is new
        await granted(turn)
        (other,) = [one.pid for one in await named(shell, "worker") if one.pid != worker]
    assert runs(other, new)
    assert runs(worker, old)


async def test_old_windows_do_not_bring_the_old_keeper_back(updated: Updated) -> None:
    old = updated.environment("old")
    shells = [await updated.window(old) for _ in range(4)]
    new = updated.environment("new")
    await updated.window(new)
    after = updated.pid
    assert runs(after, new)

    async def all_are_there() -> bool:
        return {len(await named(shell, "client")) for shell in shells} == {5}

    await until(all_are_there)  # each comes over in its own time
    await updated.window(old)  # somebody starts the old command again, which does not name its environment any more
    assert updated.pid == after


async def test_which_is_newer_is_known_by_the_link_alone(updated: Updated) -> None:
    old, new = updated.environment("old"), updated.environment("new")
    updated.name("old")
    await updated.window(old)
    before = updated.pid
    await updated.window(new)
    assert updated.pid == before
    updated.home.venv.unlink()
    await updated.window(new)
    assert updated.pid == before


async def test_a_download_is_finished_before(updated: Updated) -> None:
    old = updated.environment("old")
    shell = await updated.window(old)
    async with shell.turn(updated.spec("loaded")) as turn:
        await granted(turn)
    ticket = await shell.door("pull")
    reader, writer = await asyncio.open_unix_connection(ticket.socket)
    writer.write(f"{ticket.token}\n".encode())
    assert await reader.readline()
    writer.close()
    await _open(shell)
    before = updated.pid
    new = updated.environment("new")
    newer = await updated.window(new)
    assert updated.pid == before
    async with newer.turn(updated.spec("loaded")) as turn:
        await granted(turn)
    with pytest.raises(EngineError, match="updated"):
        async with newer.turn(updated.spec("more")) as turn:
            await granted(turn)
    with pytest.raises(OmniError, match="before the update"):
        await _hello(updated, PROTOCOL + 1)
    await shell.stop("airlock")  # the download has ended
    await until(lambda: (written := read_object(updated.home.keeper_file)) and written["pid"] != before)
    assert runs(updated.pid, new)
    async with newer.turn(updated.spec("more")) as turn:
        await granted(turn)


async def test_another_protocol_is_one_clear_sentence_or_another_keeper(updated: Updated) -> None:
    await updated.client()
    with pytest.raises(OmniError, match="older version"):
        await _hello(updated, PROTOCOL - 1)
    before = updated.pid
    assert await _hello(updated, PROTOCOL + 1) == {}  # it hangs up: whoever is newer starts its own
    await until(lambda: not alive(before))


async def _hello(office: Office, protocol: int) -> dict[str, object]:
    """What the keeper answers to a front end of another version."""
    from omni.core.errors import error_from_wire

    reader, writer = await asyncio.open_unix_connection(office.home.sockets / "keeper.sock")
    hello = {"id": 0, "do": "hello", "protocol": protocol, "client": "shell", "pid": os.getpid(), "starter": 1}
    writer.write(json.dumps(hello).encode() + b"\n")
    line = await reader.readline()
    writer.close()
    reply: dict[str, object] = json.loads(line or b"{}")
    if isinstance(error := reply.get("error"), dict):
        raise error_from_wire(error)
    return reply


async def _open(client: KeeperClient) -> None:
    """Wait until the keeper has heard of the open door."""
    changes = client.changes()
    async with asyncio.timeout(20):
        while not (await client.doors()).open:
            await anext(changes)
    await changes.aclose()
