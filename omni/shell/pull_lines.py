"""Downloads and checks in words: one line of each, and what helps where one ended early."""

from textwrap import wrap
from typing import TYPE_CHECKING

from textual.content import Content

from omni.core.words import size_words, time_words
from omni.shell.widgets import bar, ink

if TYPE_CHECKING:
    from omni.cartridges import PullStatus


def pulling_line(pulling: "PullStatus", width: int, *, key: tuple[str, str] = ("x", "cancel")) -> Content:
    """One download on one line: how far, how fast, how long still, and the key that helps."""
    if (failure := pulling.error) is not None:
        return ink((pulling.name, "text"), "  ", (failure.message, "red"), "  ", (failure.hint, "second"))
    if pulling.state == "cancelled":
        return ink((pulling.name, "text"), "  ", ("cancelled", "amber"))
    if not pulling.running:
        return ink((pulling.name, "text"), "  ", ("here" if pulling.kind == "pull" else "verified", "accent"))
    facts = []
    if pulling.total:
        of = f"{size_words(pulling.done)} of {size_words(pulling.total)}"
        facts.append(f"{pulling.fraction:.0%} checked" if pulling.checking else of)
    else:
        facts.append("checking" if pulling.checking else "asking where it lies")
    if pulling.rate:
        facts.append(f"{size_words(pulling.rate)}/s")
    if pulling.seconds_left is not None:
        facts.append(f"{time_words(pulling.seconds_left)} left")
    end = ink(("   ".join(facts), "second"), "   ", (key[0], "second"), (f" {key[1]}", "third"))
    room = width - len(pulling.name) - end.cell_length - 5
    middle = bar(min(30, room), pulling.fraction) if room >= 6 else Content("")
    return Content.assemble(ink((pulling.name, "text")), "  ", middle, "  " if middle else "", end)


def pulling_lines(pulling: "PullStatus", width: int, *keys: tuple[str, str]) -> list[Content]:
    """The same where it can be acted on: one that ended early says below why, and which `keys` help."""
    if pulling.state not in ("failed", "cancelled"):
        return [pulling_line(pulling, width)]
    failure = pulling.error
    message = failure.message if failure else "The download was cancelled; what came so far is kept."
    first = message if message.startswith(pulling.name) else f"{pulling.name}  {message}"
    lines = [ink((row, "red" if failure else "amber")) for row in wrap(first, max(20, width))]
    lines += [ink((row, "second")) for row in wrap(failure.hint if failure else "", max(20, width))]
    helps = [ink((key, "second"), (f" {meaning}", "third")) for key, meaning in keys]
    return [*lines, Content("   ").join(helps)] if helps else lines
