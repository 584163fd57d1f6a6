"""Downloads against servers that behave and that do not."""

import base64
import hashlib
import os
import random
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from omni.airlock import NetSettings, download, page
from omni.airlock.wire import Cancelled, Interrupted
from omni.core.errors import BadFile, DoorShut, NotFound, OmniError, SetupError, StorageError

NET = NetSettings(timeout=5.0)
DATA = random.Random(1).randbytes(1_000_003)
SHA = hashlib.sha256(DATA).hexdigest()


def fetch(url: str, target: Path, **more: Any) -> Any:
    return download(url, target, **{"net": NET, "pause": lambda seconds: None, **more})


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "files" / "blob"


def test_a_file_comes_whole_with_its_hash(site: Any, target: Path) -> None:
    site.add("/blob", DATA, headers={"Content-Type": "application/gguf"})
    seen: list[tuple[int, int | None]] = []
    found = fetch(
        f"{site.url}/blob?signature=secret",
        target,
        size=len(DATA),
        sha256=SHA.upper(),
        progress=lambda *p: seen.append(p),
    )
    assert target.read_bytes() == DATA
    assert found == (target, len(DATA), SHA, "application/gguf", f"{site.url}/blob?signature=secret", 0)
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
    found = fetch(f"{site.url}/blob", target)
    if not hasattr(os, "setxattr") or len(site.asked) > 4:
        pytest.skip("no extended attributes here")
    assert found.sha256 == SHA
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
    with pytest.raises(DoorShut, match="too early"):
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
    with pytest.raises((BadFile, DoorShut)):
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
    found: list[Any] = []
    first = threading.Thread(target=lambda: found.append(fetch(f"{site.url}/blob", target)))
    first.start()
    assert content.held.wait(20)
    waits = threading.Event()

    def progress(done: int, total: int | None) -> None:
        if done < len(DATA):
            waits.set()
            content.go.set()

    second = threading.Thread(target=lambda: found.append(fetch(f"{site.url}/blob", target, progress=progress)))
    second.start()
    first.join(20)
    second.join(20)
    assert waits.is_set()
    assert [item.sha256 for item in found] == [SHA, SHA]
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
    found = fetch(f"{site.url}/blob", target, sha256=SHA)
    first.join()
    assert found.sha256 == SHA
    assert content.cut


# --- redirects, addresses, logins ---


def test_redirects_are_followed_and_secrets_are_not_told_to_strangers(site: Any, proxy: Any, target: Path) -> None:
    other = proxy
    site.add("/a", status=302, headers={"Location": "/b"})
    site.add("/b", status=307, headers={"Location": f"{other.url}/c"})
    other.add("/c", DATA)
    found = fetch(
        f"{site.url.replace('//', '//me:pass@')}/a", target, headers=[("Authorization", "Bearer key"), ("X-Plain", "1")]
    )
    assert found.url == f"{other.url}/c"
    assert [headers.get("Authorization") for _, headers in site.asked] == ["Bearer key"] * 2
    assert other.asked[0][1].get("Authorization") is None
    assert other.asked[0][1]["X-Plain"] == "1"


@pytest.mark.parametrize("location", ["/a", "/b", "", "ftp://127.0.0.1/x", "file:///etc/passwd", "http://[", "//"])
def test_redirects_in_circles_and_to_nowhere_end(site: Any, target: Path, location: str) -> None:
    site.add("/a", status=302, headers={"Location": location})
    site.add("/b", status=302, headers={"Location": "/a"})
    with pytest.raises((DoorShut, BadFile)):
        fetch(f"{site.url}/a", target)
    assert len(site.asked) < 13
    assert not target.exists()


def test_encryption_is_never_left(secure: Any, site: Any, authority: Path, target: Path) -> None:
    secure.add("/a", status=302, headers={"Location": f"{site.url}/b"})
    site.add("/b", DATA)
    with pytest.raises(DoorShut, match="not encrypted"):
        fetch(f"{secure.url}/a", target, sha256=SHA, net=NET._replace(certificate=str(authority)))
    assert site.asked == []


def test_plain_http_to_elsewhere_needs_a_hash_or_trust(site: Any, target: Path) -> None:
    net = NET._replace(proxy=site.url)  # a proxy, so that the name need not exist
    site.add("/blob", DATA)
    with pytest.raises(DoorShut, match="not encrypted"):
        fetch("http://example.invalid/blob", target, net=net)
    assert site.asked == []
    fetch("http://example.invalid/blob", target, net=net, sha256=SHA)
    fetch("http://example.invalid/blob", target, net=net._replace(trusted_hosts=("example.invalid",)))


def test_a_login_is_used_and_never_shown(site: Any, target: Path) -> None:
    site.login = "Basic " + base64.b64encode(b"me:p@ss").decode()
    site.add("/blob", DATA)
    address = site.url.replace("//", "//me:p%40ss@")
    fetch(f"{address}/blob", target)
    fetch(f"{site.url}/blob", target, net=NET._replace(index_url=f"{address}/simple"))
    netrc = target.with_name("netrc")
    netrc.write_text("machine 127.0.0.1 login me password p@ss\n")
    fetch(f"{site.url}/blob", target, net=NET._replace(netrc=str(netrc)))
    with pytest.raises(DoorShut) as caught:
        fetch(f"{site.url.replace('//', '//me:wrong@')}/blob?key=secret", target)
    assert not {"wrong", "secret"} & set(str(caught.value).replace("?", "@").split("@"))


@pytest.mark.parametrize(
    "url",
    [
        "ftp://127.0.0.1/a",
        "http://",
        "https:///x",
        "http://127.0.0.1:99999/",
        "http://[::1/",
        "nothing",
        "http://a b/",
        "http://127.0.0.1:x/",
    ],
)
def test_addresses_that_are_none_are_said_to_be_none(target: Path, url: str) -> None:
    with pytest.raises((BadFile, DoorShut)):
        fetch(url, target, sha256=SHA)


def test_an_address_cannot_carry_another_request(site: Any, target: Path) -> None:
    with pytest.raises(OmniError):
        fetch(f"{site.url}/a\r\nX-Injected: 1", target)
    assert all("X-Injected" not in headers for _, headers in site.asked)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (404, NotFound),
        (410, NotFound),
        (401, DoorShut),
        (403, DoorShut),
        (418, DoorShut),
        (500, DoorShut),
        (206, DoorShut),
    ],
)
def test_refusals_have_their_own_errors(site: Any, target: Path, status: int, error: type[OmniError]) -> None:
    site.add("/blob", status=status)
    with pytest.raises(error):
        fetch(f"{site.url}/blob", target)


def test_a_busy_server_is_asked_again(site: Any, target: Path) -> None:
    site.add("/blob", DATA, statuses=[503, 429])
    fetch(f"{site.url}/blob", target)
    assert target.read_bytes() == DATA


def test_a_server_that_is_not_there_is_said_so(site: Any, target: Path) -> None:
    site.close()
    with pytest.raises(DoorShut, match=r"127\.0\.0\.1 cannot be reached"):
        fetch(f"{site.url}/blob", target)


def test_a_compressed_answer_is_refused(site: Any, target: Path) -> None:
    site.add("/blob", DATA, headers={"Content-Encoding": "gzip"})
    with pytest.raises(BadFile, match="compressed"):
        fetch(f"{site.url}/blob", target)


def test_what_does_not_speak_http_is_an_error_in_words(target: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:

        def chatter() -> None:
            for _ in range(4):
                connection, _ = server.accept()
                with connection:
                    connection.recv(10_000)
                    connection.sendall(b"220 hello\r\n\r\n")

        thread = threading.Thread(target=chatter)
        thread.start()
        with pytest.raises(DoorShut, match="web server"):
            fetch(f"http://127.0.0.1:{server.getsockname()[1]}/", target)
        thread.join()


# --- certificates and proxies ---


def test_a_certificate_of_ones_own_is_trusted_when_it_is_named(secure: Any, authority: Path, target: Path) -> None:
    secure.add("/blob", DATA)
    with pytest.raises(DoorShut, match="certificate of localhost cannot be trusted"):
        fetch(f"{secure.url}/blob", target)
    assert fetch(f"{secure.url}/blob", target, net=NET._replace(certificate=str(authority))).sha256 == SHA
    fetch(f"{secure.url}/blob", target, net=NET._replace(trusted_hosts=("localhost",)))


def test_a_missing_certificate_file_is_named(target: Path, tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"absent\.pem"):
        fetch("https://localhost/", target, net=NET._replace(certificate=str(tmp_path / "absent.pem")))


def test_a_proxy_is_asked_with_its_login(site: Any, proxy: Any, target: Path) -> None:
    proxy.add("/blob", DATA)
    net = NET._replace(http_proxy=proxy.url.replace("//", "//me:pass@"))
    fetch(f"{site.url}/blob", target, net=net)
    assert proxy.asked[0][0] == f"{site.url}/blob"
    assert proxy.asked[0][1]["Proxy-Authorization"] == "Basic " + base64.b64encode(b"me:pass").decode()
    assert site.asked == []


def test_an_encrypted_download_goes_through_a_proxys_tunnel(
    secure: Any, proxy: Any, authority: Path, target: Path
) -> None:
    secure.add("/blob", DATA)
    proxy.login = "Basic " + base64.b64encode(b"me:pass").decode()
    net = NET._replace(certificate=str(authority), https_proxy=proxy.url.replace("//", "//me:pass@"))
    fetch(f"{secure.url}/blob", target, net=net)
    assert proxy.asked[0][0] == f"localhost:{secure.port}"
    assert "Proxy-Authorization" not in secure.asked[0][1]
    with pytest.raises(DoorShut, match=r"proxy refuses.*407"):
        fetch(f"{secure.url}/blob", target, net=net._replace(https_proxy=proxy.url))


@pytest.mark.parametrize("rule", ["*", "127.0.0.1", "other, 127.0.0.1 ", "127.0.0.0/8", "127.0.0.1:{port}"])
def test_no_proxy_is_honoured(site: Any, proxy: Any, target: Path, rule: str) -> None:
    site.add("/blob", DATA)
    fetch(f"{site.url}/blob", target, net=NET._replace(http_proxy=proxy.url, no_proxy=rule.format(port=site.port)))
    assert proxy.asked == []


def test_pips_own_proxy_wins_over_no_proxy(site: Any, proxy: Any, target: Path) -> None:
    proxy.add("/blob", DATA)
    fetch(f"{site.url}/blob", target, net=NET._replace(proxy=proxy.url.removeprefix("http://"), no_proxy="*"))
    assert len(proxy.asked) == 1


def test_a_proxy_of_another_kind_is_refused_in_words(target: Path) -> None:
    with pytest.raises(SetupError, match="does not speak"):
        fetch("http://127.0.0.1/", target, net=NET._replace(proxy="socks5://127.0.0.1:1"))


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
    found = page(f"{site.url}/old/", net=NET, pause=lambda seconds: None)
    assert found == (b"<html>", "text/html", f"{site.url}/page/")
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
