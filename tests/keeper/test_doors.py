"""The airlock as a child, and the air gap."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from omni.core.errors import NetworkBlocked, SetupError
from omni.core.paths import Home
from omni.keeper import Door, DoorTicket, KeeperClient, air_gap, begin_installing, name_installer, set_air_gap
from tests.keeper.keeper_office import Office, alive, granted, named
from tests.waiting import until

pytestmark = pytest.mark.real  # every test here starts processes


async def present(ticket: DoorTicket) -> object:
    """Show a ticket to the airlock and hear what it knows of it."""
    reader, writer = await asyncio.open_unix_connection(ticket.socket)
    writer.write(f"{ticket.token}\n".encode())
    line = await reader.readline()
    writer.close()
    return json.loads(line)


async def test_a_door_starts_the_airlock_which_knows_the_token(office: Office) -> None:
    client = await office.client()
    assert await named(client, "airlock") == []
    ticket = await client.door("pull")
    known = await present(ticket)
    assert known == {"token": ticket.token, "purpose": "pull", "client": f"shell-{os.getpid()}"}
    assert await present(ticket) is None
    assert len(await named(client, "airlock")) == 1


async def test_open_doors_are_shown_and_announced(office: Office) -> None:
    client = await office.client()
    ticket = await client.door("install")
    changes = client.changes()
    await present(ticket)
    async with asyncio.timeout(20):
        while not (doors := await client.doors()).open:
            await anext(changes)
    assert doors.open == (Door(purpose="pull", host="example", since=1.0, bytes=5),)
    assert not doors.air_gap


async def test_an_unknown_purpose_opens_nothing(office: Office) -> None:
    client = await office.client()
    with pytest.raises(NetworkBlocked, match="browse"):
        await client.door("browse")
    assert await named(client, "airlock") == []


async def test_the_air_gap_ends_the_airlock_and_survives_a_restart(office: Office) -> None:
    client = await office.client()
    await client.door("pull")
    (airlock,) = await named(client, "airlock")
    doors = await client.air_gap(True)
    assert doors.air_gap
    assert doors.verified
    assert not alive(airlock.pid)
    assert office.home.air_gap.exists()
    with pytest.raises(NetworkBlocked, match="air gap"):
        await client.door("pull")
    office.kill_keeper()
    assert (await client.doors()).air_gap
    with pytest.raises(NetworkBlocked):
        await client.door("pull")
    assert not (await client.air_gap(False)).air_gap
    assert (await client.door("pull")).token


async def test_the_air_gap_is_told_to_all(office: Office) -> None:
    one, two = await office.client("shell"), await office.client("cli")
    changes = two.changes()
    await one.air_gap(True)
    async with asyncio.timeout(20):
        while (await anext(changes)).topic != "doors":
            pass
    assert (await two.doors()).air_gap


async def test_kill_9_of_the_airlock_costs_nothing(office: Office) -> None:
    client = await office.client()
    await client.door("pull")
    (airlock,) = await named(client, "airlock")
    changes = client.changes()
    os.kill(airlock.pid, signal.SIGKILL)
    async with asyncio.timeout(20):
        while await named(client, "airlock"):
            await anext(changes)
    assert await present(await client.door("pull"))


async def test_an_airlock_that_nobody_uses_ends_and_the_next_door_starts_another(office: Office) -> None:
    office.timings["doors"] = 0.05
    client = await office.client()
    changes = client.changes()
    for _ in range(3):
        ticket = await client.door("serve")
        assert await present(ticket) == {"token": ticket.token, "purpose": "serve", "client": f"shell-{os.getpid()}"}
        async with asyncio.timeout(20):
            while await named(client, "airlock"):
                await anext(changes)
    assert (await client.doors()).detail == "no airlock lives; one starts when it is needed"


async def test_an_airlock_stays_for_a_token_that_was_not_used_yet(office: Office) -> None:
    office.timings["doors"] = 0.02
    client = await office.client()
    tickets = [await client.door("serve") for _ in range(30)]  # it is told to leave between some of them
    await asyncio.gather(*(client.door("serve") for _ in range(5)))
    (airlock,) = await named(client, "airlock")
    assert [await present(ticket) for ticket in tickets] == [
        {"token": ticket.token, "purpose": "serve", "client": f"shell-{os.getpid()}"} for ticket in tickets
    ]
    assert [one.pid for one in await named(client, "airlock")] == [airlock.pid]


async def test_an_airlock_stays_while_a_door_is_open(office: Office) -> None:
    office.timings["doors"] = 0.02
    client = await office.client()
    await present(await client.door("pull"))  # which the double never shuts
    (airlock,) = await named(client, "airlock")
    end = time.monotonic() + 0.2
    while time.monotonic() < end:  # rounds of the keeper's loop
        await client.changed("test")
    assert [one.pid for one in await named(client, "airlock")] == [airlock.pid]


async def test_a_running_turn_does_not_notice_the_air_gap(office: Office) -> None:
    client = await office.client()
    async with client.turn(office.spec()) as turn:
        await granted(turn)
        assert (await client.air_gap(True)).verified
        assert len(await named(client, "worker")) == 1


async def test_an_airlock_that_outlived_its_keeper_is_ended(office: Office) -> None:
    client = await office.client()
    await client.door("pull")
    (airlock,) = await named(client, "airlock")
    os.kill(airlock.pid, signal.SIGSTOP)  # it cannot see the end of its fd 0
    office.kill_keeper()
    assert (await client.air_gap(True)).verified
    await until(lambda: not alive(airlock.pid))


async def test_without_a_keeper_the_client_does_it_itself(office: Office) -> None:
    client = await office.client()
    await client.door("pull")
    (airlock,) = await named(client, "airlock")
    os.kill(office.starters[0].pid, signal.SIGKILL)
    await until(lambda: not alive(office.starters[0].pid))
    os.kill(airlock.pid, signal.SIGSTOP)
    office.kill_keeper()
    doors = await client.air_gap(True)
    assert doors.air_gap
    assert doors.verified
    assert office.home.air_gap.exists()
    await until(lambda: not alive(airlock.pid))


async def test_an_airlock_that_cannot_start_says_why(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRLOCK_FAILS", "1")
    client = await office.client()
    with pytest.raises(NetworkBlocked, match="does not start") as caught:
        await client.door("pull")
    assert "no door in this wall" in caught.value.hint


def test_the_file_alone_shuts_the_doors(home: Home) -> None:
    assert not air_gap(home)
    set_air_gap(home, True)
    set_air_gap(home, True)
    assert air_gap(home)
    set_air_gap(home, False)
    set_air_gap(home, False)
    assert not air_gap(home)


async def test_a_keeper_obeys_the_file_that_somebody_wrote(office: Office) -> None:
    client: KeeperClient = await office.client()
    set_air_gap(office.home, True)
    with pytest.raises(NetworkBlocked):
        await client.door("pull")


async def test_an_airlock_whose_socket_a_cleaner_took_is_started_anew(office: Office) -> None:
    client = await office.client()
    ticket = await client.door("pull")
    (old,) = await named(client, "airlock")
    os.unlink(ticket.socket)
    again = await client.door("pull")
    assert [one.pid for one in await named(client, "airlock")] != [old.pid]
    assert await present(again) == {"token": again.token, "purpose": "pull", "client": f"shell-{os.getpid()}"}


def installing(held: int) -> "subprocess.Popen[bytes]":
    """A process that holds the lock, with a child that holds it, too."""
    code = "import subprocess; subprocess.run(['sleep', '60'], close_fds=False)"
    return subprocess.Popen([sys.executable, "-c", code], pass_fds=[held], start_new_session=True)


async def test_the_air_gap_ends_an_installer_with_all_that_it_started(office: Office) -> None:
    client = await office.client()
    held = begin_installing(office.home)
    installer = installing(held)
    name_installer(held, installer.pid)
    os.close(held)
    (door,) = (await client.doors()).open
    assert door.purpose == "install"
    with pytest.raises(SetupError, match="Another installer"):
        begin_installing(office.home)
    doors = await client.air_gap(True)
    assert doors.verified
    assert doors.open == ()
    assert installer.wait(10) == -signal.SIGKILL
    with pytest.raises(NetworkBlocked):
        begin_installing(office.home)
    await client.air_gap(False)
    os.close(begin_installing(office.home))


async def test_a_keeper_that_hangs_does_not_keep_the_doors_open(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    from omni.keeper import client as module

    monkeypatch.setattr(module, "SHUT", 0.1)  # the doors are shut long before
    client = await office.client()
    await client.door("pull")
    (airlock,) = await named(client, "airlock")
    os.kill(office.pid, signal.SIGSTOP)
    try:
        doors = await client.air_gap(True)
        assert doors.air_gap
        assert doors.verified
        assert not alive(airlock.pid)
    finally:
        os.kill(office.pid, signal.SIGCONT)
    assert (await client.doors()).air_gap
