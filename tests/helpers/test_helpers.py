"""Processes of plug-ins with the real keeper: shared, bounded, walled, cancelled, killed; what one does costs only itself."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from omni.core.errors import BadFile, EngineError, NotFound, UsageError
from omni.core.process_kinds import FILE
from omni.helpers import HelperAnswer, HelperEvent, HelperProgress, HelperValue, HelperWaiting
from omni.jobs import work_words
from omni.keeper import Loading, Waiting
from tests.helpers.conftest import KIND, FrontEnd, error_of, first, grant
from tests.keeper.keeper_office import Office, alive, granted, named
from tests.waiting import until

pytestmark = pytest.mark.real
Make = Callable[..., FrontEnd]


def landlock() -> bool:
    """Whether this kernel keeps processes from each other's memory."""
    code = "from omni.core.confinement import _leave_neighbours_alone, _libc; print(_leave_neighbours_alone(_libc()))"
    confined = "import ctypes; ctypes.CDLL(None).prctl(38, 1, 0, 0, 0); " + code
    return subprocess.run([sys.executable, "-c", confined], capture_output=True, check=True).stdout == b"True\n"


def progresses(event: object) -> bool:
    return isinstance(event, HelperProgress)


async def test_a_request_is_started_progresses_and_is_answered(front_end: Make) -> None:
    events = [event async for event in front_end().ask("count", to=3).events()]
    assert isinstance(events[0], HelperWaiting)
    assert [event.value for event in events if isinstance(event, HelperValue)] == [1, 2, 3]
    assert events[-1] == HelperAnswer(value="counted")
    assert HelperProgress(done=1, total=3, text="number 1") in events


async def test_much_progress_is_little_on_the_line_and_its_last_word_arrives(front_end: Make) -> None:
    events = [event async for event in front_end().ask("count", to=5000).events()]
    assert len([event for event in events if isinstance(event, HelperValue)]) == 5000
    assert HelperProgress(done=5000, total=5000, text="number 5000") in events
    assert len([event for event in events if progresses(event)]) < 1000


async def test_two_front_ends_share_one_process_and_wait_for_each_other(front_end: Make) -> None:
    one, two = front_end("shell"), front_end("cli")
    number = await one.answer("pid")
    assert await two.answer("pid") == number
    busy = one.ask("waits")
    await first(busy, progresses)
    waiting = two.ask("pid")
    said = await first(waiting, lambda event: isinstance(event, HelperWaiting))
    assert said.text == "1 of 1 places of helper-1 are taken"
    await busy.stop()
    assert (await first(waiting, lambda event: isinstance(event, HelperAnswer))).value == number


async def test_it_is_listed_with_what_confines_it_for_those_who_know_such(front_end: Make) -> None:
    asker = front_end()
    job = asker.ask("waits")
    await first(job, progresses)
    keeper = await asker.keeper()
    (row,) = await named(keeper, "helper")
    assert (row.name, row.detail, row.confined, row.base) == ("helper-1", "test.it, at work", "seccomp", "")
    assert await keeper._ask("processes") == [
        each for each in await keeper._ask("processes", helpers=True) if each["kind"] != "helper"
    ]
    await job.stop()
    (row,) = await named(keeper, "helper")
    assert row.detail == "test.it, idle"
    tried = await keeper.wall("helper-1")
    assert {each["what"] for each in tried} >= {"AF_INET", "AF_INET6"}
    assert all(each["refused"] for each in tried)


async def test_it_begins_behind_the_wall_and_can_connect_to_nothing(front_end: Make, office: Office) -> None:
    socket = str(office.home.sockets / "keeper.sock")
    assert await front_end().answer("wall", socket=socket) == {
        "imported": "the wall",
        "AF_INET": "ENETDOWN",
        "AF_INET6": "ENETDOWN",
        "connect": "EPERM",
    }


@pytest.fixture
def neighbour() -> Iterator[int]:
    """The pid of a process that has nothing to do with Omni."""
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process.pid
        process.kill()


async def test_none_of_its_threads_writes_into_the_memory_of_another_process(front_end: Make, neighbour: int) -> None:
    if not landlock():
        pytest.skip("this kernel has no Landlock")
    asker = front_end()
    job = asker.ask("opens_a_memory", pid=neighbour)
    await first(job, progresses)
    await (await asker.keeper()).wall("helper-1")
    tried = await first(job, lambda event: isinstance(event, HelperAnswer))
    assert tried.value == ["EACCES", "EACCES"]


async def test_the_kernel_holds_it_to_the_memory_that_it_was_granted(front_end: Make) -> None:
    asker = front_end()
    assert await asker.answer("memory", bytes=20_000_000) == "was given"
    assert await asker.answer("memory", bytes=400_000_000) == "refused"


async def test_a_cancelled_one_stops_and_its_process_takes_the_next(front_end: Make) -> None:
    asker = front_end()
    number = await asker.answer("pid")
    job = asker.ask("waits")
    await first(job, progresses)
    await job.stop()
    assert job.state == "stopped"
    assert await asker.answer("pid") == number


async def test_one_that_waits_for_its_turn_can_be_cancelled(front_end: Make) -> None:
    one, two = front_end("shell"), front_end("cli")
    busy = one.ask("waits")
    await first(busy, progresses)
    waiting = two.ask("echo")
    await first(waiting, lambda event: isinstance(event, HelperWaiting))
    await waiting.stop()
    assert waiting.state == "stopped"
    await busy.stop()
    assert await two.answer("echo") == {"do": "echo"}


async def test_another_front_end_sees_the_request_watches_and_stops_it(front_end: Make) -> None:
    one, two = front_end("shell"), front_end("cli")
    job = one.ask("waits")
    await first(job, progresses)
    await two.keeper()
    await until(two.jobs.others)  # it was offered
    (seen,) = await two.jobs.others()
    assert (seen.info.kind, seen.info.about, work_words(seen.info)) == ("helper", "test.it", "a run of test.it")
    async for event in seen.events(HelperEvent):
        if progresses(event):
            break
    await seen.stop()
    assert job.state == "stopped"


async def test_one_that_does_not_take_the_request_is_ended_and_another_takes_it(
    front_end: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    asker = front_end()
    number = await asker.answer("pid")
    os.kill(number, signal.SIGSTOP)
    monkeypatch.setattr("omni.helpers.client.TAKING", 1.0)
    assert await asker.answer("pid") != number
    assert not alive(number)


async def test_none_that_takes_a_request_is_said(
    front_end: Make, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("omni.helpers.client.TAKING", 0.2)
    grant(office.home, KIND._replace(target="omni_test_helper:takes_nothing"), number=2)
    error = await error_of(front_end().answer("echo"))
    assert error.message == "test.it did not take the request within 0.2 s, so that its process was ended."


async def test_one_that_is_stopped_while_it_is_being_taken_costs_no_process(front_end: Make) -> None:
    asker = front_end()
    number = await asker.answer("pid")
    os.kill(number, signal.SIGSTOP)
    job = asker.ask("waits", much="x" * 100_000)
    keeper = await asker.keeper()

    async def is_at_work() -> bool:
        return (await named(keeper, "helper"))[0].detail == "test.it, at work"

    await until(is_at_work)
    stopping = asyncio.create_task(job.stop())
    await named(keeper, "helper")
    os.kill(number, signal.SIGCONT)
    await stopping
    assert job.state == "stopped"
    assert await asker.answer("pid") == number


async def test_what_comes_together_with_a_request_is_heard(front_end: Make, office: Office) -> None:
    client = await office.client()
    async with client.helper("test.it") as turn:
        await granted(turn)
        reader, writer = await asyncio.open_unix_connection(turn.socket)
        writer.write(b'{"key": "%s", "value": {"do": "waits"}}\n{"cancel": true}\n' % turn.key.encode())
        said = await reader.read()
        writer.close()
    assert said.endswith(b'{"answer":null}\n')


@pytest.mark.parametrize("by", ["python", "the library of C"])
async def test_a_child_that_outlives_it_keeps_nobody_waiting(
    front_end: Make, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("omni.helpers.client.LOOKS", 0.05 if by != "python" else 60.0)
    job = front_end().ask("forks", by=by)
    number, child = map(int, (await first(job, progresses)).text.split())
    try:
        os.kill(number, signal.SIGKILL)
        error = await error_of(first(job, lambda _: False))
        assert error.message == "The process test.it has gone before its answer: it was ended by SIGKILL."
        assert alive(child)
    finally:
        os.kill(child, signal.SIGKILL)


async def test_who_asked_is_answered_where_the_loop_is_left(front_end: Make, office: Office) -> None:
    grant(office.home, KIND._replace(target="omni_test_helper:leaves_loops"), number=2)
    asker = front_end()
    assert [await asker.answer("echo") for _ in range(3)] == [None, None, None]


async def test_one_that_hangs_when_it_is_cancelled_is_ended(front_end: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("omni.helpers.client.STOPPING", 0.1)
    asker = front_end()
    job = asker.ask("hangs")
    number = int((await first(job, progresses)).text)
    await job.stop()
    assert not alive(number)
    assert await asker.answer("echo") == {"do": "echo"}


async def test_one_that_hangs_when_its_asker_was_killed_ends_itself_and_costs_the_next_nothing(
    front_end: Make, office: Office
) -> None:
    client = await office.client("killed")
    async with client.helper("test.it") as turn:
        await granted(turn)
        reader, writer = await asyncio.open_unix_connection(turn.socket)
        writer.write(b'{"key": "%s", "value": {"do": "hangs"}}\n' % turn.key.encode())
        assert b"began" in await reader.readline()
        (row,) = await named(client, "helper")
        writer.transport.abort()
    assert await front_end().answer("echo") == {"do": "echo"}
    assert not alive(row.pid)


async def test_who_has_not_its_key_is_not_heard(front_end: Make, office: Office) -> None:
    client = await office.client()
    async with client.helper("test.it") as turn:
        await granted(turn)
        for line in (b'{"key": "x", "value": 1}\n', b"no JSON\n", b"[]\n", b'{"value": 1}\n'):
            reader, writer = await asyncio.open_unix_connection(turn.socket)
            writer.write(line)
            assert await reader.read() == b""
            writer.close()
    assert await front_end().answer("echo") == {"do": "echo"}


async def test_one_that_is_killed_is_said_to_who_asked_and_the_next_finds_another(front_end: Make) -> None:
    asker = front_end()
    number = await asker.answer("pid")
    job = asker.ask("waits")
    await first(job, progresses)
    os.kill(number, signal.SIGKILL)
    error = await error_of(first(job, lambda _: False))
    assert isinstance(error, EngineError)
    assert error.message == "The process test.it has gone before its answer: it was ended by SIGKILL."
    assert await asker.answer("pid") != number


async def test_what_it_raises_is_said_and_logged(front_end: Make, office: Office) -> None:
    asker = front_end()
    error = await error_of(asker.answer("raises"))
    assert isinstance(error, EngineError)
    assert error.message == "test.it: it raised ValueError: upside down "
    assert await asker.answer("echo") == {"do": "echo"}
    assert any("upside down" in path.read_text() for path in office.home.logs.glob("helper-*.log*"))


async def test_a_failure_that_it_tells_costs_no_process(front_end: Make) -> None:
    asker = front_end()
    number = await asker.answer("pid")
    error = await error_of(asker.answer("fails"))
    assert (error.message, error.hint) == ("test.it: The picture has no words.", "Try another.")
    assert await asker.answer("pid") == number


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"do": "floods"}, "told its progress more than 100 times in a second"),
        ({"do": "values", "long": 1}, "sent more than 10,000 values or 64 MB"),
        ({"do": "values", "long": 4 << 20}, "sent more than 10,000 values or 64 MB"),
        ({"do": "garbage", "bytes": "no JSON\n", "times": 1}, "sent what is no message"),
        ({"do": "garbage", "bytes": '{"progress": "much"}\n', "times": 1}, "sent what is no message"),
        ({"do": "garbage", "bytes": "{}\n", "times": 1}, "sent what is no message"),
        ({"do": "garbage", "bytes": "x" * 1000, "times": 10_000}, "sent a message of more than 8 MB"),
    ],
)
async def test_one_that_is_out_of_hand_is_ended_and_costs_only_itself(
    front_end: Make, given: dict[str, object], said: str
) -> None:
    asker = front_end()
    number = await asker.answer("pid")
    error = await error_of(asker.answer(**given))  # type: ignore[arg-type]
    assert isinstance(error, EngineError)
    assert error.message == f"test.it {said}, so that its process was ended."
    assert not alive(number)
    assert await asker.answer("echo") == {"do": "echo"}


async def test_what_is_too_long_is_said_on_both_sides(front_end: Make) -> None:
    asker = front_end()
    assert "can be sent at once" in await asker.answer("too_long")
    assert isinstance(await error_of(asker.answer("echo", long="x" * (9 << 20))), UsageError)
    assert isinstance(await error_of(asker.answer("echo", what=object())), UsageError)


async def test_what_it_prints_fills_no_disk(front_end: Make, office: Office) -> None:
    assert await front_end().answer("prints") is None
    (log,) = office.home.logs.glob("helper-1.log")
    assert log.stat().st_size < 1_100_000


async def test_a_page_is_fetched_for_it_where_it_was_granted_the_door(front_end: Make, office: Office) -> None:
    asker = front_end()
    refused = await asker.answer("page", url="https://example.org/")
    assert refused == "NetworkBlocked: test.it was not granted the door pull."
    assert asker.fetched == []
    grant(office.home, KIND._replace(doors=("pull",)), number=2)
    assert await asker.answer("page", url="https://example.org/") == f'["https://example.org/", {4 << 20}]'
    assert await asker.answer("page", url="https://shut.example.org/") == "NetworkBlocked: All doors are shut."


async def test_no_page_of_this_machine_or_its_network_is_fetched_for_it(front_end: Make, office: Office) -> None:
    grant(office.home, KIND._replace(doors=("pull",)), number=2)
    asker = front_end()
    hosts = (
        "127.0.0.1:8080 127.1 0x7f000001 2130706433 localhost LOCALHOST. a.localhost [::1] [::ffff:127.0.0.1] 0.0.0.0"
    )
    for host in (
        *hosts.split(),
        "10.0.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "[fe80::1%25eth0]",
        "[fd00::1]",
        "224.0.0.1",
    ):
        assert "is this machine or in its own network" in await asker.answer("page", url=f"http://u:p@{host}/")
    for url in ("file:///etc/passwd", "ftp://example.org/", "https:///", "http://[", "//example.org", ""):
        assert "has an address of http or https" in await asker.answer("page", url=url)
    assert "8,192 characters at most" in await asker.answer("page", url="https://example.org/" + "x" * 8192)
    assert asker.fetched == []
    for host in ("1.1.1.1", "[2606:4700::1111]", "localhost.example.org"):
        assert "Error" not in await asker.answer("page", url=f"https://{host}/")
    assert len(asker.fetched) == 3


async def test_one_that_wants_pages_without_end_is_ended(
    front_end: Make, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("omni.helpers.client.MOST_PAGES", 3)
    grant(office.home, KIND._replace(doors=("pull",)), number=2)
    asker = front_end()
    wish = '{"page": {"id": 1, "url": "https://example.org/"}}\n'
    error = await error_of(asker.answer("garbage", bytes=wish, times=10))
    assert error.message == "test.it wanted more than 3 pages, so that its process was ended."
    assert len(asker.fetched) == 3


async def test_what_was_not_granted_or_not_any_more_is_refused_in_words(front_end: Make, office: Office) -> None:
    asker = front_end()
    error = await error_of(asker.answer("echo", kind="test.its"))
    assert isinstance(error, NotFound)
    assert error.message == "No plug-in here was granted a process 'test.its'."
    assert error.hint == "Did you mean 'test.it'?"
    assert await asker.answer("echo") == {"do": "echo"}
    grant(office.home, number=2)
    assert isinstance(await error_of(asker.answer("echo")), NotFound)


async def test_after_an_update_of_the_plug_in_nobody_gets_the_old_code(front_end: Make, office: Office) -> None:
    asker = front_end()
    number = await asker.answer("pid")
    grant(office.home, KIND, number=2)
    assert await asker.answer("pid") != number


async def test_one_whose_plug_in_was_removed_is_ended_when_it_has_done_what_it_was_asked(
    front_end: Make, office: Office
) -> None:
    asker = front_end()
    job = asker.ask("waits")
    await first(job, progresses)
    number = (await named(await asker.keeper(), "helper"))[0].pid
    grant(office.home, number=2)
    looks = office.home.keeper_file
    looks.unlink()
    await until(looks.exists)  # the keeper has looked
    assert alive(number)
    await job.stop()
    assert job.state == "stopped"
    await until(lambda: not alive(number))


async def test_one_whose_plug_in_was_updated_is_ended_and_the_new_one_stays(front_end: Make, office: Office) -> None:
    asker = front_end()
    old = await asker.answer("pid")
    grant(office.home, KIND, number=2)
    new = await asker.answer("pid")
    await until(lambda: not alive(old))
    assert await asker.answer("pid") == new


async def test_who_wants_one_ended_does_not_end_another_that_has_its_name_now(front_end: Make) -> None:
    asker = front_end()
    number = await asker.answer("pid")
    keeper = await asker.keeper()
    assert isinstance(await error_of(keeper.stop("helper-1", socket="/its/own.sock")), NotFound)
    assert await asker.answer("pid") == number


async def test_a_client_cannot_say_what_is_to_run(front_end: Make, office: Office) -> None:
    from omni.keeper import WorkerSpec

    client = await front_end().keeper()
    wish: Any = {"engine": "helper", "base": "x", "path": "/", "need_bytes": 0, "settings": {"target": "os:abort"}}
    spec = WorkerSpec(**wish)
    async with client.turn(spec) as turn:
        assert isinstance(await error_of(granted(turn)), UsageError)
    assert await named(client, "helper") == []


@pytest.mark.parametrize(
    "content",
    [
        '{"kinds": {}}',
        f'{{"kinds": [{", ".join("5" * 1001)}]}}',
        "",
        "[]",
        "{",
        '{"kinds": 5}',
        '{"kinds": [5]}',
        '{"kinds": [{"name": "test.it"}]}',
        "[" * 100_000,
        "x" * 300_000,
    ],
)
async def test_a_hostile_file_is_refused_in_words_and_the_keeper_lives(
    front_end: Make, office: Office, content: str
) -> None:
    asker = front_end()
    path = office.home.plugins.resolve().parent / FILE
    path.write_text(content)
    error = await error_of(asker.answer("echo"))
    assert isinstance(error, BadFile)
    assert error.message.startswith(f"{path} does not say what plug-ins may start: ")
    grant(office.home, KIND, number=2)
    assert await asker.answer("echo") == {"do": "echo"}


async def test_a_file_that_others_may_write_or_that_is_a_link_is_refused(front_end: Make, office: Office) -> None:
    asker = front_end()
    path = office.home.plugins.resolve().parent / FILE
    path.chmod(0o666)
    assert isinstance(await error_of(asker.answer("echo")), BadFile)
    path.chmod(0o600)
    path.rename(path.with_name("other.json"))
    path.symlink_to(path.with_name("other.json"))
    assert isinstance(await error_of(asker.answer("echo")), BadFile)


async def test_one_that_cannot_begin_says_why(front_end: Make, office: Office) -> None:
    grant(office.home, KIND._replace(target="omni_test_helper:raises_at_once"), number=2)
    asker = front_end()
    error = await error_of(asker.answer("echo"))
    assert isinstance(error, EngineError)
    assert "no model is here" in error.hint
    grant(office.home, KIND._replace(target="no_such_module:run"), number=3)
    error = await error_of(asker.answer("echo"))
    assert error.message == "The process test.it could not be loaded: it ended with code 1."
    assert "No module named 'no_such_module'" in error.hint


async def test_its_memory_is_admitted_with_that_of_the_brains(front_end: Make, office: Office) -> None:
    office.memory(300)
    asker = front_end()
    client = await asker.keeper()
    spec = office.spec(need=200_000_000)
    async with client.turn(spec) as turn:
        await granted(turn)
        waiting = asker.ask("echo")
        said = await first(waiting, lambda event: isinstance(event, HelperWaiting))
        assert said.text == "needs 200 MB, 100 MB of 300 MB are free"
    assert (await first(waiting, lambda event: isinstance(event, HelperAnswer))).value == {"do": "echo"}
    assert [one.name for one in await client.processes() if one.kind in ("worker", "helper")] == ["helper-1"]
    async with client.turn(spec) as turn:  # and the other way round
        assert all([isinstance(state, Waiting | Loading) async for state in turn.waiting()])
    grant(office.home, KIND._replace(memory=400_000_000), number=2)
    error = await error_of(asker.answer("echo"))
    assert error.message == "The process test.it needs 400 MB of memory; 300 MB can be used."


async def test_it_outlives_its_keeper_and_the_next_one_knows_it(front_end: Make, office: Office) -> None:
    asker = front_end()
    number = await asker.answer("pid")
    job = asker.ask("waits")
    await first(job, progresses)
    killed = office.kill_keeper()
    await until(lambda: not alive(killed))
    await until(lambda: office.home.keeper_file.exists() and office.pid != killed)
    keeper = await asker.keeper()

    async def is_known() -> bool:
        return [(row.pid, row.detail) for row in await named(keeper, "helper")] == [(number, "test.it, at work")]

    await until(is_known)  # it has called the process
    await job.stop()
    assert await asker.answer("pid") == number


def test_what_it_imports_before_the_plug_in_is_the_standard_library_alone() -> None:
    from tests.test_layers import loaded_by, tops

    assert tops(loaded_by("omni.helpers.process", "omni.helpers.channel")).isdisjoint({"msgspec", "pluggy", "click"})
