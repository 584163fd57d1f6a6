"""A download as pages are told of it."""

from msgspec import Struct

from omni.cartridges import PullState, PullStatus
from omni.server.webapi.problems import Problem, problem_of


class Pull(Struct, frozen=True, kw_only=True):
    """One download. Sizes in bytes, `rate` in bytes a second, `left` in seconds; None: nobody can tell. `at` grows, so
    that a page can tell which of two came first."""

    name: str
    state: PullState = "starting"
    done: int = 0
    total: int | None = None
    rate: float = 0.0
    left: float | None = None
    what: str = ""
    error: Problem | None = None
    at: int = 0


def pull_of(status: PullStatus, at: int) -> Pull:
    """The download as it stands."""
    return Pull(
        name=status.name,
        state=status.state,
        done=status.done,
        total=status.total,
        rate=status.rate,
        left=status.seconds_left,
        what=status.what,
        error=problem_of(status.error) if status.error is not None else None,
        at=at,
    )
