"""What the tests of this room share: an office, which is a home with a real keeper, real workers, real starters."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from omni.core.paths import Home
from omni.keeper import KeeperClient, ProcessInfo, Starter, WorkerSpec, WorkerTurn, start
from omni.keeper.places import read_object
from tests.keeper import doubles

ROOT = Path(__file__).resolve().parents[2]


def keeper_command(**timings: float) -> list[str]:
    return doubles.command("keeper", json.dumps(timings))


class Office:
    """One home and all that lives in it."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.starters: list[Starter] = []
        self.clients: list[KeeperClient] = []
        self.timings: dict[str, float] = {"idle": 30.0, "look": 0.05, "pin": 0.2, "progress": 0.02}

    def starter(self, python: str = sys.executable) -> Starter:
        new_starter = start(self.home, full_screen=False, keeper_command=[python, *keeper_command(**self.timings)[1:]])
        self.starters.append(new_starter)
        return new_starter

    async def client(self, name: str = "shell", *, starter: Starter | None = None) -> KeeperClient:
        new_client = await KeeperClient.connect(self.home, starter or self.starter(), client=name)
        self.clients.append(new_client)
        return new_client

    def spec(self, base: str = "base", *, need: int = 1000, **settings: int | str) -> WorkerSpec:
        path = f"/brains/{base}.gguf"
        return WorkerSpec(engine="scripted", base=base, path=path, need_bytes=need, settings=settings)

    def keeper(self, command: list[str] | None = None) -> subprocess.Popen[bytes]:
        """A keeper as a child of the tests, which can be waited for."""
        environment = {**os.environ, "OMNI_HOME": str(self.home.root)}
        return subprocess.Popen(command or keeper_command(**self.timings), env=environment)

    @property
    def pid(self) -> int:
        """The keeper's."""
        state = read_object(self.home.keeper_file)
        assert state is not None
        return int(state["pid"])

    def kill_keeper(self) -> int:
        pid = self.pid
        os.kill(pid, signal.SIGKILL)
        return pid

    def memory(self, megabytes: int) -> None:
        """Set the budget."""
        self.home.config.write_text(f"[engine]\nmemory = {megabytes}\n")


async def granted(turn: WorkerTurn) -> WorkerTurn:
    async for _ in turn.waiting():
        pass
    return turn


async def named(client: KeeperClient, kind: str) -> list[ProcessInfo]:
    return [one for one in await client.processes() if one.kind == kind]


async def echo(turn: WorkerTurn, text: str = "hello") -> str:
    reader, writer = await asyncio.open_unix_connection(turn.socket)
    writer.write(f"{text}\n".encode())
    line = await reader.readline()
    writer.close()
    return line.decode().strip()


def proc(pid: int, name: str) -> str:
    """A file of the kernel about a process; "" when it is gone."""
    try:
        return Path(f"/proc/{pid}/{name}").read_text()
    except OSError:
        return ""


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and that nobody has waited for does not."""
    return proc(pid, "stat").rpartition(") ")[2][:1] not in ("", "Z", "X")
