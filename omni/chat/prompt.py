"""What a brain reads: the stable part first (system text), then turn after turn, so that the prefix cache hits."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from omni.chat.types import ChatMessage
from omni.core.messages import (
    ContextPart,
    FilePart,
    ImagePart,
    Message,
    Role,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from omni.engine import NOT_SEEN, instructed

SUMMARISE = (
    "Sum up our conversation so far so that it can go on from your summary alone. Keep facts, names, numbers, decisions,"
    " code that still matters and open questions; leave out pleasantries. Answer with the summary only."
)
_SUMMARY = "What was said before, summed up:"
INTERRUPTED = "[It was interrupted before it ended; what it does may have been done in part.]"
_EARLIER = "Files attached earlier:"
_AGENTS = "Instructions of this project, from its {path}:"


class PromptTurn(msgspec.Struct, frozen=True, kw_only=True):
    """A question and what followed it on this branch. `first` is the id of the question."""

    first: str
    messages: tuple[ChatMessage, ...]

    @property
    def refused(self) -> bool:
        """Whether its question failed without a word of an answer, which its failure says on the screen."""
        answers = [message for message in self.messages if message.role == "assistant"]
        return bool(answers) and all(message.state == "failed" and not message.text for message in answers)


class Prompt(msgspec.Struct, frozen=True, kw_only=True):
    """All that may be sent. `summary` stands for everything before the first turn, `files` were attached there."""

    system: str
    turns: tuple[PromptTurn, ...]
    summary: str = ""
    files: tuple[FilePart, ...] = ()
    after: tuple[Message, ...] = ()

    def messages(self, left_out: int = 0) -> tuple[Message, ...]:
        """The prompt without its first `left_out` turns; files that were attached in those stay, images do not.

        Neighbours of one role are one message, and empty ones none: many templates want user and assistant in turn.
        """
        kept = self.turns[left_out:]
        preface = self._preface(left_out, kept)
        said: list[_Utterance] = []
        for each in self._said(kept):
            if each.role == "user" and preface:
                each, preface = _Utterance(each.role, [preface, *each.content]), ""
            if each.content and said and said[-1].role == each.role and not said[-1].calls and not each.calls:
                said[-1].content.extend(each.content)
            elif each.content or each.calls:
                said.append(each)
        return instructed([each.message() for each in said], self.system)

    def _said(self, kept: Sequence[PromptTurn]) -> "Iterator[_Utterance]":
        """What each message says and shows. Of a question that was refused, whose images may be why, only its words go
        before another one."""
        for turn in kept:
            seen = not turn.refused or (turn is kept[-1] and not self.after)
            for message in turn.messages:
                if message.calls:
                    yield from _worked(message)
                else:
                    yield _Utterance("user" if message.role == "user" else "assistant", _read(message, seen=seen))
        for asked in self.after:
            yield _Utterance(asked.role, [asked.text])

    def without_refused(self) -> "Prompt":
        """The same without earlier questions that were refused; what was asked last stays."""
        earlier = tuple(turn for turn in self.turns[:-1] if not turn.refused)
        return msgspec.structs.replace(self, turns=(*earlier, *self.turns[-1:]))

    def _preface(self, left_out: int, kept: Sequence[PromptTurn]) -> str:
        again = {file.path for turn in kept for message in turn.messages for file in files_of(message)}
        files = {file.path: file for file in self.files}
        for turn in self.turns[:left_out]:
            files |= {file.path: file for message in turn.messages for file in files_of(message)}
        blocks = [rendered(file) for path, file in files.items() if path not in again]
        summary = [f"{_SUMMARY}\n\n{self.summary}"] if self.summary else []
        return "\n\n".join([*([_EARLIER] if blocks else []), *blocks, *summary])


def prompt_of(branch: Sequence[ChatMessage], system: str) -> Prompt:
    """The prompt that a branch makes; its last message is the question, or an answer that goes on."""
    summary, files = "", dict[str, FilePart]()
    turns: list[list[ChatMessage]] = []
    for message in branch:
        if message.role == "summary":
            if message.state == "complete" and message.text:
                summary = message.text
                files |= {file.path: file for turn in turns for said in turn for file in files_of(said)}
                turns = []
        elif message.role == "user" or not turns:
            turns.append([message])
        else:
            turns[-1].append(message)
    return Prompt(
        system=system,
        turns=tuple(PromptTurn(first=turn[0].id, messages=tuple(turn)) for turn in turns),
        summary=summary,
        files=tuple(files.values()),
    )


def system_text(brain: str, agents: FilePart | None, person: str) -> str:
    """The brain's own text, the project's instructions, the person's, in this order."""
    project = f"{_AGENTS.format(path=agents.path)}\n\n{agents.text.strip()}" if agents else ""
    return "\n\n".join(part.strip() for part in (brain, project, person) if part.strip())


def files_of(message: ChatMessage) -> tuple[FilePart, ...]:
    """The text files that went along with a message."""
    return tuple(part for part in message.parts if isinstance(part, FilePart))


def texts_along(message: ChatMessage) -> tuple[FilePart | ContextPart, ...]:
    """The text files that went along with a message, and what was looked up for it."""
    return tuple(part for part in message.parts if isinstance(part, FilePart | ContextPart))


def rendered(part: FilePart | ContextPart) -> str:
    """A file, or what was looked up, as it stands in a question, in a fence that nothing in it can close."""
    longest = max((len(run) for run in re.findall(r"`{3,}", part.text)), default=2)
    fence = "`" * (longest + 1)
    text = part.text if part.text.endswith("\n") else f"{part.text}\n"
    return f"{part.path if isinstance(part, FilePart) else part.source}\n{fence}\n{text}{fence}"


class _Utterance(NamedTuple):
    """A message before it is one: neighbours of one role are made one, but for those with calls and their results."""

    role: Role
    content: list[str | ImagePart]
    calls: tuple[ToolCallPart | ToolResultPart, ...] = ()

    def message(self) -> Message:
        return Message.of(self.role, *_apart(self.content), *self.calls)


def _worked(message: ChatMessage) -> Iterator[_Utterance]:
    """An answer with calls as the messages that it was: what was said with each round of calls, and their results.

    A call without a result was interrupted, which is said: no template takes one alone.
    """
    texts: list[str | ImagePart] = []
    calls: dict[str, ToolCallPart] = {}
    results: dict[str, ToolResultPart] = {}

    def ended() -> Iterator[_Utterance]:
        if texts or calls:
            yield _Utterance("assistant", list(texts), tuple(calls.values()))
        for call in calls.values():
            lost = ToolResultPart.of(INTERRUPTED, call_id=call.id, name=call.name)
            yield _Utterance("tool", [], (results.get(call.id, lost),))
        for each in (texts, calls, results):
            each.clear()

    for part in message.parts:
        if isinstance(part, ToolResultPart):
            results[part.call_id] = part
        elif isinstance(part, ToolCallPart | TextPart):
            if results:
                yield from ended()
            if isinstance(part, ToolCallPart):
                calls[part.id] = part
            elif words := part.text.strip():
                texts.append(words)
    yield from ended()


def _read(message: ChatMessage, *, seen: bool) -> list[str | ImagePart]:
    """What a brain reads of a message: files and what was looked up in words, images (where they are `seen`), and what is
    said; never what was thought."""
    files = [rendered(part) for part in texts_along(message)]
    images = [part if seen else NOT_SEEN for part in message.parts if isinstance(part, ImagePart)]
    return [part for part in (*files, *images, message.text) if part]


def _apart(content: Iterable[str | ImagePart]) -> Iterator[str | ImagePart]:
    """The same, with a blank line before each text but the first."""
    begun = False
    for part in content:
        yield f"\n\n{part}" if begun and isinstance(part, str) else part
        begun = begun or isinstance(part, str)
