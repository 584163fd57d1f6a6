"""The way of a download: redirects, addresses, logins, certificates and proxies."""

import base64
import threading
from pathlib import Path
from typing import Any

import pytest

from omni.core.errors import BadFile, NetworkBlocked, NotFound, OmniError, SetupError
from tests.airlock.fetch_tools import DATA, NET, SHA, fetch

# --- redirects, addresses, logins ---


def test_redirects_are_followed_and_secrets_are_not_told_to_strangers(site: Any, proxy: Any, target: Path) -> None:
    other = proxy
    site.add("/a", status=302, headers={"Location": "/b"})
    site.add("/b", status=307, headers={"Location": f"{other.url}/c"})
    other.add("/c", DATA)
    fetched = fetch(
        f"{site.url.replace('//', '//me:pass@')}/a", target, headers=[("Authorization", "Bearer key"), ("X-Plain", "1")]
    )
    assert fetched.url == f"{other.url}/c"
    assert [headers.get("Authorization") for _, headers in site.asked] == ["Bearer key"] * 2
    assert other.asked[0][1].get("Authorization") is None
    assert other.asked[0][1]["X-Plain"] == "1"


@pytest.mark.parametrize("location", ["/a", "/b", "", "ftp://127.0.0.1/x", "file:///etc/passwd", "http://[", "//"])
def test_redirects_in_circles_and_to_nowhere_end(site: Any, target: Path, location: str) -> None:
    site.add("/a", status=302, headers={"Location": location})
    site.add("/b", status=302, headers={"Location": "/a"})
    with pytest.raises((NetworkBlocked, BadFile)):
        fetch(f"{site.url}/a", target)
    assert len(site.asked) < 13
    assert not target.exists()


def test_encryption_is_never_left(secure: Any, site: Any, authority: Path, target: Path) -> None:
    secure.add("/a", status=302, headers={"Location": f"{site.url}/b"})
    site.add("/b", DATA)
    with pytest.raises(NetworkBlocked, match="not encrypted"):
        fetch(f"{secure.url}/a", target, sha256=SHA, net=NET._replace(certificate=str(authority)))
    assert site.asked == []


def test_plain_http_to_elsewhere_needs_a_hash_or_trust(site: Any, target: Path) -> None:
    net = NET._replace(proxy=site.url)  # a proxy, so that the name need not exist
    site.add("/blob", DATA)
    with pytest.raises(NetworkBlocked, match="not encrypted"):
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
    with pytest.raises(NetworkBlocked) as caught:
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
    with pytest.raises((BadFile, NetworkBlocked)):
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
        (401, NetworkBlocked),
        (403, NetworkBlocked),
        (418, NetworkBlocked),
        (500, NetworkBlocked),
        (206, NetworkBlocked),
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
    with pytest.raises(NetworkBlocked, match=r"127\.0\.0\.1 cannot be reached"):
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
        with pytest.raises(NetworkBlocked, match="web server"):
            fetch(f"http://127.0.0.1:{server.getsockname()[1]}/", target)
        thread.join()


# --- certificates and proxies ---


def test_a_certificate_of_ones_own_is_trusted_when_it_is_named(secure: Any, authority: Path, target: Path) -> None:
    secure.add("/blob", DATA)
    with pytest.raises(NetworkBlocked, match="certificate of localhost cannot be trusted"):
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
    with pytest.raises(NetworkBlocked, match=r"proxy refuses.*407"):
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
