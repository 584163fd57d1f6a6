"""Who asks, as far as the fair queue is concerned."""

from starlette.requests import Request


def lane_of(request: Request) -> str:
    """The lane of the fair queue: what the guard says of the caller, else its address."""
    caller = getattr(request.state, "caller", None)
    if caller is not None:
        return str(caller.lane)
    return request.client.host if request.client else ""
