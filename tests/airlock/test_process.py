"""The airlock process as its keeper and its clients see it."""

import asyncio
import hashlib
import json
import os
import random
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omni.airlock import AirlockClient, NetSettings
from omni.airlock.orders import Order
from omni.airlock.orders import parse as parse_order
from omni.core.errors import BadFile, NetworkBlocked, NotFound, OmniError, UsageError
from omni.core.paths import Home
from tests.waiting import until

pytestmark = pytest.mark.real  # every test here starts processes

DATA = random.Random(2).randbytes(3_000_001)
SHA = hashlib.sha256(DATA).hexdigest()
NET = NetSettings(timeout=5.0)

Audit = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def airlock(keeper: Any) -> AirlockClient:
    return AirlockClient(keeper, net=NET)


async def fetched(airlock: AirlockClient, url: str, target: Path, **more: Any) -> list[Any]:
    async with aclosing(airlock.fetch(url, target, **{"purpose": "pull", **more})) as events:
        return [event async for event in events]


def ordered(keeper: Any, order: Any, *, purpose: str = "pull", token: str | None = None) -> dict[str, Any]:
    """What the airlock answers to an order that no client of ours would send."""
    token = keeper.ticket(purpose).token if token is None else token
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(20)
        line.connect(str(keeper.socket))
        data = order if isinstance(order, bytes) else json.dumps({"token": token, **order}).encode()
        line.sendall(data + b"\n")
        answer = b""
        while block := line.recv(65536):
            answer += block
    reply: dict[str, Any] = json.loads(answer.splitlines()[-1])
    return reply


async def test_a_file_comes_through_with_progress_and_is_in_the_audit_once(
    airlock: AirlockClient, keeper: Any, site: Any, home: Home, audit: Audit
) -> None:
    site.add("/blob", DATA)
    target = home.blobs / "blob"
    events = await fetched(
        airlock, f"{site.url.replace('//', '//me:secret@')}/blob?key=secret", target, size=len(DATA), sha256=SHA
    )
    assert target.read_bytes() == DATA
    assert events[-1].done == events[-1].total == len(DATA)
    assert events[-1].fetched.sha256 == SHA
    assert events[-1].fetched.path == target
    assert [event.done for event in events] == sorted(event.done for event in events)
    [line] = audit()
    assert line | {"time": ""} == {
        "time": "",
        "client": "shell",
        "purpose": "pull",
        "host": f"127.0.0.1:{site.port}",
        "bytes": len(DATA),
        "verdict": "whole",
    }
    record = home.audit / "airlock-000001.jsonl"
    assert "secret" not in record.read_text()
    assert record.stat().st_mode & 0o077 == 0


async def test_it_leaves_when_told_unless_somebody_has_a_token_or_a_connection(
    airlock: AirlockClient, keeper: Any, site: Any, home: Home
) -> None:
    site.add("/blob", DATA)
    await fetched(airlock, f"{site.url}/blob", home.blobs / "blob", size=len(DATA), sha256=SHA)
    token = keeper.ticket("pull").token
    keeper.tell({"order": "leave"})
    while "stays" not in (said := keeper.said()):
        pass
    assert said == {"stays": True}
    assert "error" in ordered(keeper, {}, token=token)  # the token is used up

    def leaves() -> bool:
        with suppress(OSError):
            keeper.tell({"order": "leave"})  # again where a thread had not quite finished
        return keeper.process.poll() is not None

    await until(leaves)
    assert keeper.process.poll() == 0
    assert not keeper.socket.exists()
    assert await fetched(airlock, f"{site.url}/blob", home.blobs / "again", size=len(DATA), sha256=SHA)


async def test_a_page_is_answered_without_a_file(airlock: AirlockClient, site: Any, home: Home) -> None:
    site.add("/simple/x/", b"\n<html>\n", headers={"Content-Type": "text/html"})
    assert await airlock.page(f"{site.url}/simple/x/", purpose="pull") == (
        b"\n<html>\n",
        "text/html",
        f"{site.url}/simple/x/",
    )
    with pytest.raises(NotFound):
        await airlock.page(f"{site.url}/simple/y/", purpose="install")
    with pytest.raises(BadFile):
        await airlock.page(f"{site.url}/simple/x/", purpose="pull", limit=3)


async def test_a_project_is_found_through_the_users_indexes(keeper: Any, site: Any, tmp_path: Path) -> None:
    site.add("/two/some-brain/", b"<a href=some_brain-1-py3-none-any.whl>")
    net = NET._replace(
        index_url=f"{site.url}/one", extra_index_urls=(f"{site.url}/two",), find_links=(tmp_path.as_uri(),)
    )
    [wheel] = await AirlockClient(keeper, net=net).find("Some_Brain", purpose="pull")
    assert wheel.url == f"{site.url}/two/some-brain/some_brain-1-py3-none-any.whl"
    with pytest.raises(NotFound):
        await AirlockClient(keeper, net=net).find("some-brain", purpose="pull", wanted=lambda file: "-2-" in file.name)


async def test_errors_come_back_as_what_they_are(airlock: AirlockClient, site: Any, home: Home, audit: Audit) -> None:
    site.add("/blob", DATA)
    with pytest.raises(NotFound, match="does not exist"):
        await fetched(airlock, f"{site.url}/absent", home.blobs / "a")
    with pytest.raises(BadFile, match="sha256") as caught:
        await fetched(airlock, f"{site.url}/blob", home.blobs / "b", sha256="0" * 64)
    assert caught.value.hint
    assert list(home.blobs.iterdir()) == [home.blobs / "a.part"]
    assert [line["verdict"] for line in audit()] == ["refused: 404", "whole"]


async def test_closing_the_iterator_cuts_the_connection(
    airlock: AirlockClient, keeper: Any, site: Any, home: Home, audit: Audit
) -> None:
    content = site.add("/blob", DATA, hold=500_000)
    async with aclosing(airlock.fetch(f"{site.url}/blob", home.blobs / "blob", purpose="pull", sha256=SHA)) as events:
        await anext(events)
        await asyncio.to_thread(keeper.heard, lambda doors: bool(doors and doors[0]["bytes"] == 500_000))
    doors = await asyncio.to_thread(keeper.heard, lambda doors: not doors)
    assert doors == []
    assert not content.go.is_set()
    assert audit()[0]["verdict"] == "cut"
    assert audit()[0]["bytes"] == 500_000
    assert [path.name for path in home.blobs.iterdir()] == ["blob.part"]


async def test_a_killed_airlock_leaves_a_part_and_a_true_audit_line(
    airlock: AirlockClient, keeper: Any, site: Any, home: Home, audit: Audit
) -> None:
    content = site.add("/blob", DATA, hold=1_000_000)
    target = home.blobs / "blob"
    async with aclosing(
        airlock.fetch(f"{site.url}/blob", target, purpose="pull", size=len(DATA), sha256=SHA)
    ) as events:
        await anext(events)
        assert await asyncio.to_thread(content.held.wait, 20)
        keeper.kill()
        with pytest.raises(NetworkBlocked, match="airlock ended"):
            _ = [event async for event in events]
    assert [path.name for path in home.blobs.iterdir()] == ["blob.part"]
    assert [line["verdict"] for line in audit()] == ["open"]
    content.go.set()
    site.add("/blob", DATA)
    kept = (home.blobs / "blob.part").stat().st_size
    [*_, last] = await fetched(airlock, f"{site.url}/blob", target, size=len(DATA), sha256=SHA)
    assert last.fetched.resumed == kept
    assert target.read_bytes() == DATA


async def test_two_clients_that_want_the_same_download_it_once(airlock: AirlockClient, site: Any, home: Home) -> None:
    site.add("/blob", DATA)
    both = await asyncio.gather(*(fetched(airlock, f"{site.url}/blob", home.blobs / "b", sha256=SHA) for _ in range(2)))
    assert [events[-1].fetched.sha256 for events in both] == [SHA, SHA]
    assert len(site.asked) == 1


async def test_more_orders_than_threads_wait_their_turn(airlock: AirlockClient, site: Any, home: Home) -> None:
    for number in range(40):
        site.add(f"/{number}", DATA[: number * 1000])
    await asyncio.gather(*(fetched(airlock, f"{site.url}/{n}", home.blobs / str(n)) for n in range(40)))
    assert sorted(path.stat().st_size for path in home.blobs.iterdir()) == [number * 1000 for number in range(40)]


async def test_the_keeper_hears_which_doors_are_open(
    airlock: AirlockClient, keeper: Any, site: Any, home: Home
) -> None:
    content = site.add("/blob", DATA, hold=100_000)
    work = asyncio.create_task(fetched(airlock, f"{site.url}/blob", home.venvs / "blob", purpose="install"))
    assert await asyncio.to_thread(content.held.wait, 20)
    [door] = await asyncio.to_thread(keeper.heard, lambda doors: bool(doors and doors[0]["bytes"]))
    assert (door["purpose"], door["host"], door["bytes"]) == ("install", f"127.0.0.1:{site.port}", 100_000)
    content.go.set()
    await work
    assert await asyncio.to_thread(keeper.heard, lambda doors: not doors) == []


async def test_what_is_here_already_needs_no_door(site: Any, home: Home, tmp_path: Path) -> None:
    class NoKeeper:
        async def door(self, purpose: str) -> None:
            raise NetworkBlocked("the air gap is on")

    keeper: Any = NoKeeper()
    airlock = AirlockClient(keeper, net=NET)
    target = home.blobs / "blob"
    source = tmp_path / "blob"
    source.write_bytes(DATA)
    assert (await fetched(airlock, source.as_uri(), target, sha256=SHA))[-1].fetched.sha256 == SHA
    assert (await fetched(airlock, f"{site.url}/blob", target, sha256=SHA))[-1].done == len(DATA)
    with pytest.raises(NotFound):
        await fetched(airlock, (tmp_path / "absent").as_uri(), home.blobs / "x")
    with pytest.raises(NetworkBlocked, match="air gap"):
        await fetched(airlock, f"{site.url}/blob", home.blobs / "other")


# --- what is refused ---


@pytest.fixture
def started(keeper: Any) -> Any:
    keeper.start()
    return keeper


def test_an_order_without_a_good_token_is_refused_and_audited(
    started: Any, site: Any, home: Home, audit: Audit
) -> None:
    order = {"url": f"{site.url}/blob", "target": str(home.blobs / "blob")}
    used = started.ticket("pull").token
    assert ordered(started, order, token=used)["error"]["kind"] == "NotFound"
    for token in (used, "", "x" * 32, "0"):
        assert "token" in ordered(started, order, token=token)["error"]["message"]
    assert ordered(started, {**order, "token": ["x"]})["error"]["kind"] == "NetworkBlocked"
    assert len(site.asked) == 1
    assert [line["verdict"] for line in audit()][1:] == ["refused: no token"] * 5


@pytest.mark.parametrize("purpose", ["browse", "", "PULL"])
def test_other_purposes_are_refused(started: Any, site: Any, home: Home, purpose: str) -> None:
    answer = ordered(started, {"url": f"{site.url}/", "target": str(home.blobs / "x")}, purpose=purpose)
    assert answer["error"]["kind"] == "NetworkBlocked"
    assert site.asked == []


def test_it_writes_nowhere_but_in_the_home(started: Any, site: Any, home: Home, tmp_path: Path) -> None:
    site.add("/blob", b"x")
    (home.root / "out").symlink_to(tmp_path)
    (home.root / "link").symlink_to(tmp_path / "precious")
    outside = [
        tmp_path / "x",
        home.root / ".." / "x",
        home.root / "out" / "x",
        home.root / "link",
        home.audit / "airlock-000001.jsonl",
        home.bin / "omni",
        home.config,
        home.blobs / ".." / ".." / "bin" / "omni",
        home.root,
        f"{home.root}/.",
        f"{home.root}/",
    ]
    for target in outside:
        answer = ordered(started, {"url": f"{site.url}/blob", "target": f"{target}"})
        assert answer["error"]["kind"] == "NetworkBlocked", target
    assert ordered(started, {"url": f"{site.url}/blob", "target": "x"})["error"]["kind"] == "UsageError"
    assert ordered(started, {"url": f"{site.url}/blob", "target": str(home.blobs / "x")}, purpose="install")["error"]
    assert site.asked == []
    assert not (tmp_path / "x").exists()


def test_brains_may_lie_on_another_disk(started: Any, site: Any, home: Home, tmp_path: Path) -> None:
    site.add("/blob", b"x")
    (tmp_path / "big disk").mkdir()
    home.cartridges.symlink_to(tmp_path / "big disk")
    assert "done" in ordered(started, {"url": f"{site.url}/blob", "target": str(home.blobs / "x")})
    assert (tmp_path / "big disk" / "blobs" / "x").read_bytes() == b"x"


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "file:///etc/passwd"},
        {"url": 7},
        {"size": -1},
        {"size": True},
        {"sha256": "abc"},
        {"headers": [["A", "b\r\nC: d"]]},
        {"headers": "x"},
        {"net": {"timeout": "soon"}},
        {"net": 5},
        {"limit": 0},
        {"target": ["x"]},
    ],
)
def test_orders_that_are_none_are_refused(started: Any, site: Any, home: Home, wrong: dict[str, Any]) -> None:
    order = {"url": f"{site.url}/blob", "target": str(home.blobs / "x"), **wrong}
    assert ordered(started, order)["error"]["kind"] == UsageError.__name__


@pytest.mark.parametrize("line", [b"", b"garbage", b"[" * 10_000, b"\xff\x00", b"null", b"{}"])
def test_garbage_harms_nobody(started: Any, site: Any, home: Home, line: bytes) -> None:
    site.add("/blob", b"x")
    assert "error" in ordered(started, line)
    assert "done" in ordered(started, {"url": f"{site.url}/blob", "target": str(home.blobs / "x")})


def test_a_line_without_end_is_hung_up_on(started: Any) -> None:
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(20)
        line.connect(str(started.socket))
        with pytest.raises(OSError):
            line.sendall(b"x" * (64 << 20))


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["http://x/", "/x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@given(
    st.dictionaries(st.sampled_from(["url", "target", "size", "sha256", "limit", "headers", "net"]), VALUES),
    st.sampled_from([{}, {"url": "https://x/"}]),
)
def test_any_order_is_one_or_an_error(order: dict[str, Any], start: dict[str, Any]) -> None:
    home = Home("/nowhere/omni")
    try:
        parsed = parse_order({**order, **start}, home, "pull")
    except OmniError:
        return
    assert isinstance(parsed, Order)
    assert parsed.target is None or parsed.target.is_relative_to(home.root)


# --- living and dying ---


def test_it_ends_with_its_keeper_even_in_mid_download(started: Any, site: Any, home: Home) -> None:
    content = site.add("/blob", DATA, hold=1000)
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(str(started.socket))
        line.sendall(
            json.dumps(
                {"token": started.ticket("pull").token, "url": f"{site.url}/blob", "target": str(home.blobs / "b")}
            ).encode()
            + b"\n"
        )
        assert content.held.wait(20)
        started.line.close()
        assert started.process.wait(20) == 0
    assert not started.socket.exists()
    assert [path.name for path in home.blobs.iterdir()] == ["b.part"]


def test_it_ends_when_the_keeper_is_gone_before_it_greeted(home: Home) -> None:
    from omni.core.paths import python_command

    command = python_command("omni.airlock.process", packages=False)
    assert subprocess.run(command, stdin=subprocess.DEVNULL, timeout=20).returncode == 0


def test_its_memory_is_closed_to_neighbours(started: Any) -> None:
    status = Path(f"/proc/{started.process.pid}/status")
    if not status.exists():
        pytest.skip("there is no /proc here")
    assert Path(f"/proc/{started.process.pid}/mem").stat().st_uid == 0
    assert "Seccomp:\t0" in status.read_text()


def test_it_tries_the_wall_when_its_keeper_asks_and_is_not_refused(started: Any) -> None:
    started.tell({"order": "wall"})
    tried = started.said()["attempts"]
    assert {each["what"] for each in tried} >= {"AF_INET", "AF_INET6", "AF_NETLINK", "io_uring"}
    assert not any(each["refused"] for each in tried if each["what"] == "AF_INET")
    assert ordered(started, {"url": "https://x/"}, token="wrong")["error"]["kind"] == "NetworkBlocked"  # it serves on


def test_waiting_it_has_imported_neither_ssl_nor_http() -> None:
    code = "import sys, omni.airlock.process; print([n for n in ('ssl', 'http.client', 'asyncio', 'msgspec', 'ctypes', 'email') if n in sys.modules])"
    root = str(Path(__file__).parents[2])
    process = subprocess.run(
        [sys.executable, "-S", "-c", code], capture_output=True, text=True, env={"PYTHONPATH": root}
    )
    assert process.stdout.strip() == "[]", process.stderr


@pytest.mark.real
async def test_a_real_package_comes_through_the_users_own_settings(
    keeper: Any, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine's own pip settings, so it is skipped where they lead nowhere."""
    for name, value in _OWN_SETTINGS.items():
        monkeypatch.setenv(name, value)
    if "PIP_CONFIG_FILE" not in _OWN_SETTINGS:
        monkeypatch.delenv("PIP_CONFIG_FILE")
    airlock = AirlockClient(keeper)
    try:
        [wheel] = await airlock.find(
            "six", purpose="install", wanted=lambda f: f.name == "six-1.17.0-py2.py3-none-any.whl"
        )
        [*_, last] = await fetched(
            airlock, wheel.url, home.venvs / wheel.name, purpose="install", sha256=wheel.sha256 or None
        )
    except OmniError as error:
        pytest.skip(f"no package index is reached from here: {error}")
    assert last.fetched.sha256 == "4721f391ed90541fddacab5acf947aa0d3dc7d27b2e1e8eda2be8970586c3274"


_OWN_SETTINGS = {
    name: value
    for name, value in os.environ.items()
    if name.startswith("PIP_")
    or name.lower().endswith("_proxy")
    or name in ("HOME", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
}
