"""Messages of a conversation as entries of the transcript, in the words of a person."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from omni.core.events import BrainLoading, ContextCompacted, PromptProgress, TurnQueued, Usage
from omni.shell.transcript import Entry

if TYPE_CHECKING:
    from omni.chat import ChatMessage

Foot = tuple[str, str]


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
    facts = [seconds_words(seconds)] if seconds else []
    if usage is not None and usage.answer_tokens:
        facts.append(f"{usage.answer_tokens:,} token{'s' * (usage.answer_tokens != 1)}")
        if usage.speed:
            facts.append(f"{usage.speed:.1f} tok/s")
    return facts


def foot_of(message: "ChatMessage") -> list[Foot]:
    """What is to be said below an answer that is not simply whole, with the keys that help."""
    match message.state:
        case "interrupted":
            return [("interrupted   o go on   r retry", "amber")]
        case "cancelled":
            return [("stopped   o go on   r retry", "amber")]
        case "failed":
            reason = message.reason or "The brain or its worker failed."
            return [(reason, "red"), ("r retry" + ("   o go on" if message.text else ""), "second")]
        case "whole" if message.reason == "length":
            return [("cut by its longest length   o go on", "amber")]
        case "whole" if not message.text and message.role == "assistant":
            return [("the brain said nothing   r retry", "second")]
        case _:
            return []


def entries_of(message: "ChatMessage") -> list[Entry]:
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
    facts = [clock_time(message.time)]
    if message.role == "user":
        facts += [f"{one.path} {one.lines:,} line{'s' * (one.lines != 1)}" for one in message.attachments]
        entries.append(Entry(message.id, "person", "you", message.text, facts=facts, branch=branch))
        return entries
    writing = message.state == "writing"
    facts += ["writing"] if writing else usage_facts(message.seconds, message.usage)
    entries.append(
        Entry(
            message.id,
            "note" if message.role == "summary" else "brain",
            "summary" if message.role == "summary" else message.brain or "brain",
            message.text,
            facts=facts,
            reasoning=message.reasoning,
            thinking_seconds=message.reasoning_seconds,
            foot=foot_of(message),
            branch=branch,
            writing=writing,
        )
    )
    return entries


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


def compacted_words(event: ContextCompacted) -> Foot:
    """What was left out of a prompt."""
    turns = f"{event.left_out_turns} oldest turn{'s' * (event.left_out_turns != 1)}"
    text = f"{turns} left out ({event.left_out_tokens:,} tokens); {event.kept_tokens:,} of {event.allocated:,} are sent"
    if event.reading_seconds is not None:
        text += f", reading takes about {seconds_words(event.reading_seconds)}"
    return text, "amber"


def same_entries(old: Sequence[Entry], new: Sequence[Entry]) -> bool:
    """Whether two lists show the same objects."""
    return len(old) == len(new) and all(a is b for a, b in zip(old, new, strict=True))
