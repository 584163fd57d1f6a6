"""`omni chat`: one question and its answer on stdout, or a plain line by line conversation."""

import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

import click

from omni.cli.session import with_services
from omni.core.errors import NotFound, OmniError, UsageError

if TYPE_CHECKING:
    from omni.app import Services
    from omni.core.events import ChatEvent


@click.command("chat")
@click.argument("prompt", nargs=-1)
@click.option(
    "--brain",
    "-b",
    default="",
    metavar="NAME",
    help="The brain to ask; default: the conversation's, else the best one here.",
)
@click.option("--system", "-s", default="", metavar="TEXT", help="System text for this conversation.")
@click.option("--continue", "-c", "go_on", is_flag=True, help="Go on with this folder's latest conversation.")
@click.option("--json", "as_json", is_flag=True, help="Print the events of the turn, one JSON object a line.")
@click.option("--reasoning", is_flag=True, help="Print what the brain thinks before it answers, too.")
def command(  # noqa: PLR0917 - click hands over what the options are
    prompt: tuple[str, ...], brain: str, system: str, go_on: bool, as_json: bool, reasoning: bool
) -> None:
    """Ask a brain; stream its answer to stdout.

    What is piped in is added to PROMPT. `@path` in PROMPT attaches a text file of this folder. Without a PROMPT in a
    terminal it is a conversation line by line, which screen readers and dumb terminals can follow; an empty line or
    ctrl+d ends it.
    """
    piped = "" if sys.stdin is None or sys.stdin.isatty() else sys.stdin.read().strip()
    question = "\n\n".join(part for part in (" ".join(prompt).strip(), piped) if part)
    if not question and (sys.stdin is None or not sys.stdin.isatty()):
        raise UsageError(
            "There is no question: neither a PROMPT nor anything piped in.", hint='Try `omni chat "Hello"`.'
        )
    turn = Turns(brain=brain, system=system, go_on=go_on, as_json=as_json, reasoning=reasoning)
    with_services(turn.once(question) if question else turn.line_by_line)


class Turns:
    """One or several questions in one conversation."""

    def __init__(self, *, brain: str, system: str, go_on: bool, as_json: bool, reasoning: bool) -> None:
        self._brain, self._system, self._go_on = brain, system, go_on
        self._printer = JsonPrinter() if as_json else TextPrinter(reasoning=reasoning)

    def once(self, question: str):  # type: ignore[no-untyped-def]
        """The work of asking one question."""

        async def work(services: "Services") -> None:
            conversation = await self._conversation(services)
            await self._ask(services, conversation, question)

        return work

    async def line_by_line(self, services: "Services") -> None:
        """Read questions until an empty one; a failed turn is told and the next may be asked."""
        conversation = await self._conversation(services)
        while question := (await read_line()).strip():
            try:
                await self._ask(services, conversation, question)
            except OmniError as error:
                from omni.cli.main import print_error

                print_error(error)

    async def _conversation(self, services: "Services") -> str:
        project = str(Path.cwd())
        if self._go_on:
            found = await services.chat.conversations(project=project, limit=1)
            if not found:
                raise NotFound(f"There is no conversation in {project} to go on with.", hint="Leave --continue away.")
            return found[0].id
        brain = self._brain or (await services.default_brain()).name
        return (await services.chat.create(project=project, brain=brain, system=self._system)).id

    async def _ask(self, services: "Services", conversation: str, question: str) -> None:
        from omni.chat import expand

        text, attachments = expand(question, Path.cwd())
        events = services.chat.ask(conversation, text, brain=self._brain, attachments=attachments)
        async with aclosing(events):
            await self._printer.turn(events)


class JsonPrinter:
    """Every event as one line."""

    async def turn(self, events: "AsyncIterator[ChatEvent]") -> None:
        """Print one turn."""
        import msgspec

        async for event in events:
            sys.stdout.buffer.write(msgspec.json.encode(event) + b"\n")
            sys.stdout.buffer.flush()


class TextPrinter:
    """The answer on stdout as it comes; what is waited for on stderr, and only for a person."""

    def __init__(self, *, reasoning: bool) -> None:
        self._reasoning = reasoning
        self._person = sys.stderr.isatty()
        self._said = ""

    async def turn(self, events: "AsyncIterator[ChatEvent]") -> None:
        """Print one turn; its last line always ends."""
        from omni.core import events as e

        last = ""
        try:
            async for event in events:
                match event:
                    case e.TextDelta(text=text):
                        if not last:
                            text = text.lstrip("\n")
                        self._write(text)
                        last = text or last
                    case e.ReasoningDelta(text=text):
                        if self._reasoning:
                            self._write(text)
                            last = text or last
                    case e.TurnQueued(place=place, reason=reason):
                        self._tell(f"waiting for {REASONS[reason]}, place {place}")
                    case e.BrainLoading(brain=brain):
                        self._tell(f"loading {brain}")
                    case e.ContextCompacted(left_out_turns=turns, kept_tokens=kept, allocated=allocated):
                        self._tell(
                            f"the oldest {turns} turns are left out; {kept:,} of {allocated:,} tokens are sent",
                            always=True,
                        )
                    case e.PromptProgress(done=done, total=total):
                        if total > 2000:
                            self._tell(f"reading {total:,} tokens", once=done < total)
                    case e.TurnEnded(reason=ended):
                        if ended == "length":
                            self._tell(
                                "cut at the longest answer allowed (`omni config set chat.answer_tokens N`)",
                                always=True,
                            )
                    case e.TurnStarted():
                        pass
                    case _:
                        assert_never(event)
        finally:
            if last and not last.endswith("\n"):
                self._write("\n")
            self._said = ""

    def _write(self, text: str) -> None:
        # A file keeps what the brain wrote; a terminal gets no control characters from it.
        sys.stdout.write(printable(text) if sys.stdout.isatty() else text)
        sys.stdout.flush()

    def _tell(self, text: str, *, once: bool = True, always: bool = False) -> None:
        if (self._person or always) and not (once and text == self._said):
            click.echo(f"omni: {text}", err=True)
            self._said = text


REASONS = {"memory": "memory", "slot": "a free place in the brain", "turn": "an earlier turn of this conversation"}


def printable(text: str) -> str:
    """Without the control characters that could move the cursor or write to the clipboard of a terminal."""
    return "".join(ch for ch in text if ch in "\n\t" or (ch >= " " and not "\x7f" <= ch <= "\x9f"))


async def read_line() -> str:
    """One line from the person, or "" at the end of the input."""
    import asyncio

    try:
        return await asyncio.to_thread(input, "you> ")
    except EOFError:
        click.echo()
        return ""
