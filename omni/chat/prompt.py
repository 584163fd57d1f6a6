"""What a brain reads: the stable part first (system text), then turn after turn, so that the prefix cache hits."""

import re
from collections.abc import Sequence

import msgspec

from omni.chat.types import ChatMessage
from omni.core.messages import FilePart
from omni.engine import Message

SUMMARISE = (
    "Sum up our conversation so far so that it can go on from your summary alone. Keep facts, names, numbers, decisions,"
    " code that still matters and open questions; leave out pleasantries. Answer with the summary only."
)
_SUMMARY = "What was said before, summed up:"
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
        """The prompt without its first `left_out` turns; files that were attached in those stay."""
        kept = self.turns[left_out:]
        parts: list[tuple[str, str]] = [("system", self.system)] if self.system else []
        preface = self._preface(left_out, kept)
        for turn in kept:
            for message in turn.messages:
                content = [message.text]
                if message.role == "user":
                    content = [preface, *map(rendered, files_of(message)), message.text]
                    preface = ""
                parts.append((message.role, "\n\n".join(part for part in content if part)))
        return _joined([*parts, *((message.role, message.content) for message in self.after)], preface)

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


def rendered(file: FilePart) -> str:
    """A file as it stands in a question, in a fence that nothing in it can close."""
    longest = max((len(run) for run in re.findall(r"`{3,}", file.text)), default=2)
    fence = "`" * (longest + 1)
    text = file.text if file.text.endswith("\n") else f"{file.text}\n"
    return f"{file.path}\n{fence}\n{text}{fence}"


def _joined(parts: Sequence[tuple[str, str]], preface: str) -> tuple[Message, ...]:
    """Drops empty messages and joins neighbours of one role: many templates want user and assistant in turn."""
    messages: list[Message] = []
    for role, content in parts:
        if preface and role == "user":
            content, preface = f"{preface}\n\n{content}", ""
        if not content:
            continue
        if messages and messages[-1].role == role:
            messages[-1] = msgspec.structs.replace(messages[-1], content=f"{messages[-1].content}\n\n{content}")
        else:
            messages.append(Message(role=role, content=content))  # type: ignore[arg-type] # roles come from typed messages
    return tuple(messages)
