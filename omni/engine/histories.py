"""Histories as a brain's chat template takes them. What happened is kept in the nearest form; nothing in it is an error.

Templates differ in what they take: strict turns or not, system texts at the beginning only, one call at a time, ids of
nine letters. `Traits` says what one of them takes, and `fitted` writes a history with that. What becomes of a message
depends on the traits, on the message and on what stands before it. So a history that grows keeps its beginning, and with
it the engine's prefix cache; only a result goes up to its call, over what was said before anybody answered.
"""

from collections.abc import Iterator, Sequence
from typing import Literal

from msgspec import Struct

from omni.core.messages import ImagePart, Message, Role, TextPart, ToolCallPart, ToolResultPart, merged
from omni.engine.pairing import UNNAMED, Idents, answered
from omni.engine.tool_calls import written

BEGIN = "Begin."  # said by the user, where a template wants a user's turn that nobody took

_RESULT = "The tool {name} returned:\n"
_BETWEEN = "\n\n"


class Traits(Struct, frozen=True, kw_only=True):
    """What a chat template takes, and keeps in its place. The defaults are what every template takes.

    `system`: a system text at the beginning. `later`: system texts further on. `users`: two turns of a user in a row.
    `first`: an assistant's turn before any of a user, and a conversation without a user. `after`: a user's turn between
    results and the next answer. `empty`: turns in which nothing is said.

    `calls`: with text in the same turn ("beside"), in a turn behind that of the text ("before"), where there is no text
    ("alone": it then stands in the turn that was answered), or only as text ("words"). `several`: calls in one turn
    ("together"), in a turn each ("split"), or as text ("words"). `short_ids`: ids of calls must be nine letters or digits.
    """

    system: bool = True
    later: bool = False
    users: bool = False
    first: bool = False
    calls: Literal["beside", "before", "alone", "words"] = "words"
    several: Literal["together", "split", "words"] = "words"
    after: bool = False
    empty: bool = False
    short_ids: bool = False


PLAINEST = Traits()


def regular(messages: Sequence[Message]) -> bool:
    """Whether every template takes this: a system text or none, then user and assistant in turn, all in words."""
    leads = bool(messages) and messages[0].role == "system" and bool(messages[0].text.strip())
    talk = messages[1:] if leads else messages
    return bool(talk) and all(
        message.role == ("user", "assistant")[at % 2] and not message.calls for at, message in enumerate(talk)
    )


def fitted(messages: Sequence[Message], traits: Traits) -> tuple[Message, ...]:
    """The history as a template with these traits takes it. Fitting it again changes nothing more."""
    said = [message for message in messages if _says(message, traits)]
    if regular(said) and (traits.system or said[0].role != "system"):
        return tuple(said)
    start = next((at for at, message in enumerate(said) if message.role != "system"), len(said))
    fitting = _Fitting(traits)
    if start:
        fitting.begin(_BETWEEN.join(message.text for message in said[:start]))
    for assistant, heard in _rounds(said[start:]):
        fitting.round(assistant, heard)
    return fitting.whole()


def _says(message: Message, traits: Traits) -> bool:
    """Whether there is anything in a message that a template has to write."""
    if message.text.strip() or message.images or message.calls or message.role == "tool":
        return True
    return traits.empty and message.role != "system"


class _MessageBuilder:
    """A message while it is put together. `words`: it is made of what a template has no turn for."""

    def __init__(self, role: Role, *, words: bool = False) -> None:
        self.role, self.words = role, words
        self.calls: list[ToolCallPart] = []
        self.result: ToolResultPart | None = None
        self._content: list[str | TextPart | ImagePart] = []
        self._says = False

    def add(self, *content: str | TextPart | ImagePart) -> None:
        """More of it, after a blank line. Adding is cheap, however often."""
        more: list[TextPart | ImagePart] = list(merged(content))
        if any(isinstance(part, TextPart) for part in more):
            self._content += [_BETWEEN] if self._says else []
            self._says = True
        self._content += more

    def message(self) -> Message:
        if (result := self.result) is not None:
            answer = ToolResultPart.of(*self._content, call_id=result.call_id, name=result.name)
            return Message.of("tool", answer)
        return Message.of(self.role, *self._content, *self.calls)


def _rounds(messages: Sequence[Message]) -> Iterator[tuple[Message | None, list[Message]]]:
    """An assistant's turns up to the next word of anybody else, as one, and all that is heard until it speaks again."""
    at = 0
    while at < len(messages):
        turn = _MessageBuilder("assistant")
        start = at
        while at < len(messages) and messages[at].role == "assistant":
            turn.add(messages[at].text)
            turn.calls += messages[at].calls
            at += 1
        spoke, heard = at > start, at
        while at < len(messages) and messages[at].role != "assistant":
            at += 1
        yield turn.message() if spoke else None, list(messages[heard:at])


class _Fitting:
    """A history while it is written, from its first message to its last."""

    def __init__(self, traits: Traits) -> None:
        self._traits = traits
        self._turns: list[_MessageBuilder] = []
        self._idents = Idents(short=traits.short_ids)

    def begin(self, system: str) -> None:
        """The system text that everything begins with."""
        self._new("system" if self._traits.system else "user", words=True).add(system)

    def round(self, assistant: Message | None, heard: Sequence[Message]) -> None:
        """What the assistant said and called, and what was heard until it spoke again."""
        calls = self._idents.unique(assistant.calls) if assistant is not None else ()
        results, others = answered(assistant.calls if assistant is not None else (), calls, heard)
        if assistant is not None and self._native(calls):
            self._called(assistant.text, calls, results)
        elif assistant is not None:
            lines = [assistant.text] if assistant.text or not calls else []
            self._assistant("\n".join([*lines, *map(written, calls)]))
            for result in results:
                self._told(result)
        for message in others:
            if message.result is not None:
                self._told(message.result)
            elif message.role == "system":
                self._system(message.text)
            else:
                self._user(*message.content)

    def whole(self) -> tuple[Message, ...]:
        """All of it."""
        if not any(turn.role != "system" for turn in self._turns) and not self._traits.first:
            self._user(BEGIN)
        return tuple(turn.message() for turn in self._turns)

    # -- calls in the template's own form

    def _native(self, calls: Sequence[ToolCallPart]) -> bool:
        traits = self._traits
        return bool(calls) and traits.calls != "words" and (len(calls) == 1 or traits.several != "words")

    def _called(self, content: str, calls: Sequence[ToolCallPart], results: Sequence[ToolResultPart]) -> None:
        form, beside = self._traits.calls, content if self._traits.calls == "beside" else ""
        if form == "before" and content.strip():
            self._assistant(content)
        elif form == "alone" and content.strip():
            self._begun()
            self._user(content, tag="assistant", words=True)
        split = self._traits.several == "split"
        turns = [[call] for call in calls] if split else [list(calls)]
        answers = iter(results)
        for number, turn in enumerate(turns):
            self._assistant(beside if not number else "", turn)
            for result in [next(answers) for _ in turn]:
                self._result(result)

    def _result(self, result: ToolResultPart) -> None:
        turn = self._new("tool")
        turn.result = result
        turn.add(*result.parts)

    # -- turns

    def _begun(self) -> None:
        """Somebody has spoken."""
        if not any(turn.role != "system" for turn in self._turns[:2]):
            self._new("user").add(BEGIN)

    def _assistant(self, content: str, calls: Sequence[ToolCallPart] = ()) -> None:
        if not self._traits.first:
            self._begun()
        turn = self._new("assistant")
        turn.add(content)
        turn.calls += calls

    def _system(self, content: str) -> None:
        last = self._turns[-1] if self._turns else None
        if not (self._traits.later and self._traits.users) or (last and last.role == "tool" and not self._traits.after):
            self._user(content, tag="system")
        elif last is not None and last.role == "system":
            last.add(content)
        else:
            self._new("system").add(content)

    def _told(self, result: ToolResultPart) -> None:
        """A result in words. Images keep their places."""
        self._user(_RESULT.format(name=result.name or UNNAMED), *result.parts, words=True)

    def _user(self, *content: str | TextPart | ImagePart, tag: str = "", words: bool = False) -> None:
        """What a user says: a turn, or more of the turn before where the template has no place for another."""
        last = self._turns[-1] if self._turns else None
        within = last is not None and last.role == "tool" and not self._traits.after
        if within and not words:
            tag = tag or "user"
        if tag:
            content = (f"<{tag}>\n", *content, f"\n</{tag}>")
        joins = last is not None and last.role == "user" and (words or last.words or not self._traits.users)
        turn = last if last is not None and (within or joins) else self._new("user", words=words)
        turn.add(*content)

    def _new(self, role: Role, *, words: bool = False) -> _MessageBuilder:
        self._turns.append(_MessageBuilder(role, words=words))
        return self._turns[-1]
