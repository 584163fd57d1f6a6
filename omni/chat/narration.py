"""An answer with the tools that were called for it, as a person reads it: words, and one line for each call."""

import json
from collections.abc import Iterable

from omni.core.messages import Part, TextPart, ToolCallPart, ToolResultPart

OUTCOMES = {"done": "ok", "failed": "failed", "refused": "refused", "denied": "denied by a rule"}
_LONGEST = 80  # characters of what a call was given
_WORTH_TELLING = 0.1  # seconds


def narrated(parts: Iterable[Part]) -> str:
    """Words and calls of an answer in Markdown; words alone where nothing was called."""
    parts = tuple(parts)
    results = {part.call_id: part for part in parts if isinstance(part, ToolResultPart)}
    blocks, lines = list[str](), list[str]()
    for part in parts:
        if isinstance(part, ToolCallPart):
            lines.append(f"- {_line(part, results.get(part.id))}")
        elif isinstance(part, TextPart) and (words := part.text.strip("\n")):
            if lines:
                blocks.append("\n".join(lines))
                lines.clear()
            blocks.append(words)
    return "\n\n".join([*blocks, *(["\n".join(lines)] if lines else [])])


def brief(arguments: str) -> str:
    """The texts among the arguments of a call in one line; of long ones how long they are."""
    try:
        values = json.loads(arguments or "{}")
    except ValueError:
        return arguments[:_LONGEST]
    texts = [value for value in values.values() if isinstance(value, str) and value] if isinstance(values, dict) else []
    said = " ".join(
        text if len(text) <= _LONGEST and "\n" not in text else f"({len(text):,} characters)" for text in texts
    )
    return said if len(said) <= 2 * _LONGEST else f"{said[: 2 * _LONGEST]}…"


def ended_words(outcome: str, seconds: float) -> str:
    """How a call ended, in words."""
    took = f", {seconds:.1f} s" if seconds >= _WORTH_TELLING else ""
    return f"{OUTCOMES.get(outcome, outcome or 'ok')}{took}"


def _line(call: ToolCallPart, result: ToolResultPart | None) -> str:
    given = brief(call.arguments).replace("`", "'")
    ended = ended_words(result.outcome, result.seconds) if result is not None else "no result yet"
    return f"{call.name} `{given}`: {ended}" if given else f"{call.name}: {ended}"
