"""How the events of a turn are printed: as text for people and pipes, or as JSON."""

import sys
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Protocol

from omni.cli.say import tell
from omni.core.clean import Cleaner
from omni.core.errors import OmniError

if TYPE_CHECKING:
    from omni.core.events import ChatEvent

LONG_PROMPT = 2000  # tokens; reading fewer takes no time worth a line
PATIENCE = 1.0  # seconds of loading that need no word

REASONS = {
    "memory": "memory",
    "slot": "a free place in the brain",
    "turn": "an earlier answer in this conversation",
}


class Printer(Protocol):
    """Prints one turn after the other, and what went wrong where stdout is to tell it, too."""

    async def turn(self, events: "AsyncIterator[ChatEvent]") -> None:
        """Print one turn."""
        ...

    def failed(self, error: OmniError) -> None:
        """Print what ended a turn, or kept it from beginning. It is told on stderr besides."""
        ...


JSON_VERSION = 2  # of the events: 2 names tokens as the field does, and says what stood in an answer before


class JsonPrinter:
    """Every event as one line, after one that says which version of them this is; a failure is one of `type` "error"."""

    def __init__(self) -> None:
        self._told = False

    async def turn(self, events: "AsyncIterator[ChatEvent]") -> None:
        """Print one turn."""
        import msgspec

        if not self._told:
            self._told = True
            sys.stdout.buffer.write(msgspec.json.encode({"type": "omni_events", "version": JSON_VERSION}) + b"\n")
        async for event in events:
            sys.stdout.buffer.write(msgspec.json.encode(event) + b"\n")
            sys.stdout.buffer.flush()

    def failed(self, error: OmniError) -> None:
        """One event more, the last of its turn."""
        print_failure(error)


def print_failure(error: OmniError) -> None:
    """A failure as an event, one line on stdout: its kind, its words, and the exit code that a command has for it."""
    import json

    event = {"type": "error", "kind": type(error).__name__, "message": error.message, "hint": error.hint}
    sys.stdout.buffer.write(json.dumps(event | {"exit_code": error.exit_code}).encode() + b"\n")
    sys.stdout.buffer.flush()


class TextPrinter:
    """The answer on stdout as it comes; what is waited for on stderr, and only for a person."""

    def __init__(self, *, reasoning: bool) -> None:
        self._reasoning = reasoning
        self._person = sys.stderr.isatty()
        # A file keeps what the brain wrote; a terminal gets nothing from it that could steer it.
        self._cleaner = Cleaner() if sys.stdout.isatty() else None
        self._last = ""  # what was written to stdout last
        self._said = ""

    async def turn(self, events: "AsyncIterator[ChatEvent]") -> None:
        """Print one turn; its last line always ends."""
        self._last = self._said = ""
        try:
            async for event in events:
                self._print(event)
        finally:
            self._end_line()

    def failed(self, error: OmniError) -> None:
        """A person reads it on stderr."""

    def _print(self, event: "ChatEvent") -> None:
        from omni.core import events as e

        match event:
            case e.TextDelta(text=text):
                self._write(text if self._last else text.lstrip("\n"))
            case e.ReasoningDelta(text=text):
                if self._reasoning:
                    self._write(text)
            case e.TurnQueued(place=place, reason=reason):
                self._mention(f"waiting for {REASONS[reason]}, place {place}")
            case e.BrainLoading(brain=brain, seconds=seconds):
                if seconds >= PATIENCE:
                    self._mention(f"loading {brain}")
            case e.BrainReplaced(brain=brain, failed=failed, reason=reason):
                tell(f"{failed} cannot be loaded, so that {brain} answers: {reason}")
            case e.ContextCompacted(left_out_turns=turns, kept_tokens=kept, allocated=allocated):
                what = f"the oldest {turns} turns are" if turns else "the oldest results of tools are"
                tell(f"{what} left out; {kept:,} of {allocated:,} tokens are sent")
            case e.PromptProgress(total=total, cached=cached):
                if total - cached > LONG_PROMPT:
                    self._mention(f"reading {total - cached:,} tokens")
            case e.TurnEnded(reason=ended):
                if ended == "length":
                    self._end_line()
                    tell("cut at the longest answer allowed (`omni config set chat.max_completion_tokens N`)")
            case _:
                pass  # what else happens is no news to a person who reads the answer

    def _write(self, text: str) -> None:
        if self._cleaner is not None:
            text = self._cleaner.feed(text)
        sys.stdout.write(text)
        sys.stdout.flush()
        self._last = text or self._last

    def _end_line(self) -> None:
        if self._cleaner is not None:
            sys.stdout.write(self._cleaner.finish())
        if self._last and not self._last.endswith("\n"):
            self._write("\n")

    def _mention(self, text: str) -> None:
        """Something that is waited for, once."""
        if self._person and text != self._said:
            self._end_line()
            tell(text)
            self._said = text
