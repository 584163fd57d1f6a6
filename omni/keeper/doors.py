"""The airlock as the keeper's child, and the air gap, which ends it and keeps it from coming back.

The airlock's fd 0 is a socket to the keeper; its end is the keeper's end, and ends the airlock. The first line on it is
`{"home", "socket", "epoch"}`, then one `{"token", "purpose", "client"}` per door. The airlock may answer there with
`{"doors": [{"purpose", "host", "since", "bytes"}, …]}` whenever they change, and answers `{"order": "wall"}` with what
it tried. When no door has been open for a while it is told `{"order": "leave"}`: it ends, and its memory with it, or says
`{"stays": true}` because somebody still has a token or a connection. Its fd 3 carries the lock by which a later keeper
sees whether it, or anything that it started, still lives.
"""

import os
import selectors
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from omni.core.errors import NetworkBlocked, NotFound, OmniError
from omni.core.locks import is_held, take_lock
from omni.core.paths import Home
from omni.keeper.children import Kind, end_group, end_holder, exit_code, how_it_ended, spawn, wait
from omni.keeper.installer import end_installer, installer_lock
from omni.keeper.places import air_gap, airlock_lock, set_air_gap, tail
from omni.keeper.wire import Garbage, LineDecoder, encode

PURPOSES = ("install", "pull", "engine", "serve")
PATIENCE = 10.0  # seconds for an airlock to listen
LOOK = 0.01  # seconds between looks whether it does
USE = 2.0  # seconds in which a token is used
IDLE = 20.0  # seconds without a door, until the airlock is told to leave: longer than between the files of one download

Answer = Callable[[dict[str, str] | OmniError], None]
Tried = Callable[[list[Any] | OmniError], None]


class AirlockSupervisor:
    """The way out of one home."""

    def __init__(
        self,
        home: Home,
        kind: Kind,
        selector: selectors.BaseSelector,
        *,
        epoch: str,
        changed: Callable[[], None],
        idle: float = IDLE,
    ) -> None:
        self.pid, self.since = 0, 0.0
        self.open: list[dict[str, Any]] = []
        self._home, self._kind, self._selector, self._epoch, self._changed = home, kind, selector, epoch, changed
        self._line: socket.socket | None = None
        self._lines = LineDecoder()
        self._listens = self._leaving = False
        self._idle = idle
        self._waiting: list[tuple[str, str, Answer]] = []
        self._trials: list[Tried] = []  # in the order in which the airlock was asked
        self._give_up = 0.0
        self._given = float("-inf")  # when the last token was
        self._used = 0.0  # when something was last heard of a door, or given for one

    @property
    def socket(self) -> Path:
        """Where the airlock takes orders."""
        return self._home.sockets / "airlock.sock"

    def state(self) -> dict[str, Any]:
        """What holds now; `verified` is the kernel's word, not a memory of ours."""
        gap, alive = air_gap(self._home), is_held(airlock_lock(self._home))
        installing = is_held(installer_lock(self._home))
        if gap:
            living = [name for name, lives in (("an airlock", alive), ("an installer", installing)) if lives]
            detail = f"{' and '.join(living)} that was told to end still lives" if living else "no airlock lives"
        else:
            detail = f"airlock {self.pid} lives" if alive else "no airlock lives; one starts when it is needed"
        return {
            "air_gap": gap,
            "open": (self.open if alive else []) + (self._installing() if installing else []),
            "verified": not (gap and (alive or installing)),
            "detail": detail,
        }

    @property
    def detail(self) -> str:
        """What the airlock does now, in a few words."""
        listens = [str(door.get("host")) for door in self.open if door.get("purpose") == "serve"]
        words = [f"listens on {', '.join(listens)}"] if listens else []
        if others := len(self.open) - len(listens):
            words.append(f"{others} open")
        return "; ".join(words) or "no door is open"

    def _installing(self) -> list[dict[str, Any]]:
        """What an installer has open is its own business; that it may is shown."""
        try:
            since = installer_lock(self._home).stat().st_mtime
        except OSError:
            return []
        return [{"purpose": "install", "host": "package index", "since": since}]

    def set_air_gap(self, on: bool) -> dict[str, Any]:
        """Shut all doors, or allow them again. Doors first, then the file: nothing goes out while the disk is slow."""
        gone = True
        if on:
            self._refuse_all(_shut())
            gone = self.end() & end_installer(self._home)
        set_air_gap(self._home, on)
        if on:
            gone &= end_installer(self._home)  # one that had just looked whether it may
        state = self.state()
        state["verified"] = state["verified"] and gone and state["air_gap"] is on
        self._changed()
        return state

    def door(self, purpose: str, client: str, answer: Answer) -> None:
        """Give a token for one order, once the airlock listens. Answers an OmniError where that cannot be."""
        if purpose not in PURPOSES:
            answer(
                NetworkBlocked(f"No door is opened for {purpose!r}.", hint=f"Known purposes: {', '.join(PURPOSES)}.")
            )
        elif air_gap(self._home):
            answer(_shut())
        else:
            self._waiting.append((purpose, client, answer))
            self._give_up = time.monotonic() + PATIENCE
            self.tick(time.monotonic())

    def try_wall(self, answer: Tried) -> None:
        """Have the airlock try to get around the wall. It is not started for it."""
        if self._line is None or not self.pid:
            answer(NotFound("No airlock is running.", hint="One starts with the first download."))
            return
        self._trials.append(answer)
        self._tell({"order": "wall"})

    def in_use(self, now: float) -> bool:
        """Whether a client has a door or is about to: ending the airlock would break something off."""
        return bool(self.pid and (self.open or self._waiting or now < self._given + USE))

    def end(self) -> bool:
        """Kill the airlock and wait for it; True when nothing of it is left."""
        pid, self.pid = self.pid, 0
        gone = True
        if pid:
            end_group(pid, signal.SIGKILL)
            gone = wait(pid, 1.0)
        self._hang_up()
        gone = end_airlock(self._home) and gone
        if pid:
            self.socket.unlink(missing_ok=True)
            self._changed()
        return gone

    def reap(self) -> None:
        """Look whether the airlock has ended by itself."""
        if self.pid and (code := exit_code(self.pid)) is not None:
            self.pid = 0
            self._hang_up()
            if not self._leaving:  # who asks just when it leaves waits for the next one
                log = tail(self._home.logs / "airlock.log")
                self._refuse_all(NetworkBlocked(f"The airlock does not start: {how_it_ended(code)}.", hint=log))
            self._changed()

    def deadline(self) -> float | None:
        """When `tick` has something to do."""
        if self._waiting:
            return time.monotonic() + LOOK
        return self._used + self._idle if self._is_idle() else None

    def _is_idle(self) -> bool:
        return bool(self.pid) and not (self.open or self._trials or self._leaving)

    def tick(self, now: float) -> None:
        """Start the airlock for those who wait, and hand out tokens once it listens; let one go that nobody uses."""
        if not self._waiting:
            if self._is_idle() and now >= self._used + self._idle:
                self._leaving = True
                self._tell({"order": "leave"})
            return
        if now > self._give_up:
            if self._leaving:  # and does not
                self.end()
            hint = tail(self._home.logs / "airlock.log")
            self._refuse_all(NetworkBlocked(f"The airlock did not listen within {PATIENCE:g} s.", hint=hint))
            return
        if self.pid and self._leaving:
            return
        try:
            if not self.pid:
                self._start()
        except (OmniError, OSError) as error:
            self._refuse_all(error if isinstance(error, OmniError) else NetworkBlocked(f"No airlock: {error}."))
            return
        if self.pid and self._look():
            waiting, self._waiting = self._waiting, []
            for purpose, client, answer in waiting:
                token = os.urandom(16).hex()
                self._tell({"token": token, "purpose": purpose, "client": client})
                self._given = self._used = now
                answer({"socket": str(self.socket), "token": token})

    def _start(self) -> None:
        held = take_lock(airlock_lock(self._home))
        if held is None:  # one that a dead keeper left is ending, or must be helped
            end_airlock(self._home)
            return
        self._home.ensure_sockets()
        self.socket.unlink(missing_ok=True)
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            log = self._home.logs / "airlock.log"
            self.pid = spawn(self._kind, home=self._home.root, log=log, stdin=its.fileno(), keep=held)
            os.ftruncate(held, 0)
            os.pwrite(held, str(self.pid).encode(), 0)
        except OSError:
            ours.close()
            raise
        finally:
            its.close()
            os.close(held)  # the airlock's copy goes on holding the lock
        ours.setblocking(False)
        self._line, self._lines, self.since = ours, LineDecoder(), time.time()
        self._listens = self._leaving = False
        self._used = time.monotonic()
        self._selector.register(ours, selectors.EVENT_READ, lambda _mask: self._hear())
        self._tell({"home": str(self._home.root), "socket": str(self.socket), "epoch": self._epoch})
        self._changed()

    def _look(self) -> bool:
        """Whether the airlock listens, found by connecting."""
        if self._listens and not self.socket.exists():  # a cleaner of /tmp came by: nobody can reach it any more
            self.end()
            return False
        if not self._listens:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
                probe.setblocking(False)
                try:
                    probe.connect(os.fspath(self.socket))
                except OSError:
                    return False
            self._listens = True
        return True

    def _tell(self, value: dict[str, Any]) -> None:
        if self._line is not None:
            try:
                self._line.send(encode(value))
            except OSError:  # it does not read its orders: it is no use as it is
                end_group(self.pid, signal.SIGKILL)

    def _hear(self) -> None:
        if self._line is None:
            return
        try:
            data = self._line.recv(65536)
            said = self._lines.feed(data) if data else None
        except BlockingIOError:
            return
        except (OSError, Garbage):
            said = None
        if said is None:
            self._hang_up()
            return
        for line in said:
            if isinstance(doors := line.get("doors"), list):
                self.open = [door for door in doors if isinstance(door, dict)]
                self._used = time.monotonic()
                self._changed()
            elif line.get("stays") is True:
                self._leaving, self._used = False, time.monotonic()
            elif isinstance(tried := line.get("attempts"), list) and self._trials:
                self._trials.pop(0)(tried)

    def _hang_up(self) -> None:
        if self._line is not None:
            self._selector.unregister(self._line)
            self._line.close()
            self._line = None
        self.open = []
        trials, self._trials = self._trials, []
        for answer in trials:
            answer(NotFound("The airlock has gone."))

    def _refuse_all(self, error: OmniError) -> None:
        waiting, self._waiting = self._waiting, []
        for _, _, answer in waiting:
            answer(error)


def end_airlock(home: Home) -> bool:
    """Kill whichever process holds the airlock's lock, as one does whose keeper died; True when none is left."""
    path = airlock_lock(home)
    deadline = time.monotonic() + 0.5
    while is_held(path):
        with suppress(OSError, ValueError):
            end_holder(int(path.read_text()), path, signal.SIGKILL)
        if time.monotonic() > deadline:
            return False
        time.sleep(0.001)
    return True


def _shut() -> NetworkBlocked:
    return NetworkBlocked(
        "The air gap is on: nothing may leave this machine.", hint="Press F12, or run `omni airgap off`."
    )
