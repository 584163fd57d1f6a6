"""`omni agent`: a task for a brain that uses tools, with the person's consent, and what it changed."""

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from omni.cli import streams
from omni.cli.asking import require_consent
from omni.cli.names import BRAIN
from omni.cli.overriding import with_gpu
from omni.cli.say import print_error, tell
from omni.cli.session import with_services
from omni.cli.table import print_json, print_table
from omni.core.errors import OmniError, UsageError
from omni.core.paths import Home

if TYPE_CHECKING:
    from omni.app import Services
    from omni.core.events import ChatEvent, ConsentNeeded, PersonAsked
    from omni.hands import ConsentRule
    from omni.jobs import Job

INTERRUPTED = 130


@click.group("agent")
def command() -> None:
    """Give a brain a task that it works on with tools: it reads and changes files and runs commands, each with your consent.

    Reading inside the project is free; all else is asked unless a rule allows it (`omni consent`), and commands run in the sandbox.
    """


@command.command("run")
@click.option("--brain", "-b", type=BRAIN, default="", metavar="NAME", help="The brain that works; default: the best.")
@click.option(
    "--yes",
    "rules",
    multiple=True,
    metavar="RULE",
    help="Allow this beforehand, for this task: a rule of `omni consent allow`, as in 'shell pytest' or 'write src/**'.",
)
@click.option("--steps", type=click.IntRange(1, 500), help="End it after so many rounds of calls.")
@click.option("--check", default="", metavar="COMMAND", help="What must succeed before the work counts as done.")
@with_gpu
@click.option("--json", "as_json", is_flag=True, help="Print the events, one JSON object a line; nothing is asked.")
@click.argument("name", metavar="AGENT")
@click.argument("task", nargs=-1, required=True)
def run(
    *,
    brain: str,
    rules: tuple[str, ...],
    steps: int | None,
    check: str,
    as_json: bool,
    name: str,
    task: tuple[str, ...],
) -> int:
    """Let AGENT work on TASK in this folder.

    What is asked is answered with a letter; "no" is what Enter means. Where there is no terminal, and with --json, the answer is always
    no, so that --yes says what may be done. Ctrl+C stops the work; what was changed stays, and `omni agent undo` takes it back.
    """
    from omni.cli.agent_printers import AgentPrinter
    from omni.cli.printers import JsonPrinter

    allowed = [_rule(rule) for rule in rules]
    wanted = streams.as_text(" ".join(task)).strip()
    printer = JsonPrinter() if as_json else AgentPrinter()

    async def work(services: "Services") -> int:
        from omni.agents import AgentBook, begin_work
        from omni.chat import WorkLimits
        from omni.cli.brains import brain_to_ask

        spec = await asyncio.to_thread(AgentBook(services.home).get, name)
        _say_what_is_missing(services.home)
        chosen = await brain_to_ask(services, brain or spec.brain)
        limits = WorkLimits(steps=steps or spec.steps, seconds=spec.minutes * 60)
        job = await begin_work(
            services, spec, wanted, folder=Path.cwd(), brain=chosen, rules=allowed, limits=limits, check=check
        )
        try:
            async with aclosing(_answered(job, asks=not as_json)) as events:
                await printer.turn(events)
        finally:
            await job.stop()
        return 0

    try:
        return with_services(work)
    except KeyboardInterrupt:
        tell("stopped; what was changed stays, and `omni agent undo` takes it back")
        return INTERRUPTED
    except OmniError as error:
        printer.failed(error)
        raise


@command.command("ls")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def ls(as_json: bool) -> None:
    """List the agents."""
    from omni.agents import AgentBook

    specs, wrong = AgentBook(Home.from_environment()).all()
    if as_json:
        print_json(specs)
    else:
        print_table(("agent", "tools", "what it does"), [(one.name, str(len(one.tools)), one.about) for one in specs])
    for error in wrong:
        print_error(error)


@command.command("changes")
@click.option("--diff", "number", type=int, help="Show what one of them changed.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def changes(number: int | None, as_json: bool) -> None:
    """List the changes that agents made to files of this project, the latest first."""
    from omni.core.errors import NotFound
    from omni.hands import ChangeLog, project_of

    log, project = ChangeLog(Home.from_environment()), str(project_of(Path.cwd()))
    made = log.made(project)
    if number is not None:
        record = next((one for one in made if one.id == number), None)
        if record is None:
            raise NotFound(f"There is no change {number} in this project.", hint="`omni agent changes` lists them.")
        click.echo(log.change_of(record).diff(project))
    elif as_json:
        print_json(made)
    elif not made:
        click.echo("No agent has changed a file of this project.")
    else:
        print_table(
            ("", "file", "state", "agent", "when"),
            [
                (
                    str(one.id),
                    one.path.removeprefix(f"{project}/"),
                    "taken back" if one.state == "undone" else "removed" if not one.after else "made",
                    one.agent,
                    datetime.fromtimestamp(one.time, UTC).astimezone().strftime("%Y-%m-%d %H:%M"),
                )
                for one in made
            ],
            right=("",),
        )


@command.command("undo")
@click.argument("number", type=int, required=False)
@click.option("--yes", is_flag=True, help="Do not ask.")
def undo(number: int | None, yes: bool) -> None:
    """Take back the latest change that an agent made to a file of this project, or the one of that NUMBER.

    A file that was changed since then is left as it is.
    """
    from omni.core.errors import NotFound
    from omni.hands import ChangeLog, project_of

    log, project = ChangeLog(Home.from_environment()), str(project_of(Path.cwd()))
    known = [one for one in log.made(project) if one.state != "undone" and number in (None, one.id)]
    if not known:
        raise NotFound("There is no such change to take back.", hint="`omni agent changes` lists them.")
    if not yes:
        require_consent(f"Take back change {known[0].id}, of {known[0].path.removeprefix(f'{project}/')}?")
    record = log.undo(project, known[0].id)
    click.echo(f"{record.path.removeprefix(f'{project}/')} is as it was before change {record.id}.")


def _say_what_is_missing(home: Home) -> None:
    """Without the grammars every command is asked about, and no symbol is edited."""
    from omni.core.features import Features

    if Features(home).state("code") in ("absent", "outdated"):
        tell(
            "commands are all asked about, and code is not edited by symbols: `omni environment add code` brings what that needs"
        )


def _rule(text: str) -> "ConsentRule":
    from omni.hands import rule_of

    tool, _, pattern = text.strip().partition(" ")
    if not tool:
        raise UsageError("A rule says what is allowed, as in --yes 'shell pytest' or --yes 'write src/**'.")
    return rule_of("allow", tool, pattern.strip(), made=datetime.now(UTC))


async def _answered(job: "Job[ChatEvent]", *, asks: bool) -> AsyncGenerator["ChatEvent"]:
    """The events of the work; what it asks is asked of the person, unless another window is quicker."""
    from omni.cli.agent_printers import ask
    from omni.core import events as happened
    from omni.core.errors import NotFound

    asking: asyncio.Task[None] | None = None
    asks = asks and streams.at_terminal()
    if not asks:
        tell("nobody is asked here: what no rule and no --yes allows is refused")

    async def answer(event: "ConsentNeeded | PersonAsked") -> None:
        said = await ask(event) if asks else _nobodys(event)
        while (question := job.snapshot().question) is None or question.id != event.question:
            await job.changed()
            if job.over:
                return
        try:
            job.answer(event.question, said)
        except NotFound:
            pass  # it was answered elsewhere

    try:
        async with aclosing(job.events()) as events:
            async for event in events:
                yield event
                if isinstance(event, happened.ConsentNeeded | happened.PersonAsked):
                    asking = asyncio.create_task(answer(event))
                elif isinstance(event, happened.QuestionAnswered) and asking is not None:
                    asking.cancel()
                    await asyncio.gather(asking, return_exceptions=True)
    finally:
        if asking is not None:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
    sys.stdout.flush()


def _nobodys(event: "ConsentNeeded | PersonAsked") -> str:
    """What is said where nobody can be asked."""
    from omni.core import events

    return "no" if isinstance(event, events.ConsentNeeded) else next(iter(event.choices), "")
