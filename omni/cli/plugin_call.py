"""`omni plugin call` and `omni plugin run`: a tool of a plug-in, and a process of its own, asked by hand."""

from typing import TYPE_CHECKING, Any

import click

from omni.cli.say import one_line, tell
from omni.cli.session import offline_services, with_services
from omni.core.errors import NotFound, OmniError, UsageError, nearest

if TYPE_CHECKING:
    from omni.app import Services
    from omni.core.plugins import PluginOffer
    from omni.helpers import HelperEvent


@click.command("call")
@click.argument("tool")
@click.argument("arguments", metavar="[JSON]", default="{}")
def call(tool: str, arguments: str) -> None:
    """Run a tool of a plug-in by hand, and print what a brain would read.

    JSON is an object with its arguments, which are proved against its schema first.
    """
    value = json_value(arguments)

    async def work(services: "Services") -> None:
        import asyncio

        click.echo(await asyncio.to_thread(_called, services, tool, value))

    offline_services(work)


@click.command("run")
@click.argument("kind")
@click.argument("value", metavar="[JSON]", default="null")
def run(kind: str, value: str) -> None:
    """Give the process of a plug-in one request, and print what comes of it as JSON, one a line.

    KIND is PLUGIN.NAME; `omni plugin check` lists the names. Ctrl+C cancels the request.
    """
    given = json_value(value)

    async def work(services: "Services") -> None:
        job = services.helpers.run(kind, given)
        async for event in job.events():
            _print(event)
        if job.state == "stopped":
            raise OmniError(f"This work of {kind} was stopped before its answer.", hint="What came of it stands above.")

    with_services(work)


def _print(event: "HelperEvent") -> None:
    """Values and the answer on stdout, the rest on stderr."""
    import json

    from omni.helpers import HelperAnswer, HelperProgress, HelperValue, HelperWaiting

    match event:
        case HelperWaiting(text=text):
            tell(one_line(text))
        case HelperProgress(done=done, total=total, text=text):
            tell(one_line(f"{done:g}{f' of {total:g}' if total else ''} {text}".rstrip()))
        case HelperValue(value=value) | HelperAnswer(value=value):
            click.echo(json.dumps(value))  # no character of it can steer a terminal


def json_value(text: str) -> Any:
    """What a person wrote as JSON. Raises UsageError."""
    import msgspec

    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise UsageError(f"{text[:200]!r} is no JSON: {error}.", hint="""As in: '{"with": "Ada"}'""") from error


def _called(services: "Services", name: str, value: Any) -> str:
    """Runs in a thread: plug-ins are loaded, and a tool may take its time."""
    from omni.core.clean import clean
    from omni.schemas import proved_arguments

    plugins = services.plugins
    offer = _offer(plugins.offers("omni_tools"), name)
    arguments = proved_arguments(offer.item, value)
    if offer.item.touches:
        tell(f"{name} may touch: {', '.join(offer.item.touches)}")
    answer = plugins.call(offer.plugin, "tool", offer.item.run, arguments)
    if not isinstance(answer, str):
        wrong = TypeError(f"it returned {type(answer).__name__}, and a text is expected")
        raise plugins.blame(offer.plugin, f"failed in the tool {name!r}", wrong)
    return clean(answer)


def _offer(offers: "list[PluginOffer]", name: str) -> "PluginOffer":
    for offer in offers:
        if offer.item.name == name:
            return offer
    names = [offer.item.name for offer in offers]
    hint = nearest(name, names) or (f"There are: {', '.join(names)}." if names else "No plug-in here has one.")
    raise NotFound(f"No tool is named {name!r}.", hint=hint)
