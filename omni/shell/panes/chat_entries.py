"""Messages of a conversation as entries of the transcript, in the words of a person."""

import time
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from omni.core.errors import ContextOverflow, OmniError, StorageError, UsageError
from omni.core.events import BrainLoading, BrainReplaced, ContextCompacted, PromptProgress, TurnQueued, Usage
from omni.core.messages import ContextPart, ImagePart
from omni.shell.panes.chat_turn import RunningAnswer
from omni.shell.transcript import Entry, Transcript

if TYPE_CHECKING:
    from omni.chat import Attachment, ChatMessage

Foot = tuple[str, str]
SHORTEST = 0.05  # seconds that are worth a word

# Keys as they are pressed while one writes, which is where the keyboard mostly is.
RETRY, GO_ON, TAKE_BACK = "ctrl+r retry", "shift+tab o go on", "shift+tab u take the question back"
UNSAVED = "The answer is kept in memory until the next question, and stored with it."
LONGER = "/longest TOKENS allows longer ones"


def clock_time(seconds: float) -> str:
    """A point in time as it is read in a conversation: the hour, with the day when it was not today."""
    then, now = time.localtime(seconds), time.localtime()
    if then[:3] == now[:3]:
        return time.strftime("%H:%M", then)
    return time.strftime("%d %b %H:%M" if then[0] == now[0] else "%d %b %Y %H:%M", then)


def seconds_words(seconds: float) -> str:
    """A duration: `0.8 s`, `38 s`, `2 min 5 s`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds // 60:.0f} min {seconds % 60:.0f} s"


def usage_facts(seconds: float, usage: Usage | None) -> list[str]:
    """What an answer took."""
    facts = [seconds_words(seconds)] if seconds >= SHORTEST else []
    if usage is not None and usage.completion_tokens:
        facts.append(f"{usage.completion_tokens:,} token{'s' * (usage.completion_tokens != 1)}")
        if usage.speed:
            facts.append(f"{usage.speed:.1f} tok/s")
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


def asked_facts(now: float, attachments: "Iterable[Attachment]") -> tuple[str, ...]:
    """What stands behind the name over a question that is just being asked."""
    return (clock_time(now), *map(attachment_words, attachments))


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
            message.text,
            facts=partial(facts_of, message),
            reasoning=message.reasoning,
            thinking_seconds=message.reasoning_seconds,
            foot=() if person else foot_of(message, failure),
            branch=branch,
            writing=message.state == "writing",
        )
    )
    return entries


def facts_of(message: "ChatMessage") -> list[str]:
    """What stands behind the name over a message: when, what went along, what it took."""
    when = clock_time(message.time)
    if message.role == "user":
        return [when, *map(attachment_words, (*message.attachments, *message.context))]
    if message.state == "writing":
        return [when, "writing"]
    return [when, *usage_facts(message.seconds, message.usage)]


def waiting_words(event: TurnQueued | BrainLoading | PromptProgress) -> str:
    """What a turn does before its first word."""
    match event:
        case TurnQueued(place=place, reason=reason):
            why = {"memory": "memory", "slot": "a place in the worker", "turn": "the turn before"}[reason]
            return f"waits for {why}" + (f", place {place}" if place > 1 else "")
        case BrainLoading(seconds=seconds, fraction=fraction):
            part = f" {fraction * 100:.0f} %" if fraction is not None else ""
            return f"loading{part}   {seconds:.1f} s"
        case PromptProgress(done=done, total=total, cached=cached):
            known = f", {cached:,} known" if cached else ""
            return f"reading {done:,} of {total:,} tokens{known}" if done < total else "writing"


def replaced_words(event: BrainReplaced) -> Foot:
    """Which brain could not be loaded, and why."""
    return f"{event.failed} cannot be loaded, so that {event.brain} answers: {event.reason}", "amber"


def compacted_words(event: ContextCompacted) -> Foot:
    """What was left out of a prompt."""
    turns = f"{event.left_out_turns} oldest turn{'s' * (event.left_out_turns != 1)}"
    text = f"{turns} left out ({event.left_out_tokens:,} tokens); {event.kept_tokens:,} of {event.allocated:,} are sent"
    if event.reading_seconds is not None:
        text += f", reading takes about {seconds_words(event.reading_seconds)}"
    return text, "amber"


class Entries:
    """The entries of the conversation on the screen. One whose message did not change stays the same object, so that
    what was laid out and drawn of it, and what the person folded, is kept."""

    def __init__(self, failures: Mapping[str, OmniError]) -> None:
        self._failures = failures
        self._known: dict[str, tuple[tuple[ChatMessage, OmniError | None], list[Entry]]] = {}

    def forget(self) -> None:
        """Another conversation."""
        self._known = {}

    def of(self, messages: "Sequence[ChatMessage]", running: RunningAnswer | None, shown: Transcript) -> list[Entry]:
        """The entries of all messages; the answer that is being written here shows what came, not what was stored."""
        entries: list[Entry] = []
        for message in messages:
            if running is not None and message.id == running.answer:
                entries.append(self._live(running, message, shown))
            else:
                entries += self._kept(message, shown)
        if running is not None and not running.answer:  # nothing of it is stored yet
            entries += [one for one in shown.entries if one.id in (running.question, running.entry)]
        ids = {message.id for message in messages}
        self._known = {key: value for key, value in self._known.items() if key in ids}
        return entries

    def _kept(self, message: "ChatMessage", shown: Transcript) -> list[Entry]:
        known, failure = self._known.get(message.id), self._failures.get(message.id)
        if known is not None and known[0] == (message, failure):
            return known[1]
        entries = entries_of(message, failure)
        old = known[1][-1] if known else shown.entry(message.id)
        if old is not None and _takes_over(old, entries[-1]):
            entries[-1] = old
        self._known[message.id] = ((message, failure), entries)
        return entries

    @staticmethod
    def _live(running: RunningAnswer, message: "ChatMessage", shown: Transcript) -> Entry:
        old = shown.entry(running.answer)
        if old is not None and old.writing:
            return old
        entry = entries_of(message)[-1]
        return Entry(
            running.answer,
            entry.kind,
            entry.name,
            running.text,
            facts=(clock_time(message.time), running.state),
            reasoning=running.reasoning,
            foot=running.foot,
            branch=entry.branch,
            writing=True,
        )


def _takes_over(old: Entry, new: Entry) -> bool:
    """Make `old` say what `new` says, where that is the same text, or more of it while another Omni writes it."""
    if old.kind != new.kind:
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
