"""Every failure that Omni can explain, as one small tree.

    OmniError            1   something went wrong and the message says what
    ├── UsageError       2   the command or the input was not understood
    ├── NotFound        3   no such brain, conversation, file or process
    ├── SetupError      4   the machine, the terminal or the home folder is not as needed
    ├── EngineError     5   the brain or its worker failed; asking again is sensible
    ├── ContextOverflow 6   the text does not fit into the context of the brain
    ├── NetworkBlocked  7   the network was needed and is not allowed, or did not answer
    ├── BadFile         8   a file is truncated, corrupt or hostile
    └── StorageError    9   the disk is full, or a database cannot be read or written

The number is the exit code of the command line. 130 is an interrupted command."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar


class OmniError(Exception):
    """A failure that Omni can explain: `message` says what happened, `hint` what to try next."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint

    def __reduce__(self) -> tuple[Any, ...]:
        return _revive, (type(self), self.args, self.__dict__)  # keyword-only arguments survive pickling


class UsageError(OmniError):
    """The command or the input was not understood."""

    exit_code = 2


class NotFound(OmniError):
    """Something was asked for by a name that nothing has."""

    exit_code = 3


class SetupError(OmniError):
    """The machine, the terminal or the home folder is not as Omni needs it."""

    exit_code = 4


class EngineError(OmniError):
    """A brain or its worker failed in the middle of something; the same request may succeed when sent again."""

    exit_code = 5


class ContextOverflow(OmniError):
    """The text does not fit. `needed` and `allocated` are counted in tokens of the brain's own tokenizer."""

    exit_code = 6

    def __init__(self, message: str, *, hint: str = "", needed: int = 0, allocated: int = 0) -> None:
        super().__init__(message, hint=hint)
        self.needed, self.allocated = needed, allocated


class NetworkBlocked(OmniError):
    """The network was needed and is not allowed, or the other side did not answer as it should."""

    exit_code = 7


class BadFile(OmniError):
    """A file is truncated, corrupt or hostile, or holds something else than its name says."""

    exit_code = 8


class StorageError(OmniError):
    """The disk is full or read-only, or a database cannot be read or written."""

    exit_code = 9


def error_to_wire(error: OmniError) -> dict[str, str]:
    """An error as an object, by the nearest class that both sides know."""
    kind = next(cls.__name__ for cls in type(error).__mro__ if cls.__module__ == __name__)
    return {"kind": kind, "message": error.message, "hint": error.hint}


def error_from_wire(value: Mapping[str, Any]) -> OmniError:
    """The error that an object describes; a kind that is not known becomes an OmniError."""
    kind = globals().get(str(value.get("kind")))
    if not (isinstance(kind, type) and issubclass(kind, OmniError)):
        kind = OmniError
    return kind(str(value.get("message")), hint=str(value.get("hint", "")))


def nearest(name: str, names: Iterable[str]) -> str:
    """A hint that names what `name` may have meant: the closest of `names`, or "" when none is close."""
    from difflib import get_close_matches

    near = get_close_matches(name, list(names), n=1)
    return f"Did you mean {near[0]!r}?" if near else ""


def _revive(cls: type[OmniError], args: tuple[Any, ...], state: dict[str, Any]) -> OmniError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error
