"""Downloads against servers that behave and that do not."""

import hashlib
import os
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from omni.airlock import NetSettings, page
from omni.airlock.wire import Cancelled, Interrupted
from omni.core.errors import BadFile, NetworkBlocked, NotFound, OmniError, StorageError
from tests.airlock.fetch_tools import DATA, NET, SHA, fetch, left


def test_a_file_comes_whole_with_its_hash(site: Any, target: Path) -> None:
    site.add("/blob", DATA, headers={"Content-Type": "application/gguf"})
    seen: list[tuple[int, int | None]] = []
    fetched = fetch(
        f"{site.url}/blob?signature=secret",
        target,
        size=len(DATA),
        sha256=SHA.upper(),
        progress=lambda *p: seen.append(p),
    )
    assert target.read_bytes() == DATA
    assert fetched == (target, len(DATA), SHA, "application/gguf", f"{site.url}/blob?signature=secret", 0)
    assert seen[0] == (0, len(DATA))
    assert seen[-1] == (len(DATA), len(DATA))
    assert left(target.parent) == ["blob"]


def test_what_is_there_and_right_is_not_asked_for(site: Any, target: Path) -> None:
    target.parent.mkdir()
    target.write_bytes(DATA)
    assert fetch(f"{site.url}/blob", target, sha256=SHA).resumed == len(DATA)
    assert site.asked == []


def test_what_is_there_and_wrong_is_replaced(site: Any, target: Path) -> None:
    target.parent.mkdir()
    target.write_bytes(b"x" * len(DATA))
    site.add("/blob", DATA)
    fetch(f"{site.url}/blob", target, sha256=SHA)
    assert target.read_bytes() == DATA


def test_a_part_goes_on_by_range_without_an_etag(site: Any, target: Path) -> None:
    target.parent.mkdir()
    Path(f"{target}.part").write_bytes(DATA[:400_000])
    site.add("/blob", DATA)
    assert fetch(f"{site.url}/blob", target, size=len(DATA), sha256=SHA).resumed == 400_000
    assert target.read_bytes() == DATA
    assert [headers.get("Range") for _, headers in site.asked] == ["bytes=400000-"]


def test_a_server_without_ranges_starts_again(site: Any, target: Path) -> None:
    target.parent.mkdir()
    Path(f"{target}.part").write_bytes(DATA[:400_000])
    site.add("/blob", DATA, ranges=False)
    fetch(f"{site.url}/blob", target, sha256=SHA)
    assert target.read_bytes() == DATA
    assert len(site.asked) == 1


def test_a_part_from_the_wrong_place_is_not_believed(site: Any, target: Path) -> None:
    target.parent.mkdir()
    Path(f"{target}.part").write_bytes(DATA[:400_000])
    site.add("/blob", DATA, shift=1)
    fetch(f"{site.url}/blob", target, sha256=SHA)
    assert target.read_bytes() == DATA
    assert [headers.get("Range") for _, headers in site.asked] == ["bytes=400000-", None]


def test_a_complete_part_needs_no_request(site: Any, target: Path) -> None:
    target.parent.mkdir()
    Path(f"{target}.part").write_bytes(DATA)
    fetch(f"{site.url}/blob", target, size=len(DATA), sha256=SHA)
    assert target.read_bytes() == DATA
    assert site.asked == []


def test_a_complete_part_of_unknown_size_is_found_complete(site: Any, target: Path) -> None:
    target.parent.mkdir()
    Path(f"{target}.part").write_bytes(DATA)
    site.add("/blob", DATA)
    assert fetch(f"{site.url}/blob", target, sha256=SHA).size == len(DATA)


@pytest.mark.parametrize(
    "content",
    [b"x" * len(DATA), DATA[:-1] + b"x", b"x" * 10, DATA + b"x", DATA[:5] + b"x"],
    ids=["another", "last byte", "short", "longer", "begins right"],
)
def test_a_wrong_part_is_thrown_away_and_fetched_once_more(site: Any, target: Path, content: bytes) -> None:
    target.parent.mkdir()
    Path(f"{target}.part").write_bytes(content)
    site.add("/blob", DATA)
    fetch(f"{site.url}/blob", target, size=len(DATA), sha256=SHA)
    assert target.read_bytes() == DATA
    assert len(site.asked) <= 2


def test_without_a_hash_an_old_part_is_not_trusted(site: Any, target: Path) -> None:
    target.parent.mkdir()
    Path(f"{target}.part").write_bytes(b"x" * 100)
    site.add("/blob", DATA)
    fetch(f"{site.url}/blob", target)
    assert target.read_bytes() == DATA


def test_without_a_hash_a_cut_download_goes_on_by_its_etag(site: Any, target: Path) -> None:
    site.add("/blob", DATA, etag='"one"', cut=300_000)
    fetched = fetch(f"{site.url}/blob", target)
    if not hasattr(os, "setxattr") or len(site.asked) > 4:
        pytest.skip("no extended attributes here")
    assert fetched.sha256 == SHA
    assert [headers.get("If-Range") for _, headers in site.asked] == [None, '"one"', '"one"', '"one"']
    assert "user.omni.etag" not in os.listxattr(target)


def test_without_a_hash_a_file_that_changed_begins_again(site: Any, target: Path) -> None:
    content = site.add("/blob", DATA, etag='"one"', hold=300_000)

    def change() -> None:
        content.held.wait(20)
        site.add("/blob", b"other", etag='"two"')
        content.cut = 0
        content.go.set()

    thread = threading.Thread(target=change)
    thread.start()
    fetch(f"{site.url}/blob", target)
    thread.join()
    assert target.read_bytes() == b"other"


def test_a_server_that_hangs_up_again_and_again_is_asked_again(site: Any, target: Path) -> None:
    site.add("/blob", DATA, cut=150_000)
    fetch(f"{site.url}/blob", target, sha256=SHA)
    assert target.read_bytes() == DATA
    assert len(site.asked) == 7


def test_a_server_that_never_gets_further_is_given_up(site: Any, target: Path) -> None:
    site.add("/blob", DATA, cut=1000, ranges=False)
    with pytest.raises(NetworkBlocked, match="too early"):
        fetch(f"{site.url}/blob", target, sha256=SHA)
    assert len(site.asked) < 10


def test_a_wrong_hash_is_kept_nowhere(site: Any, target: Path) -> None:
    site.add("/blob", b"y" * len(DATA))
    with pytest.raises(BadFile, match="sha256"):
        fetch(f"{site.url}/blob", target, size=len(DATA), sha256=SHA)
    assert left(target.parent) == []
    assert len(site.asked) == 1


@pytest.mark.parametrize("length", [True, False])
@pytest.mark.parametrize("content", [DATA + b"more", DATA[:-3]], ids=["more", "less"])
def test_a_wrong_size_is_refused(site: Any, target: Path, content: bytes, length: bool) -> None:
    site.add("/blob", content, length=length)
    with pytest.raises((BadFile, NetworkBlocked)):
        fetch(f"{site.url}/blob", target, size=len(DATA), sha256=SHA)
    assert not target.exists()


def test_a_server_that_sends_without_end_is_cut(site: Any, target: Path) -> None:
    content = site.add("/blob", DATA, length=False, hold=len(DATA))
    with pytest.raises(BadFile, match="more than the 1000 bytes"):
        fetch(f"{site.url}/blob", target, size=1000)
    assert not content.go.is_set()  # it had not come to its end
    assert left(target.parent) == []


def test_a_stalled_server_times_out_and_the_part_stays(site: Any, target: Path) -> None:
    site.add("/blob", DATA, hold=0)
    with pytest.raises(Interrupted, match="sent nothing"):
        fetch(f"{site.url}/blob", target, sha256=SHA, net=NetSettings(timeout=0.1))
    assert left(target.parent) == ["blob.part"]


def test_cancelling_leaves_the_part(site: Any, target: Path) -> None:
    site.add("/blob", DATA)
    seen: list[int] = []
    with pytest.raises(Cancelled):
        fetch(
            f"{site.url}/blob", target, progress=lambda done, total: seen.append(done), cancelled=lambda: sum(seen) > 0
        )
    assert left(target.parent) == ["blob.part"]


def test_two_at_once_do_it_once(site: Any, target: Path) -> None:
    content = site.add("/blob", DATA, hold=10_000)
    fetched: list[Any] = []
    first = threading.Thread(target=lambda: fetched.append(fetch(f"{site.url}/blob", target)))
    first.start()
    assert content.held.wait(20)
    waits = threading.Event()

    def progress(done: int, total: int | None) -> None:
        if done < len(DATA):
            waits.set()
            content.go.set()

    second = threading.Thread(target=lambda: fetched.append(fetch(f"{site.url}/blob", target, progress=progress)))
    second.start()
    first.join(20)
    second.join(20)
    assert waits.is_set()
    assert [item.sha256 for item in fetched] == [SHA, SHA]
    assert len(site.asked) == 1
    assert left(target.parent) == ["blob"]


def test_one_who_waits_takes_over_when_the_first_is_killed(site: Any, target: Path) -> None:
    content = site.add("/blob", DATA, cut=200_000)
    over = threading.Event()

    def give_up() -> None:
        with pytest.raises(OmniError):
            fetch(
                f"{site.url}/blob",
                target,
                sha256=SHA,
                cancelled=over.is_set,
                progress=lambda done, total: over.set() if done >= 200_000 else None,
            )

    first = threading.Thread(target=give_up)
    first.start()
    fetched = fetch(f"{site.url}/blob", target, sha256=SHA)
    first.join()
    assert fetched.sha256 == SHA
    assert content.cut


# --- local files, pages, disks ---


def test_a_local_file_is_copied_and_checked(tmp_path: Path, target: Path) -> None:
    source = tmp_path / "a file"
    source.write_bytes(DATA)
    assert fetch(source.as_uri(), target, size=len(DATA), sha256=SHA).sha256 == SHA
    with pytest.raises(BadFile):
        fetch(source.as_uri(), target, sha256="0" * 64)
    with pytest.raises(BadFile):
        fetch(source.as_uri(), target.with_name("b"), size=1)
    with pytest.raises(NotFound):
        fetch((tmp_path / "absent").as_uri(), target.with_name("c"))
    assert left(target.parent) == ["blob"]
    assert target.read_bytes() == DATA


def test_a_page_is_held_in_memory_and_bounded(site: Any) -> None:
    site.add("/old/", status=301, headers={"Location": "/page/"})
    site.add("/page/", b"<html>", headers={"Content-Type": "text/html"}, statuses=[500])
    fetched = page(f"{site.url}/old/", net=NET, pause=lambda seconds: None)
    assert fetched == (b"<html>", "text/html", f"{site.url}/page/")
    with pytest.raises(BadFile, match="larger than 5"):
        page(f"{site.url}/page/", net=NET, limit=5)


def test_a_target_in_a_folder_that_cannot_be_written_is_said(site: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OmniError, match="cannot be written"):
        fetch(f"{site.url}/blob", tmp_path / "file" / "blob")


def test_a_link_in_the_place_of_the_part_is_not_followed(site: Any, target: Path, tmp_path: Path) -> None:
    target.parent.mkdir()
    Path(f"{target}.part").symlink_to(tmp_path / "precious")
    site.add("/blob", DATA)
    with pytest.raises(OmniError):
        fetch(f"{site.url}/blob", target)
    assert not (tmp_path / "precious").exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Any:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("no small file system may be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("length", [True, False])
def test_a_full_disk_keeps_only_what_can_go_on(site: Any, small_disk: Path, length: bool) -> None:
    data = os.urandom(6 << 20)
    site.add("/blob", data, length=length)
    with pytest.raises(StorageError, match="full"):
        fetch(f"{site.url}/blob", small_disk / "blob", sha256=hashlib.sha256(data).hexdigest())
    assert left(small_disk) == ["blob.part"]
    subprocess.run(["mount", "-o", "remount,size=16m", str(small_disk)], check=True)
    assert fetch(f"{site.url}/blob", small_disk / "blob", sha256=hashlib.sha256(data).hexdigest()).size == len(data)
    if not length:
        assert site.asked[-1][1]["Range"] == f"bytes={4 << 20}-"
