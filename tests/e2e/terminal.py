"""A real terminal for tests: tmux without a configuration file. Waiting is for output, never for time."""

import os
import select
import shlex
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self


class Terminal:
    """Runs one command in a tmux of its own; `screen` is what a person would see."""

    def __init__(
        self, folder: Path, command: Sequence[str], *, size: tuple[int, int] = (120, 36), environment: Mapping[str, str]
    ) -> None:
        self._socket, self._pipe = folder / "tmux", folder / "output"
        os.mkfifo(self._pipe)
        # Opened for both ends: reading never meets an end of file, and opening never waits for a writer.
        self._output = os.open(self._pipe, os.O_RDWR | os.O_NONBLOCK)
        exports = [f"{name}={value}" for name, value in environment.items()]
        self._tmux("new-session", "-d", "-x", str(size[0]), "-y", str(size[1]), "sh")
        self._tmux("set-option", "-g", "remain-on-exit", "on")
        self._tmux("pipe-pane", f"cat >{shlex.quote(str(self._pipe))}")
        self._tmux("respawn-pane", "-k", "env " + shlex.join([*exports, *command]))
        self._tmux("pipe-pane", f"cat >{shlex.quote(str(self._pipe))}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tmux("kill-server")
        os.close(self._output)

    @property
    def screen(self) -> str:
        """The text on the screen."""
        return self._tmux("capture-pane", "-p")

    @property
    def dead(self) -> int | None:
        """The exit code of the command, or None while it runs."""
        answer = self._tmux("display-message", "-p", "#{pane_dead} #{pane_dead_status}").split()
        if answer[:1] == ["1"] and len(answer) == 1:
            # tmux ignores ended children while it writes utmp at the end of a pane; another one's end wakes it up.
            self._tmux("run-shell", "true")
        return int(answer[1]) if answer[:1] == ["1"] and len(answer) > 1 else None

    def key(self, *names: str) -> None:
        """Press keys by tmux's names for them."""
        self._tmux("send-keys", *names)

    def type(self, text: str) -> None:
        """Type text."""
        self._tmux("send-keys", "-l", text)

    def bytes(self, what: bytes) -> None:
        """What a terminal sends in one breath, byte for byte."""
        self._tmux("send-keys", "-H", *(f"{byte:02x}" for byte in what))

    def until(self, text: str, *, seconds: float = 60) -> str:
        """Wait until `text` stands on the screen and return the screen; fails with what stands there instead."""
        return self.wait(lambda screen: text in screen, f"{text!r}", seconds=seconds)

    def wait(self, there: Callable[[str], object], what: str, *, seconds: float = 60) -> str:
        """Wait until `there(screen)`."""
        deadline = time.monotonic() + seconds
        while not there(screen := self.screen):
            left = deadline - time.monotonic()
            if left <= 0 or self.dead is not None:
                raise AssertionError(f"the screen never showed {what} (exit code {self.dead}):\n{screen}")
            if select.select([self._output], [], [], min(left, 1.0))[0]:
                self._drain()
        return screen

    def ended(self, *, seconds: float = 30) -> int:
        """Wait until the command has ended and return its exit code."""
        deadline = time.monotonic() + seconds
        while (code := self.dead) is None:
            assert time.monotonic() < deadline, f"it did not end:\n{self.screen}"
            if select.select([self._output], [], [], 0.2)[0]:
                self._drain()
        return code

    def vanish(self) -> None:
        """Close the window, as a person closes that of a terminal."""
        self._tmux("kill-server")

    def _drain(self) -> None:
        while True:
            try:
                if not os.read(self._output, 65536):
                    return
            except BlockingIOError:
                return

    def _tmux(self, *words: str) -> str:
        command = ["tmux", "-S", str(self._socket), "-f", "/dev/null", *words]
        environment = {name: value for name, value in os.environ.items() if name not in ("TMUX", "TMUX_PANE")}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, encoding="utf-8")
        return done.stdout
