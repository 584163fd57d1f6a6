"""An answer under a schema while it comes: what a list may hold once only is left out when it comes again, and nothing
that does not follow the schema ends as if it did."""

from collections.abc import Iterator

from omni.core.errors import OmniError
from omni.core.events import EngineEvent, TextDelta, TurnEnded
from omni.schemas import TOO_LARGE, Compiled, Fault

TRIES = 3  # of an answer that is known to follow its schema only when it is whole


class Unproved(Exception):
    """An answer is whole and does not follow its schema. `sent`: some of it was given away."""

    def __init__(self, fault: Fault, *, sent: bool) -> None:
        super().__init__(fault.message)
        self.fault, self.sent = fault, sent


class Prover:
    """Reads the texts of one answer. `holds`: none is given away before the whole is proved; `sifts`: what is there twice
    is left out; `proves` false: whoever asked was told that the answer may not follow."""

    def __init__(self, schema: Compiled, *, holds: bool, sifts: bool, proves: bool = True) -> None:
        self._schema, self._holds, self._proves = schema, holds, proves
        self._sieve = schema.sieve() if sifts else None
        self._text: list[str] = []
        self._held: list[EngineEvent] = []

    @property
    def sent(self) -> bool:
        """Whether something of the answer was given away."""
        return bool(self._text) and not self._holds

    def read(self, event: EngineEvent, *, called: bool) -> Iterator[EngineEvent]:
        """What can be given away. `called`: the answer is calls, which follow schemas of their own. Raises Unproved."""
        match event:
            case TextDelta(text=text):
                event = TextDelta(text=self._sieve.feed(text)) if self._sieve is not None else event
                yield from self._given(event)
            case TurnEnded():
                if self._sieve is not None and (rest := self._sieve.rest()):
                    yield from self._given(TextDelta(text=rest))
                if (
                    self._proves
                    and event.reason == "stop"
                    and not called
                    and (fault := self._schema.fault_of("".join(self._text)))
                ):
                    raise Unproved(fault, sent=self.sent)
                yield from self._held
                yield event
            case _ if self._holds:
                self._held.append(event)
            case _:
                yield event

    def _given(self, event: TextDelta) -> Iterator[EngineEvent]:
        if not event.text:
            return
        self._text.append(event.text)
        if self._holds:
            self._held.append(event)
        else:
            yield event


class Unfollowed(OmniError):
    """No try followed the schema. Nobody asks again by himself: that has been done."""


def unfollowed(fault: Fault) -> Unfollowed:
    """What to say when no try followed the schema."""
    if fault is TOO_LARGE:
        return Unfollowed(
            "Nobody knows whether the brain's answer follows the schema: to prove it would take too long.",
            hint="Ask for less, or send a schema with fewer alternatives.",
        )
    if not fault.keyword:
        return Unfollowed(
            f"The brain's answer does not follow the schema: {fault.message}.", hint="Ask in other words."
        )
    return Unfollowed(
        f"The brain's answer does not follow the schema: `{fault.keyword}` at {fault.place} is not kept, "
        f"since at {fault.at} of the answer {fault.message}.",
        hint="Allow a higher temperature, ask in other words, or leave out that keyword.",
    )
