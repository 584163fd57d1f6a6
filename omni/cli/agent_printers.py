"""How the work of an agent is printed for a person: its words on stdout, its calls in one line each on stderr."""

from typing import TYPE_CHECKING

import click

from omni.cli.asking import TypedLines
from omni.cli.printers import TextPrinter
from omni.cli.say import one_line, tell
from omni.core.clean import visible

if TYPE_CHECKING:
    from omni.core.events import ChatEvent, ConsentNeeded, PersonAsked

SHOWN_LINES = 60  # of what would be done
_LETTERS = {"no": "n", "once": "o", "conversation": "c", "project": "p", "always": "a"}
_MEANINGS = {
    "no": "no",
    "once": "once",
    "conversation": "for this task",
    "project": "always in this project",
    "always": "always everywhere",
}


class AgentPrinter(TextPrinter):
    """Calls of tools and what came of them stand on stderr, so that stdout has the answer alone."""

    def __init__(self) -> None:
        super().__init__(reasoning=False)
        self._lines: dict[str, str] = {}

    def _print(self, event: "ChatEvent") -> None:
        from omni.chat import brief, ended_words
        from omni.core import events as e

        match event:
            case e.ToolStarted(call=call, name=name, arguments=arguments):
                self._lines[call] = one_line(f"{name} {brief(arguments)}")[:100]
            case e.ToolOutput(call=call):
                self._mention(f"{self._lines[call]}: running")
            case e.ToolReturned(call=call, outcome=outcome, seconds=seconds, text=text):
                self._end_line()
                tell(f"{self._lines.get(call, event.name)}: {ended_words(outcome, seconds)}")
                if outcome == "failed" and (last := text.strip().splitlines()):
                    tell(f"    {one_line(last[-1])[:160]}")
            case e.TurnEnded(usage=usage):
                super()._print(event)
                self._end_line()
                tell(f"{len(self._lines)} calls, {usage.completion_tokens:,} tokens written")
            case _:
                super()._print(event)


async def ask(event: "ConsentNeeded | PersonAsked") -> str:
    """Show what is asked and read the person's answer; Enter means "no" for consent, and nothing for a question."""
    from omni.core.events import ConsentNeeded

    if not isinstance(event, ConsentNeeded):
        choices = f" ({', '.join(event.choices)})" if event.choices else ""
        while True:
            said = (await TypedLines().read(f"\n{visible(event.text)}{choices}\n> ") or "").strip()
            if not event.choices or said in event.choices:
                return said
    lines = visible(event.shown).splitlines()
    click.echo(f"\nMay it {visible(event.act)}?", err=True)
    for line in lines[:SHOWN_LINES]:
        click.echo(f"    {line}", err=True)
    if len(lines) > SHOWN_LINES:
        click.echo(f"    … {len(lines) - SHOWN_LINES} lines more", err=True)
    for reason in event.reasons:
        click.echo(f"  - {one_line(visible(reason))}", err=True)
    if event.destroys:
        click.echo("  What this takes away may not come back.", err=True)
    offered = {_LETTERS[answer]: answer for answer in event.answers if answer in _LETTERS}
    words = ", ".join(f"{letter}={_MEANINGS[answer]}" for letter, answer in offered.items())
    while True:
        said = (await TypedLines().read(f"[{words}] n> ") or "n").strip().lower() or "n"
        if said in offered or said in event.answers:
            return offered.get(said, said)
        tell(f"{said!r} is no answer to this")
