"""`omni chat`: one question and its answer on stdout, or a plain line by line conversation."""

import asyncio
import re
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from omni.cli import streams
from omni.cli.names import BRAIN
from omni.cli.overriding import with_gpu
from omni.cli.say import print_error, tell
from omni.cli.session import with_services
from omni.core.errors import NotFound, OmniError, UsageError

if TYPE_CHECKING:
    from omni.app import Services
    from omni.cli.printers import Printer

INTERRUPTED = 130
LEAVE = ("/bye", "/exit", "/quit")  # the first is Ollama's
COMMAND = re.compile(r"/[a-z?]+")


@click.command("chat")
@click.argument("prompt", nargs=-1)
@click.option(
    "--brain",
    "-b",
    type=BRAIN,
    default="",
    metavar="NAME",
    help="The brain to ask, or a GGUF file; default: the conversation's, else the best one here.",
)
@click.option("--system", "-s", default="", metavar="TEXT", help="System text for this conversation.")
@click.option("--continue", "-c", "go_on", is_flag=True, help="Go on with this folder's latest conversation.")
@click.option(
    "--image",
    "-i",
    "images",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE",
    help="An image to look at, for a brain that sees; more than once for several.",
)
@with_gpu
@click.option("--json", "as_json", is_flag=True, help="Print the events of the turn, one JSON object a line.")
@click.option("--reasoning", is_flag=True, help="Print what the brain thinks before it answers, too.")
def command(  # noqa: PLR0917 - click hands over what the options are
    prompt: tuple[str, ...],
    brain: str,
    system: str,
    go_on: bool,
    images: tuple[str, ...],
    as_json: bool,
    reasoning: bool,
) -> int:
    """Ask a brain; stream its answer to stdout.

    What is piped in is added to PROMPT. `@path` in PROMPT attaches a text file or an image of this folder. Without a PROMPT in a
    terminal it is a conversation line by line, which screen readers and dumb terminals can follow; ctrl+c stops an
    answer, an empty line, /bye or ctrl+d ends it.

    With --json the first line is {"type": "omni_events", "version": 2}, and the others are what happens. What goes
    wrong is the last line on stdout, too: {"type": "error", "kind": "NotFound", "message": "…", "hint": "…",
    "exit_code": 3}.
    """
    return ask(prompt, brain=brain, system=system, go_on=go_on, images=images, as_json=as_json, reasoning=reasoning)


def ask(
    prompt: tuple[str, ...],
    *,
    brain: str = "",
    system: str = "",
    go_on: bool = False,
    images: tuple[str, ...] = (),
    as_json: bool = False,
    reasoning: bool = False,
) -> int:
    """What the command does, for others that mean the same."""
    from omni.cli.printers import JsonPrinter, TextPrinter

    printer: Printer = JsonPrinter() if as_json else TextPrinter(reasoning=reasoning)
    turns = ChatSession(printer, brain=brain, system=streams.as_text(system), go_on=go_on, images=images)
    try:
        return _ask(turns, streams.as_text(" ".join(prompt)).strip())
    except OmniError as error:
        printer.failed(error)
        raise


def _ask(turns: "ChatSession", question: str) -> int:
    piped = streams.piped_text()
    if question or piped:
        try:
            with_services(turns.once(question, piped))
        except KeyboardInterrupt:
            tell("stopped; what came is kept: `omni chat -c` goes on from it" if turns.begun else "stopped")
            return INTERRUPTED
        return 0
    if not streams.at_terminal():
        raise UsageError(
            "There is no question: neither a PROMPT nor anything piped in.", hint='Try `omni chat "Hello"`.'
        )
    return with_services(turns.line_by_line)


class ChatSession:
    """One or several questions in one conversation."""

    def __init__(self, printer: "Printer", *, brain: str, system: str, go_on: bool, images: tuple[str, ...]) -> None:
        self._printer, self._brain, self._system, self._go_on = printer, brain, system, go_on
        self._images = images  # which go along with the first question
        self.begun = False
        self._answers = ""  # the name of who does

    def once(self, question: str, piped: str) -> "Callable[[Services], Coroutine[Any, Any, None]]":
        """The work of asking one question."""

        async def work(services: "Services") -> None:
            await self._ask(services, await self._conversation(services), question, piped)

        return work

    async def line_by_line(self, services: "Services") -> int:
        """Read questions until an empty one; a failed turn is told and the next may be asked."""
        from omni.cli.asking import Interrupts, Stopped, TypedLines

        lines, pressed = TypedLines(), False
        with Interrupts() as interrupts:
            try:
                conversation = await interrupts.run(self._conversation(services))
            except Stopped:
                return INTERRUPTED
            tell(f"{self._answers} answers; ctrl+c stops an answer, an empty line or ctrl+d ends")
            while True:
                try:
                    question = await interrupts.run(lines.read("\nyou> "))
                except Stopped:
                    click.echo(err=True)
                    if pressed:
                        return INTERRUPTED
                    pressed = True
                    tell("ctrl+c once more, an empty line or ctrl+d ends")
                    continue
                pressed = False
                if not question or not question.strip() or question.strip() in LEAVE:
                    return 0
                if COMMAND.fullmatch(question.strip()):
                    tell("commands are the shell's (`omni`); here only /bye is known")
                    continue
                try:
                    await interrupts.run(self._ask(services, conversation, question.strip()))
                except Stopped:
                    tell("stopped; what came is kept")
                except OmniError as error:
                    self._printer.failed(error)
                    print_error(error)

    async def _conversation(self, services: "Services") -> str:
        """The conversation to ask in; in `_brain` who was chosen to be asked, and in `_answers` who will be."""
        from omni.cli.brains import brain_to_ask

        project = str(Path.cwd())
        if self._go_on:
            latest = await services.chat.conversations(project=project, limit=1)
            if not latest:
                raise NotFound(f"There is no conversation in {project} to go on with.", hint="Leave --continue away.")
            self._answers = self._brain = (await brain_to_ask(services, self._brain or latest[0].brain)).name
            return latest[0].id
        self._answers = (await brain_to_ask(services, self._brain)).name
        if self._brain or services.settings.chat.brain:  # else it is the best one here, and another where that fails
            self._brain = self._answers
        return (await services.chat.create(project=project, brain=self._brain)).id

    async def _ask(self, services: "Services", conversation: str, question: str, piped: str = "") -> None:
        from omni.chat import begin_turn, expand, read_image

        text, attachments = await asyncio.to_thread(expand, question, Path.cwd())
        images, self._images = self._images, ()
        attachments += [await asyncio.to_thread(read_image, Path(image)) for image in images]
        text = "\n\n".join(part for part in (text, piped) if part)  # an @ in what is piped in names no file of ours
        events = services.chat.ask(
            conversation, text, brain=self._brain, attachments=attachments, system=self._system or None
        )
        job = begin_turn(services.jobs, conversation, events)
        try:
            async with aclosing(job.events()) as told:
                self.begun = True
                await self._printer.turn(told)
        finally:
            await job.stop()  # which is over, or is not wanted any more
        if job.state == "stopped":
            raise OmniError("Another window stopped this answer.", hint="`omni chat -c` goes on from what came.")
