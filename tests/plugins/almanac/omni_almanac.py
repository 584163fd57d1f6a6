"""A plug-in that fills most hooks: dates that somebody wants to remember, one a line of a file."""

from functools import partial
from html import escape
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import click
from msgspec import Meta, Struct

from omni.cli.session import with_services
from omni.core.errors import UsageError
from omni.core.hooks import (
    ContextCall,
    ContextProvider,
    DoctorCheck,
    PluginTool,
    ProcessKind,
    SlashCall,
    SlashCommand,
    WebAnswer,
    WebRequest,
    WebRoute,
    hookimpl,
)
from omni.core.settings import Section, plugin_settings
from omni.environment import Diagnostic
from omni.helpers import HelperProgress, HelperValue
from omni.shell.panes import PaneSpec

if TYPE_CHECKING:
    from omni.app import Services


class Almanac(Section, frozen=True):
    """Where the dates are."""

    file: Annotated[str, Meta(description="The file with the dates, one a line.")] = "~/dates.txt"
    most: Annotated[int, Meta(ge=1, description="How many dates are shown.")] = 20


def dates() -> list[str]:
    """The lines of the file; none where there is no file."""
    settings = plugin_settings("almanac", Almanac)
    try:
        return Path(settings.file).expanduser().read_text("utf-8").splitlines()[: settings.most]
    except FileNotFoundError:
        return []


@click.command("dates")
@click.option("--in", "text", type=click.File(), help="Print those in a text instead.")
def dates_command(text: IO[str] | None) -> None:
    """Print the dates of the almanac."""
    if text is not None:
        with_services(partial(read, text.read()))
        return
    for line in dates():
        click.echo(line)


async def read(text: str, services: "Services") -> None:
    """Have the almanac's own process read a text."""
    async for event in services.helpers.run("almanac.reader", text).events():
        match event:
            case HelperProgress(done=done, total=total):
                click.echo(f"{done:.0f} of {total:.0f} lines", err=True)
            case HelperValue(value=date):
                click.echo(date)


def remember(call: SlashCall) -> str:
    """Add one line."""
    if not call.words[:1].isdigit():
        raise UsageError(f"{call.words!r} begins with no date.", hint="As in: /remember 24 December: Ada comes")
    path = Path(plugin_settings("almanac", Almanac).file).expanduser()
    path.write_text("".join(f"{line}\n" for line in [*dates(), call.words]), "utf-8")
    return f"Remembered: {call.words}"


def known(call: ContextCall) -> str:
    """The dates, for a question that is about time."""
    return "\n".join(dates()) if "when" in call.question.lower() else ""


def look(_services: object) -> list[Diagnostic]:
    """Whether the file is there."""
    path = Path(plugin_settings("almanac", Almanac).file).expanduser()
    return [Diagnostic(name="almanac", ok=path.is_file(), detail=str(path), command=f"touch {path}")]


def page(request: WebRequest) -> WebAnswer:
    """All dates, or those with a word."""
    lines = [line for line in dates() if request.query.get("with", "") in line]
    return WebAnswer(body=f"<!doctype html><title>Almanac</title><pre>{escape(chr(10).join(lines))}</pre>")


class Wanted(Struct, frozen=True, kw_only=True):
    """What a brain may ask the tool for."""

    word: Annotated[str, Meta(description="A word that a line has; empty: all lines.", max_length=100)] = ""


def tell(wanted: Wanted) -> str:
    """What the brain reads."""
    return "\n".join(line for line in dates() if wanted.word in line) or "no such date"


@hookimpl
def omni_commands() -> list[click.Command]:
    return [dates_command]


@hookimpl
def omni_panes() -> list[PaneSpec]:
    return [
        PaneSpec(name="almanac", title="Almanac", letter="a", target="omni_almanac_pane:AlmanacPane", about="dates")
    ]


@hookimpl
def omni_slash_commands() -> list[SlashCommand]:
    return [SlashCommand(name="remember", about="add a date to the almanac", takes="DATE", run=remember)]


@hookimpl
def omni_context_providers() -> list[ContextProvider]:
    return [ContextProvider(name="dates", about="the almanac's dates", provide=known)]


@hookimpl
def omni_settings() -> list[type[Almanac]]:
    return [Almanac]


@hookimpl
def omni_doctor_checks() -> list[DoctorCheck]:
    return [DoctorCheck(name="almanac", run=look)]


@hookimpl
def omni_web_routes() -> list[WebRoute]:
    return [WebRoute(path="", title="Almanac", run=page)]


@hookimpl
def omni_tools() -> list[PluginTool]:
    return [
        PluginTool(name="almanac_dates", about="the almanac's dates", parameters=Wanted, touches=("read",), run=tell)
    ]


@hookimpl
def omni_process_kinds() -> list[ProcessKind]:
    return [
        ProcessKind(
            name="reader",
            about="finds dates in a text",
            target="omni_almanac_reader:run",
            memory=100_000_000,
            priority="interactive",
        )
    ]
