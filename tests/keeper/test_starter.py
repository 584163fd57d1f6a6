"""The starter, with a real terminal of its own where that matters."""

import asyncio
import fcntl
import os
import pty
import re
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from omni.core.errors import SetupError, UsageError
from omni.core.locks import is_held
from omni.core.paths import Home
from omni.keeper import KeeperClient, start
from omni.keeper.places import read_object
from tests.keeper.keeper_office import ROOT, alive, keeper_command
from tests.waiting import until

FRONT_END = f"""
import asyncio, os, sys, termios, tty
sys.path.insert(0, {str(ROOT)!r})
from omni.core.paths import Home
from omni.keeper.starter import start
starter = start(Home.from_environment(), keeper_command=["/bin/true"])
mode = termios.tcgetattr(0)
tty.setraw(0)
os.write(1, b"\\x1b[?1049h\\x1b[?25l[in %d]" % os.getpid())
order = sys.stdin.readline().strip()
if order == "editor":
    code = asyncio.run(starter.editor("/the/file name"))
    os.write(1, f"[code {{code}}]".encode())
if order == "leave":
    termios.tcsetattr(0, termios.TCSADRAIN, mode)
    starter.goodbye()
else:
    sys.stdin.readline()
"""


# A front end is a child of the shell that has the terminal; where that ends, the kernel takes the terminal away.
SHELL = 'cd /; "$0" -c "$1"; echo "[out $?]"; read line'


class Terminal:
    """A front end in a terminal that nobody else has."""

    def __init__(self, home: Home, **environment: str) -> None:
        self.master, self.slave = pty.openpty()
        self.before = termios.tcgetattr(self.slave)
        self.text = b""
        self.process = subprocess.Popen(
            ["/bin/sh", "-c", SHELL, sys.executable, FRONT_END],
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            preexec_fn=self._own,  # noqa: PLW1509 - no threads run yet that could hold a lock
            env={**os.environ, "OMNI_HOME": str(home.root), **environment},
        )
        os.set_blocking(self.master, False)

    def _own(self) -> None:
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def shows(self, text: str) -> bool:
        try:
            self.text += os.read(self.master, 65536)
        except OSError:
            pass
        return text.encode() in self.text

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    @property
    def front_end(self) -> int:
        """Its pid."""
        match = re.search(rb"\[in (\d+)\]", self.text)
        assert match
        return int(match[1])

    def restored(self) -> bool:
        return termios.tcgetattr(self.slave)[:4] == self.before[:4]

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def terminal(home: Home, tmp_path: Path) -> Iterator[Terminal]:
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nprintf "[edits %s]" "$2"\nread line </dev/tty\nexit 7\n')
    editor.chmod(0o755)
    new_terminal = Terminal(home, EDITOR=f"{editor} --wait", VISUAL="")
    yield new_terminal
    new_terminal.close()


async def test_a_terminal_is_given_back_when_its_front_end_is_killed(terminal: Terminal) -> None:
    await until(lambda: terminal.shows("[in "))
    assert not terminal.restored()
    os.kill(terminal.front_end, signal.SIGKILL)
    await until(lambda: terminal.shows("\x1b[?1049l"))
    assert b"\x1b[?25h" in terminal.text
    await until(terminal.restored)


async def test_after_a_goodbye_nothing_is_done_to_the_terminal(terminal: Terminal) -> None:
    await until(lambda: terminal.shows("[in "))
    terminal.type("leave\n")
    await until(lambda: terminal.shows("[out 0]"))
    await until(lambda: not re.search(rb"omni-starter", _session(terminal.process.pid)))
    assert not terminal.shows("\x1b[?1049l")


async def test_the_editor_gets_the_terminal_and_its_end_is_told(terminal: Terminal) -> None:
    await until(lambda: terminal.shows("[in "))
    terminal.type("editor\n")
    await until(lambda: terminal.shows("[edits /the/file name]"))
    terminal.type("\n")
    terminal.type("\r\n")
    await until(lambda: terminal.shows("[code 7]"))


def _session(pid: int) -> bytes:
    """Command lines of all processes in the session of a process."""
    command_lines = b""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if (folder / "stat").read_text().rpartition(") ")[2].split()[3] == str(pid):
                command_lines += (folder / "cmdline").read_bytes()
        except (OSError, IndexError):
            continue
    return command_lines


async def test_it_starts_a_keeper_that_outlives_it(home: Home) -> None:
    starter = start(home, full_screen=False, keeper_command=keeper_command(idle=30))
    starter.keeper()
    await until(lambda: read_object(home.keeper_file))
    keeper = read_object(home.keeper_file)
    assert keeper is not None
    os.kill(starter.pid, signal.SIGKILL)
    await until(lambda: not alive(starter.pid))
    assert os.getsid(keeper["pid"]) == keeper["pid"]
    assert os.readlink(f"/proc/{keeper['pid']}/cwd") == "/"
    with pytest.raises(SetupError, match="starter has ended"):
        starter.keeper()
    starter.close()
    client = await KeeperClient.connect(home, None, client="cli")
    await client.shutdown()
    await client.close()
    await until(lambda: not is_held(home.keeper_lock))


async def test_a_click_opens_the_browser_and_nothing_else(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = tmp_path / "browser"
    browser.write_text(
        f'#!/bin/sh\nprintf %s "$1" > {tmp_path}/asked.part; mv {tmp_path}/asked.part {tmp_path}/asked\n'
    )
    browser.chmod(0o755)
    monkeypatch.setenv("BROWSER", str(browser))
    starter = start(home, full_screen=False, keeper_command=["/bin/true"])
    address = "https://example.org/?a=$(id)&b=`id`;c='\"d e"
    assert await starter.open(address)
    await until((tmp_path / "asked").exists)
    assert (tmp_path / "asked").read_text() == address
    for wrong in ("file:///etc/passwd", "javascript:1", "https://a\nkeeper"):
        with pytest.raises(UsageError):
            await starter.open(wrong)
    with pytest.raises(UsageError):
        await starter.editor("a\nb")
    starter.goodbye()


async def test_a_machine_without_a_browser_says_so(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("BROWSER", raising=False)
    starter = start(home, full_screen=False, keeper_command=["/bin/true"])
    assert not await starter.open("https://example.org")
    starter.goodbye()


async def test_it_ends_with_its_front_end_and_holds_nothing_open(home: Home) -> None:
    starter = start(home, full_screen=False, keeper_command=["/bin/true"])
    ours = {link(os.getpid(), end) for end in (starter._orders, starter._answers)}
    held = {name: link(starter.pid, name) for name in os.listdir(f"/proc/{starter.pid}/fd")}
    assert {name: end for name, end in held.items() if end in ours} == {
        "0": link(os.getpid(), starter._orders),
        "4": link(os.getpid(), starter._answers),
    }
    starter.goodbye()
    await until(lambda: not alive(starter.pid))
    starter.close()


async def test_answers_do_not_block_the_loop(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    editor = tmp_path / "editor"
    editor.write_text(f"#!/bin/sh\nwhile [ ! -e {tmp_path}/gate ]; do sleep 0.01; done\nexit 3\n")
    editor.chmod(0o755)
    monkeypatch.setenv("VISUAL", str(editor))
    starter = start(home, full_screen=False, keeper_command=["/bin/true"])
    task = asyncio.create_task(starter.editor(tmp_path / "text"))
    await until(lambda: starter.editing)
    (tmp_path / "gate").touch()
    assert await task == 3
    starter.goodbye()


async def test_it_obeys_nothing_that_hides_in_a_path_or_an_address(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "program"
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$1" >> {tmp_path}/asked\n')
    program.chmod(0o755)
    monkeypatch.setenv("VISUAL", str(program))
    monkeypatch.setenv("BROWSER", str(program))
    starter = start(home, full_screen=False, keeper_command=["/bin/true"])
    for order in (
        "open file:///etc/passwd",
        "open --help",
        "sh -c id",
        "editor",
        "keeper; id",
    ):  # of a front end gone wild
        starter._order(order)
    for path in ("+:!id", "-c :!id", "notes.md", "/notes.md"):
        assert await starter.editor(path) == 0
    assert await starter.open("HTTPS://example.org/A")
    await until(lambda: (tmp_path / "asked").read_text().count("\n") == 5)
    assert (tmp_path / "asked").read_text().splitlines() == [
        *("./+:!id", "./-c :!id", "./notes.md", "/notes.md"),
        "https://example.org/A",
    ]
    starter.goodbye()


async def test_a_child_of_it_tries_the_wall(home: Home) -> None:
    starter = start(home, full_screen=False, keeper_command=["/bin/true"])
    tried = await starter.wall()
    assert {(each["what"], each["where"]) for each in tried} >= {("AF_INET", "itself"), ("io_uring", "a child")}
    assert not any(each["refused"] for each in tried if each["what"] == "AF_INET")
    starter.goodbye()


async def test_an_answer_that_nobody_waits_for_is_not_taken_for_another(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    editor = tmp_path / "editor"
    editor.write_text(f'#!/bin/sh\nwhile [ ! -e {tmp_path}/gate ]; do sleep 0.01; done\nexit $(cat "$1")\n')
    editor.chmod(0o755)
    monkeypatch.setenv("VISUAL", str(editor))
    for code in ("3", "4"):
        (tmp_path / code).write_text(code)
    starter = start(home, full_screen=False, keeper_command=["/bin/true"])
    task = asyncio.create_task(starter.editor(tmp_path / "3"))
    await until(lambda: starter._unread == 1)
    task.cancel()
    (tmp_path / "gate").touch()
    assert await starter.editor(tmp_path / "4") == 4
    starter.goodbye()


def link(pid: int, descriptor: object) -> str:
    """What a descriptor of a process is; "" when it has just been closed."""
    try:
        return os.readlink(f"/proc/{pid}/fd/{descriptor}")
    except OSError:
        return ""
