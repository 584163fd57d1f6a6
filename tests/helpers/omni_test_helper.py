"""Runs in a process of its own: what a plug-in may do there, and what it had better not."""

import ctypes
import errno
import os
import signal
import socket
import time
from importlib import import_module
from typing import Any

from omni.helpers import HelperChannel, HelperRequest

IMPORTED_BEHIND = "the wall"
try:
    socket.socket(socket.AF_INET).close()
    IMPORTED_BEHIND = "nothing"
except OSError:
    pass


def run(channel: HelperChannel) -> None:
    for request in channel.requests():
        globals()[request.value["do"]](request)


def raises_at_once(channel: HelperChannel) -> None:
    raise RuntimeError("no model is here")


def echo(request: HelperRequest) -> None:
    request.reply(request.value)


def pid(request: HelperRequest) -> None:
    request.reply(os.getpid())


def count(request: HelperRequest) -> None:
    for number in range(1, request.value["to"] + 1):
        request.progress(number, request.value["to"], f"number {number}")
        request.send(number)
    request.reply("counted")


def waits(request: HelperRequest) -> None:
    request.progress(1, 2, "waits")
    while not request.cancelled:
        time.sleep(0.002)


def hangs(request: HelperRequest) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    request.progress(1, 2, str(os.getpid()))
    while True:
        time.sleep(1)


def raises(request: HelperRequest) -> None:
    raise ValueError("upside down \x1b[31m")


def fails(request: HelperRequest) -> None:
    request.fail("The picture has no words.", hint="Try another.")


def floods(request: HelperRequest) -> None:
    line: Any = b'{"progress": [1, 2, ""]}\n' * 1000
    while True:
        request._connection.sendall(line)


def values(request: HelperRequest) -> None:
    while not request.cancelled:
        request.send("x" * request.value["long"])


def garbage(request: HelperRequest) -> None:
    request._connection.sendall(request.value["bytes"].encode() * request.value["times"])
    while True:
        time.sleep(1)


def too_long(request: HelperRequest) -> None:
    try:
        request.send("x" * (9 << 20))
    except ValueError as error:
        request.reply(str(error))


def prints(request: HelperRequest) -> None:
    for _ in range(300):
        print("x" * 10_000)
    request.reply()


def memory(request: HelperRequest) -> None:
    try:
        bytearray(request.value["bytes"])
        request.reply("was given")
    except MemoryError:
        request.reply("refused")


def wall(request: HelperRequest) -> None:
    refused = {"imported": IMPORTED_BEHIND}
    for family in ("AF_INET", "AF_INET6"):
        try:
            socket.socket(getattr(socket, family)).close()
        except OSError as error:
            refused[family] = errno.errorcode[error.errno or 0]
    with socket.socket(socket.AF_UNIX) as local:
        try:
            local.connect(request.value["socket"])
        except OSError as error:
            refused["connect"] = errno.errorcode[error.errno or 0]
    request.reply(refused)


def page(request: HelperRequest) -> None:
    try:
        fetched = request.page(request.value["url"])
    except Exception as error:
        request.reply(f"{type(error).__name__}: {error}")
    else:
        request.reply(fetched.data.decode())


def opens_a_memory(request: HelperRequest) -> None:
    """Tries to from its own thread, and from the one that answers the keeper."""
    adopt: Any = import_module("omni.keeper.adopt")

    def attempt() -> str:
        try:
            with open(f"/proc/{request.value['pid']}/mem", "r+b", 0):
                return "opened"
        except OSError as error:
            return errno.errorcode[error.errno or 0]

    def encode(value: Any) -> bytes:
        adopt.encode = real
        request.reply([here, attempt()])
        line: bytes = real(value)
        return line

    here, real, adopt.encode = attempt(), adopt.encode, encode
    request.progress(1, 2, "asked by nobody yet")
    time.sleep(4)


def takes_nothing(channel: HelperChannel) -> None:
    signal.pause()


def leaves_loops(channel: HelperChannel) -> None:
    while True:
        for _ in channel.requests():
            break


def forks(request: HelperRequest) -> None:
    """With Python's own fork, or one that Python knows nothing of; the child stays, in a group of its own: what is in the helper's
    ends with it."""
    child = os.fork() if request.value["by"] == "python" else ctypes.CDLL(None).fork()
    if child == 0:
        os.setsid()
        signal.pause()
    while os.getsid(child) != child:
        pass
    request.progress(1, 2, f"{os.getpid()} {child}")
    signal.pause()
