"""What the tests of this room share: the command line in this process, in one of its own, and at a terminal."""

import json
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from omni.core.paths import Home
from omni.keeper import stop_everything

ROOT = Path(__file__).resolve().parents[2]
REAL = [sys.executable, "-m", "omni"]
SCRIPTED = [sys.executable, "-m", "tests.cli.scripted"]


class Result(NamedTuple):
    """What a command left."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def events(self) -> list[dict[str, Any]]:
        first, *lines = map(json.loads, self.out.splitlines())
        return lines if first == {"type": "omni_events", "version": 2} else [first, *lines]


def until(condition: Callable[[], Any], seconds: float = 30.0) -> Any:
    """Wait until something holds and return it; in vain is a failure."""
    deadline = time.monotonic() + seconds
    while not (met := condition()):
        assert time.monotonic() < deadline, f"waited {seconds} s in vain"
        time.sleep(0.01)
    return met


class Terminal:
    """A command at a terminal of its own."""

    def __init__(self, command: list[str], environment: dict[str, str], folder: Path = ROOT) -> None:
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.execvpe(command[0], command, environment)
        self.screen = ""
        self._seen = 0
        self._code: int | None = None

    def read(self, text: str, seconds: float = 30.0) -> str:
        """Wait for a text behind the last one that was waited for; returns all up to it."""
        deadline = time.monotonic() + seconds
        while (position := self.screen.find(text, self._seen)) < 0:
            assert self._more(deadline), f"{text!r} never came; the screen: {self.screen[self._seen :]!r}"
        begin, self._seen = self._seen, position + len(text)
        return self.screen[begin : self._seen]

    def type(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def end(self, seconds: float = 30.0) -> int:
        """Read to the end and return the exit code."""
        deadline = time.monotonic() + seconds
        while self._more(deadline):
            pass
        return self.wait()

    def wait(self) -> int:
        if self._code is None:
            self._code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            os.close(self._terminal)
        return self._code

    def kill(self) -> None:
        if self._code is None:
            os.kill(self.pid, 9)
            self.wait()

    def _more(self, deadline: float) -> bool:
        left = deadline - time.monotonic()
        assert left > 0, f"the screen: {self.screen!r}"
        if select.select([self._terminal], [], [], left)[0]:
            try:
                data = os.read(self._terminal, 65536)
            except OSError:  # the other side was closed
                return False
            self.screen += data.decode("utf-8", "replace")
            return bool(data)
        return True


class Cli:
    """Omni's command line on one home, in processes of their own."""

    def __init__(self, home: Home, command: list[str], **environment: str) -> None:
        self.home, self.command = home, command
        self.environment = {
            **os.environ,
            "OMNI_HOME": str(home.root),
            "OMNI_ENVIRONMENT": "own",
            "PYTHONPATH": str(ROOT),
            "HOME": str(home.root.parent),  # no store of another program is found there
            **environment,
        }
        self.folder = home.root.parent
        self._started: list[subprocess.Popen[bytes]] = []
        self._terminals: list[Terminal] = []

    def run(self, *words: str, stdin: bytes | None = None, prefix: tuple[str, ...] = (), **environment: str) -> Result:
        """Run a command to its end."""
        completed = subprocess.run(
            [*prefix, *self.command, *words],
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            cwd=self.folder,
            env=self.environment | environment,
            timeout=120,
        )
        return Result(completed.returncode, completed.stdout.decode(), completed.stderr.decode())

    def start(self, *words: str, **options: Any) -> subprocess.Popen[bytes]:
        """Start a command with pipes for its output."""
        process = subprocess.Popen(
            [*self.command, *words],
            **{
                "stdin": subprocess.DEVNULL,
                "stdout": subprocess.PIPE,
                "stderr": subprocess.PIPE,
                "cwd": self.folder,
                "env": self.environment,
                **options,
            },
        )
        self._started.append(process)
        return process

    def finish(self, process: subprocess.Popen[bytes], seconds: float = 60.0) -> Result:
        """Wait for what was started."""
        out, err = process.communicate(timeout=seconds)
        return Result(process.returncode, out.decode(), err.decode())

    def terminal(self, *words: str, folder: Path = ROOT, **environment: str) -> Terminal:
        """Start a command at a terminal."""
        session = Terminal([*self.command, *words], self.environment | {"TERM": "dumb"} | environment, folder)
        self._terminals.append(session)
        return session

    def processes(self, kind: str) -> list[dict[str, Any]]:
        """The processes of one kind as `omni ps` names them."""
        listing = self.run("ps", "--json")
        assert listing.code == 0, listing
        return [process for process in listing.json if process["kind"] == kind]

    def close(self) -> None:
        """End all that was started."""
        for terminal in self._terminals:
            terminal.kill()
        for process in self._started:
            process.kill()
            process.communicate()
        stop_everything(self.home, windows=True)
