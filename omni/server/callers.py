"""Who asks, as far as the fair queue and what is kept are concerned."""

from starlette.requests import Request


def lane_of(request: Request) -> str:
    """The lane of the fair queue: what the guard says of the caller, else its address."""
    caller = getattr(request.state, "caller", None)
    if caller is not None:
        return str(caller.lane)
    return request.client.host if request.client else ""


def is_foreign(request: Request) -> bool:
    """Whether a page of another origin asks, without a key."""
    caller = getattr(request.state, "caller", None)
    return caller is not None and caller.foreign and not caller.key


def owner_of(request: Request) -> str | None:
    """Whose what is kept for this request is; None: nothing is kept for it."""
    caller = getattr(request.state, "caller", None)
    return "" if caller is None else caller.owner
