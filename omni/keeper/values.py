"""What a front end tells the keeper and hears from it, as frozen values."""

from typing import Any, Literal

import msgspec

from omni.keeper.wire import spec_key

Priority = Literal["interactive", "agent", "background"]


class WorkerSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One base model as it shall be loaded. Equal specs share one worker. `engine` is the name of a runtime, by which the
    worker finds it ("xllamacpp": the one that comes with Omni), or "scripted".

    `need_bytes` is the memory it takes when loaded. Of `settings` the keeper itself reads `slots` (turns at a time,
    default 1), `cells` (tokens that the turns of all slots share; none: no limit) and `keep_alive` (seconds that it
    stays without being used, default 300); the worker reads the rest.
    """

    engine: str
    base: str
    path: str
    need_bytes: int
    settings: dict[str, int | str] = {}

    @property
    def key(self) -> str:
        """Equal for specs that one worker can serve; how long it stays and what it needs make no difference."""
        return spec_key(msgspec.to_builtins(self))


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """The turn waits. `place` counts from 1; `detail` says in words for what."""

    place: int
    reason: Literal["memory", "slot"]
    detail: str = ""


class Loading(msgspec.Struct, frozen=True, kw_only=True):
    """The worker starts and loads its base since `seconds`; `fraction` is 0 to 1, or None where nobody can tell."""

    seconds: float
    fraction: float | None = None


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """The worker that was asked for has loaded its base."""

    worker: str


class ProcessInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One process of Omni. `since` is seconds since the epoch; `confined` says what keeps it from the network; `base` is
    what a worker has loaded, `engine` what runs it there, `placed` what of it lies on devices, `turns` are the answers that it writes now; `jobs` is the socket on which
    a client offers its.
    No keeper tells of an "installer": it is looked for by `installing`, so that an older window understands all that a
    keeper says. Of a "helper", a process of a plug-in, and of the "sandbox", which starts commands of brains, it tells who says that he knows
    them."""

    name: str
    kind: Literal["keeper", "starter", "client", "airlock", "installer", "worker", "helper", "sandbox"]
    pid: int
    confined: str
    since: float
    detail: str = ""
    base: str = ""
    engine: str = ""
    placed: str = ""
    turns: int = 0
    jobs: str = ""


class Fate(msgspec.Struct, frozen=True, kw_only=True):
    """How a worker ended: its exit code (negative: the signal that ended it; None where nobody can tell), the same in
    words, why it was told to ("" when nobody did), and the last lines of its log."""

    code: int | None = None
    how: str = ""
    stopped: str = ""
    log: str = ""


class KeeperChange(msgspec.Struct, frozen=True, kw_only=True):
    """Something changed: a "conversation", the "library", the "doors", the "processes" or the "settings"."""

    topic: str
    value: Any = None


class Door(msgspec.Struct, frozen=True, kw_only=True):
    """A connection that the airlock holds."""

    purpose: str
    host: str
    since: float
    bytes: int = 0

    @property
    def outward(self) -> bool:
        """Whether it leads to another machine, or lets one in; a server on the loopback does neither."""
        name = self.host.rpartition(":")[0].strip("[]")
        return self.purpose != "serve" or not (name in ("localhost", "::1") or name.startswith("127."))


class Doors(msgspec.Struct, frozen=True, kw_only=True):
    """The state of the way out. `verified`: the kernel confirmed what is said here, `detail` says how."""

    air_gap: bool
    open: tuple[Door, ...] = ()
    verified: bool = False
    detail: str = ""


class DoorTicket(msgspec.Struct, frozen=True, kw_only=True):
    """The airlock's socket, and the token that it takes an order for."""

    socket: str
    token: str
