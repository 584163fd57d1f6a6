"""The airlock as a listener: the address, who holds it, and the order that names it."""

import os
import socket
import threading
import time
from contextlib import suppress
from typing import Any

import pytest

from omni.airlock import PortTaken
from omni.airlock.listen import bind
from omni.airlock.listen import parse as parse_listen
from omni.airlock.peers import holder
from omni.core.errors import SetupError, UsageError
from omni.core.paths import Home


def test_a_taken_port_is_named(site: Any) -> None:
    with pytest.raises(PortTaken, match=f"127.0.0.1:{site.port} is taken by .*process {os.getpid()}"):
        bind("127.0.0.1", site.port)
    site.add("/", b"Ollama is running")
    with pytest.raises(PortTaken, match="taken by Ollama") as caught:
        bind("127.0.0.1", site.port)
    assert caught.value.by == "Ollama"
    site.add("/", b"Ollama is running", headers={"Server": "omni"})
    with pytest.raises(PortTaken, match="another `omni serve`"):
        bind("127.0.0.1", site.port)


def test_who_holds_a_port_and_speaks_slowly_holds_nobody_up() -> None:
    over = threading.Event()

    def drip(listener: socket.socket) -> None:
        line, _ = listener.accept()
        with line, suppress(OSError):
            while not over.wait(0.05):
                line.sendall(b"x")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=drip, args=(listener,), daemon=True)
        thread.start()
        began = time.monotonic()
        assert f"process {os.getpid()}" in holder(listener.getsockname()[1], "127.0.0.1")
        assert time.monotonic() - began < 5
        over.set()
        thread.join(5)


def test_nobody_holds_a_free_port() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert holder(port, "127.0.0.1") == ""


@pytest.mark.parametrize("host", ["no.such.host.invalid", "192.0.2.1", "\x80"])
def test_an_address_that_is_not_ours(host: str) -> None:
    with pytest.raises(SetupError):
        bind(host, 0)


def test_localhost_is_the_address_that_all_clients_try() -> None:
    with bind("localhost", 0) as listener:
        assert listener.getsockname()[0] == "127.0.0.1"


GOOD = {"host": "127.0.0.1", "port": 0, "socket": "SOCKETS/server-1.sock", "tls": None}


@pytest.mark.parametrize(
    "wrong",
    [
        {"host": 7},
        {"host": ""},
        {"host": "a\nb"},
        {"port": "1"},
        {"port": True},
        {"port": 65536},
        {"port": -1},
        {"socket": "/tmp/x"},
        {"socket": "SOCKETS/../x"},
        {"socket": "SOCKETS/."},
        {"socket": 5},
        {"tls": "x"},
        {"tls": {"cert": "/a"}},
        {"tls": {"cert": "a", "key": "b"}},
        {"tls": {"cert": "/a", "key": 6}},
    ],
)
def test_orders_that_are_none(home: Home, wrong: dict[str, Any]) -> None:
    order = {
        name: value.replace("SOCKETS", str(home.sockets)) if isinstance(value, str) else value
        for name, value in {**GOOD, **wrong}.items()
    }
    with pytest.raises(UsageError):
        parse_listen({"listen": order}, home)
    with pytest.raises(UsageError):
        parse_listen({}, home)
