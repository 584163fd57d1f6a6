"""Messages of a conversation as entries of the transcript, in the words of a person."""

from functools import partial
from typing import TYPE_CHECKING

from omni.core.errors import ContextOverflow, OmniError, StorageError, UsageError
from omni.core.events import BrainReplaced, Usage
from omni.core.messages import ContextPart, ImagePart
from omni.shell.conversation.answer import RunningAnswer
from omni.shell.conversation.model import ConversationModel
from omni.shell.conversation.words import clock_time, compacted_words, replaced_words, seconds_words
from omni.shell.transcript import Entry, Transcript

if TYPE_CHECKING:
    from omni.chat import Attachment, ChatMessage

Foot = tuple[str, str]
SHORTEST = 0.05  # seconds that are worth a word
LEAST_DRAFTED = 0.05  # of an answer

# Keys as they are pressed while one writes, which is where the keyboard mostly is.
RETRY, GO_ON, TAKE_BACK = "ctrl+r retry", "shift+tab o go on", "shift+tab u take the question back"
UNSAVED = "The answer is kept in memory until the next question, and stored with it."
LONGER = "/longest TOKENS allows longer ones"


def usage_facts(seconds: float, usage: Usage | None) -> list[str]:
    """What an answer took."""
    facts = [seconds_words(seconds)] if seconds >= SHORTEST else []
    if usage is not None and usage.completion_tokens:
        facts.append(f"{usage.completion_tokens:,} token{'s' * (usage.completion_tokens != 1)}")
        if usage.speed:
            facts.append(f"{usage.speed:.1f} tok/s")
        if usage.drafted >= LEAST_DRAFTED:
            facts.append(f"{usage.drafted:.0%} drafted")
    return facts


def foot_of(message: "ChatMessage", failure: OmniError | None = None) -> list[Foot]:
    """What is to be said below an answer that is not simply whole, with the keys that help."""
    if isinstance(failure, StorageError) and message.state != "failed":
        return [(failure.message, "red"), (f"{failure.hint} {UNSAVED}".strip(), "second")]
    hint = [(failure.hint, "second")] if failure and failure.hint else []
    match message.state:
        case "interrupted" | "cancelled" if failure is not None:  # it was not the person who stopped it
            return [(failure.message, "red"), *hint, (f"{RETRY}   {GO_ON}", "second")]
        case "interrupted":
            return [(f"interrupted   {RETRY}   {GO_ON}", "amber")]
        case "cancelled":
            return [(f"stopped   {RETRY}   {GO_ON}", "amber")]
        case "failed":
            reason = failure.message if failure else message.reason or "The brain or its worker failed."
            first = TAKE_BACK if isinstance(failure, ContextOverflow | UsageError) else RETRY  # again is in vain
            return [(reason, "red"), *hint, (f"{first}   {GO_ON}" if message.text else first, "second")]
        case "complete" if message.reason == "length":
            size = f" after {message.usage.completion_tokens:,} tokens" if message.usage else ""
            return [(f"cut{size}, the longest answer   {GO_ON}", "amber"), (LONGER, "second")]
        case "complete" if not message.text and message.role == "assistant":
            return [(f"the brain said nothing   {RETRY}", "second")]
        case _:
            return []


def attachment_words(one: "Attachment | ContextPart") -> str:
    """What goes along: `src/a.py 118 lines`, `plan.png 640 × 480`."""
    if isinstance(one, ImagePart):
        return f"{one.path or one.kind} {one.width} × {one.height}"
    name = one.source if isinstance(one, ContextPart) else one.path
    return f"{name} {one.lines:,} line{'s' * (one.lines != 1)}"


def entries_of(message: "ChatMessage", failure: OmniError | None = None) -> list[Entry]:
    """The entry of a message, and before it a line where the prompt begins since the last compaction."""
    entries = []
    if message.left_out:
        entries.append(
            Entry(
                f"cut {message.id}",
                "note",
                "left out",
                facts=(f"{message.left_out:,} tokens above are no longer sent",),
            )
        )
    branch = (1, 1)
    if message.id in message.siblings:
        branch = (message.siblings.index(message.id) + 1, len(message.siblings))
    person = message.role == "user"
    summary = message.role == "summary"
    entries.append(
        Entry(
            message.id,
            "person" if person else "note" if summary else "brain",
            "you" if person else "summary" if summary else message.brain or "brain",
            said_in(message),
            facts=partial(facts_of, message),
            reasoning=message.reasoning,
            thinking_seconds=message.reasoning_seconds,
            foot=() if person else foot_of(message, failure),
            branch=branch,
            writing=message.state == "writing",
        )
    )
    return entries


def said_in(message: "ChatMessage") -> str:
    """What a message says, with a line for each tool that was called for it."""
    if not message.calls:
        return message.text
    from omni.chat import narrated  # most conversations have no calls

    return narrated(message.parts)


def facts_of(message: "ChatMessage") -> list[str]:
    """What stands behind the name over a message: when, what went along, what it took."""
    when = clock_time(message.time)
    if message.role == "user":
        return [when, *map(attachment_words, (*message.attachments, *message.context))]
    if message.state == "writing":
        return [when, "writing"]
    return [when, *usage_facts(message.seconds, message.usage)]


def notices_of(running: RunningAnswer) -> list[Foot]:
    """What is to be said below an answer while it is written."""
    words = [replaced_words(one) if isinstance(one, BrainReplaced) else compacted_words(one) for one in running.notices]
    return [(text, "amber") for text in words]


class Entries:
    """The entries of the conversation on the screen. One whose message did not change stays the same object, so that
    what was laid out and drawn of it, and what the person folded, is kept."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[tuple[ChatMessage, OmniError | None], list[Entry]]] = {}
        self._running: RunningAnswer | None = None
        self._ids: tuple[str, str] = ("", "")  # of its messages, as they were shown last
        self.answer: Entry | None = None  # the one that is being written

    def forget(self) -> None:
        """Another conversation."""
        self._known = {}

    def of(self, model: ConversationModel, shown: Transcript) -> list[Entry]:
        """The entries of all messages, and why the last question could not be asked."""
        running, failures, messages = model.answering, model.turns.failures, model.branch
        if running is not None and running is self._running:
            for old, new in zip(self._ids, running.ids, strict=True):
                shown.rename_entry(old, new)
        entries: list[Entry] = []
        for message in messages:
            entries += self._kept(message, failures.get(message.id), shown)
        self._running, self.answer = running, None
        if running is not None:
            self._ids = running.ids
            self.answer = next((entry for entry in reversed(entries) if entry.id == running.ids[1]), None)
            self.update()
        if model.refusal is not None:
            entries.append(_refused(*model.refusal))
        ids = {message.id for message in messages}
        self._known = {key: value for key, value in self._known.items() if key in ids}
        return entries

    def update(self) -> None:
        """Have the entry of the answer that is being written say what it does by now."""
        running, entry = self._running, self.answer
        if running is not None and entry is not None:
            entry.name = running.brain or entry.name
            entry.facts, entry.foot = (clock_time(running.began), running.state), tuple(notices_of(running))
            entry.thinking_seconds = running.thinking_seconds or entry.thinking_seconds

    def _kept(self, message: "ChatMessage", failure: OmniError | None, shown: Transcript) -> list[Entry]:
        known = self._known.get(message.id)
        if known is not None and known[0] == (message, failure):
            return known[1]
        entries = entries_of(message, failure)
        old = shown.entry(message.id)
        if old is not None and _takes_over(old, entries[-1]):
            entries[-1] = old
        self._known[message.id] = ((message, failure), entries)
        return entries


def _refused(failure: OmniError, when: float) -> Entry:
    """Stands where the answer would, when nothing of it could be stored."""
    foot = [(failure.message, "red")] + ([(failure.hint, "second")] if failure.hint else [])
    return Entry(f"refused {when}", "note", "not asked", facts=(clock_time(when),), foot=foot)


def _takes_over(old: Entry, new: Entry) -> bool:
    """Make `old` say what `new` says, where that is the same text, or more of it while another Omni writes it."""
    if old.kind != new.kind or (new.writing and not old.writing):
        return False
    if old.text != new.text or old.reasoning != new.reasoning:
        if not old.writing or not new.text.startswith(old.text) or not new.reasoning.startswith(old.reasoning):
            return False
        if more := new.text[len(old.text) :]:
            old.write(more)
        if more := new.reasoning[len(old.reasoning) :]:
            old.think(more)
    if old.writing and not new.writing:
        old.finish()
    old.facts, old.foot, old.branch, old.name = new._facts, new.foot, new.branch, new.name
    old.thinking_seconds = new.thinking_seconds or old.thinking_seconds
    old.writing = new.writing
    old.touch()
    old.height_stamp = -1
    return True
