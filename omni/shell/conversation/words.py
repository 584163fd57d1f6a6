"""What happens in a conversation, in the words of a person."""

import time

from omni.core.events import BrainLoading, BrainReplaced, ContextCompacted, PromptProgress, TurnQueued


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


def replaced_words(event: BrainReplaced) -> str:
    """Which brain could not be loaded, and why."""
    return f"{event.failed} cannot be loaded, so that {event.brain} answers: {event.reason}"


def compacted_words(event: ContextCompacted) -> str:
    """What was left out of a prompt."""
    turns = f"{event.left_out_turns} oldest turn{'s' * (event.left_out_turns != 1)}"
    what = turns if event.left_out_turns else "oldest results of tools"
    text = f"{what} left out ({event.left_out_tokens:,} tokens); {event.kept_tokens:,} of {event.allocated:,} are sent"
    if event.reading_seconds is not None:
        text += f", reading takes about {seconds_words(event.reading_seconds)}"
    return text
