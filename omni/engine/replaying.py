"""An answer that the next worker cannot go on with, and says again: what it repeats is left out, so that who asked gets one.

With the same seed a brain says the same again, nearly always. Where it does not, there is no one answer left to give.
"""

from collections.abc import Iterator

import msgspec

from omni.core.events import EngineEvent, ReasoningDelta, TextDelta, TokenLogprob, ToolCallDelta, TurnEnded


class Diverged(Exception):
    """The next worker says something else."""


class Replay:
    """What was heard of an answer, and how much of that was repeated since `again` was called last."""

    def __init__(self) -> None:
        self._heard: dict[str, list[str]] = {}  # by what it is: the text, the thoughts, the arguments of each call
        self._calls: dict[int, str] = {}  # the names of those that were begun
        self._tokens: list[str] = []  # those that were told with their likelihoods
        self._left: dict[str, _Left] = {}
        self._left_calls: dict[int, str] = {}
        self._left_tokens = 0

    def __bool__(self) -> bool:
        """Whether anything was heard."""
        return bool(self._heard or self._calls or self._tokens)

    @property
    def text(self) -> str:
        """What was said."""
        return "".join(self._heard.get("text", ()))

    @property
    def plain(self) -> bool:
        """Whether nothing was heard but text."""
        return not self._calls and not self._tokens and self._heard.keys() <= {"text"}

    def again(self) -> None:
        """All of it comes once more."""
        self._left = {kind: _Left("".join(texts)) for kind, texts in self._heard.items()}
        self._left_calls, self._left_tokens = dict(self._calls), len(self._tokens)

    def say(self, text: str) -> None:
        """More of the text was heard, and nothing is to be repeated."""
        self._heard.setdefault("text", []).append(text)

    def new(self, event: EngineEvent) -> Iterator[EngineEvent]:
        """What of an event was not there before. Raises Diverged."""
        match event:
            case TextDelta(text=text):
                if rest := self._rest("text", text):
                    yield TextDelta(text=rest)
            case ReasoningDelta(text=text):
                if rest := self._rest("thoughts", text):
                    yield ReasoningDelta(text=rest)
            case ToolCallDelta():
                yield from self._call(event)
            case TokenLogprob(chosen=chosen):
                yield from self._token(event, chosen.token)
            case TurnEnded() if self._repeats:
                raise Diverged
            case _:
                yield event

    @property
    def _repeats(self) -> bool:
        return bool(self._left or self._left_calls or self._left_tokens)

    def _token(self, event: TokenLogprob, token: str) -> Iterator[TokenLogprob]:
        if self._left_tokens:
            if self._tokens[-self._left_tokens] != token:
                raise Diverged
            self._left_tokens -= 1
            return
        if self._repeats:
            raise Diverged
        self._tokens.append(token)
        yield event

    def _call(self, event: ToolCallDelta) -> Iterator[ToolCallDelta]:
        if event.name and (known := self._left_calls.pop(event.index, None)) is not None:
            if known != event.name:
                raise Diverged
            event = msgspec.structs.replace(event, id="", name="")  # the id that was given stays
        elif event.name:
            if self._repeats:
                raise Diverged
            self._calls[event.index] = event.name
        rest = self._rest(f"call {event.index}", event.arguments)
        if rest or event.name:
            yield msgspec.structs.replace(event, arguments=rest)

    def _rest(self, kind: str, text: str) -> str:
        """The part of a text that was not heard before."""
        rest = text
        if (left := self._left.get(kind)) is not None:
            common = min(len(left.text) - left.at, len(text))
            if not left.text.startswith(text[:common], left.at):
                raise Diverged
            left.at += common
            rest = text[common:]
            if left.at == len(left.text):
                del self._left[kind]
        if rest and self._repeats:
            raise Diverged  # something else came first
        if rest:
            self._heard.setdefault(kind, []).append(rest)
        return rest


class _Left:
    """A text that comes again, and how far it has come."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0
