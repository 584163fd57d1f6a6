"""What a failure is in HTTP: the status of every OmniError, and two failures that only a server knows."""

import logging

from omni.core.errors import (
    BadFile,
    ContextOverflow,
    EngineError,
    NetworkBlocked,
    NotFound,
    OmniError,
    SetupError,
    StorageError,
    UsageError,
)
from omni.engine import NotReady

_STATUS: tuple[tuple[type[OmniError], int], ...] = (
    (UsageError, 400),
    (ContextOverflow, 400),
    (NotFound, 404),
    (NotReady, 503),
    (EngineError, 500),
    (BadFile, 500),
    (SetupError, 500),
    (NetworkBlocked, 503),
    (StorageError, 507),
)


class BadParameter(UsageError):
    """A field of a request is wrong; `param` is its path, as in `messages[0].content`."""

    def __init__(self, message: str, *, hint: str = "", param: str = "") -> None:
        super().__init__(message, hint=hint)
        self.param = param


class NoPath(NotFound):
    """Nothing answers to a path."""

    code = "unknown_url"


class NotHere(OmniError):
    """Asked for what Omni does not do, or cannot do yet."""


class Refused(OmniError):
    """Who asks may not. `status` is 401 where a key would help, else 403."""

    def __init__(self, message: str, *, hint: str = "", status: int = 403) -> None:
        super().__init__(message, hint=hint)
        self.status = status


class Unread(OmniError):
    """A request that is none, is not whole in time, or is too large to be read; `status` says which."""

    def __init__(self, message: str, *, hint: str = "", status: int = 400) -> None:
        super().__init__(message, hint=hint)
        self.status = status


class WrongKey(Refused):
    """A key that is not known, or no longer."""

    code = "invalid_api_key"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint, status=401)


class Stopping(OmniError):
    """The server ends, and the time for running answers is over."""


class Busy(OmniError):
    """All places and the whole queue are taken; `retry_after` in seconds."""

    def __init__(self, message: str, *, hint: str = "", retry_after: int = 1) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


def explained(error: Exception, what: str) -> OmniError:
    """What is told of any failure. Of one that nobody thought of the log says where it was, and that `what` failed."""
    if isinstance(error, OmniError):
        return error
    logging.getLogger("omni.server").error("%s failed", what, exc_info=error)
    return OmniError(f"Omni failed ({type(error).__name__}); the log says where.")


def status_of(error: OmniError) -> int:
    """The HTTP status of a failure."""
    if isinstance(error, Refused | Unread):
        return error.status
    if isinstance(error, Busy):
        return 429
    if isinstance(error, NotHere):
        return 501
    if isinstance(error, Stopping):
        return 503
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def headers_of(error: OmniError) -> dict[str, str]:
    """What a client that keeps to the rules reads besides the status. OpenAI's and Anthropic's try again after every 5xx,
    unless they are told that this is in vain."""
    if isinstance(error, Busy):
        return {"Retry-After": str(error.retry_after)}
    if isinstance(error, NotReady):
        return {"Retry-After": "1"}
    if (status := status_of(error)) >= 500 and not isinstance(error, EngineError | SetupError | Stopping):
        return {"X-Should-Retry": "false"}
    return {"WWW-Authenticate": "Bearer"} if status == 401 else {}


def _for_the_shell(hint: str) -> bool:
    """Whether a hint says nothing, or names what only a person in the shell can do."""
    return not hint or "/compact" in hint


def said(error: OmniError) -> str:
    """Message and hint as one text, for protocols that have one place for both."""
    if isinstance(error, ContextOverflow) and error.needed > error.allocated:
        over = error.needed - error.allocated
        hint = "Send less, or allocate more (engine.context)." if _for_the_shell(error.hint) else error.hint
        return f"{error.message} That is {over:,} tokens too many. {hint}"
    return f"{error.message} {error.hint}".strip()
