"""`omni serve`: the local API, and the keys for those who may use it."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

import click

from omni.cli.overriding import overrides, with_gpu
from omni.cli.plugins import is_safe
from omni.cli.say import tell
from omni.cli.table import print_json, print_table
from omni.core.errors import OmniError
from omni.core.paths import Home

if TYPE_CHECKING:
    from omni.app import Services
    from omni.server.serving import AddressStatus
    from omni.server.start import Link, StartupNotice

F = TypeVar("F", bound=Callable[..., Any])

USUAL = 11434  # Ollama's port, at which clients look for a local server


def listening(command: F) -> F:
    """The options of what listens."""
    for option in reversed(
        (
            click.option("--host", metavar="ADDRESS", help="Listen on this address instead of 127.0.0.1."),
            click.option("--port", type=click.IntRange(0, 65535), help="Listen on this port, or not at all."),
            click.option("--tls", is_flag=True, help="Encrypt, with a certificate that is made here."),
            click.option("--cert", type=click.Path(), help="Encrypt with this certificate (PEM)."),
            click.option("--key-file", type=click.Path(), help="The certificate's key, readable by you alone."),
        )
    ):
        command = option(command)
    return command


@click.group("serve", invoke_without_command=True)
@listening
@click.option(
    "--grace", type=click.FloatRange(0, 3600), default=10, show_default=True, metavar="SECONDS",
    help="How long running answers may take to finish at the end.",
)  # fmt: skip
@with_gpu
@click.pass_context
def command(
    context: click.Context,
    *,
    host: str | None,
    port: int | None,
    tls: bool,
    cert: str | None,
    key_file: str | None,
    grace: float,
) -> None:
    """Serve the brains to other programs: OpenAI's, Ollama's and Anthropic's API.

    Programs of this user on this machine need no key. Any other address needs one, and TLS. Ctrl+C ends it when running
    answers are finished; again, at once.
    """
    if context.invoked_subcommand is not None:
        return
    from omni.cli.brains import tell_of_no_brain
    from omni.server.start import Wish, run

    beside = Beside()

    def listening(services: "Services", _link: "Link", said: "StartupNotice") -> None:
        beside.tell_of_defaults(services)
        if (door := new_address(said)) is None:
            return
        click.echo(f"Omni serves at {door.url}")
        if door.port != USUAL or not door.url.startswith("http://127.0.0.1:"):
            click.echo(f"export OPENAI_BASE_URL={door.url}/v1\nexport OLLAMA_HOST={door.url}")
        beside.begin(tell_of_no_brain(services))

    wish = Wish(host=host or "", port=port, tls=tls, cert=cert or "", key_file=key_file or "", grace=grace)
    run(Home.from_environment().ensure(), wish, listening, plugins=not is_safe(), overrides=overrides())


class Beside:
    """What is done beside serving; a failure that can be explained is none of the server's."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._listens = False

    def tell_of_defaults(self, services: "Services") -> None:
        """Say when a brain that nobody chose cannot be loaded, and which one answers instead; asked for once or more."""
        if not self._listens:
            self._listens = True
            services.listen(lambda topic, value: tell(str(value)) if topic == "default" else None)

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Do it, from within the server's loop."""

        async def done() -> None:
            with suppress(OmniError):
                await work

        task = asyncio.get_running_loop().create_task(done())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def new_address(said: "StartupNotice") -> "AddressStatus | None":
    """The door, when its address is news to the person; whatever else there is to say is printed."""
    door = said.door
    if said.fingerprint:
        click.echo(f"{'New certificate' if said.new else 'Certificate'}, SHA-256 {said.fingerprint}, in {said.path}")
    if door is None:
        return None
    if door.shut:
        tell(door.shut)
        return None
    if door.again:
        tell(f"it can be reached again, at {door.url}")
        return None
    if door.taken:
        tell(f"port {door.taken} is taken by {door.taken_by}; this one is {door.port}")
    return door


@command.group("key")
def key() -> None:
    """Make, list and end keys for those who may use the server."""


@key.command("add")
@click.argument("name")
@click.option(
    "--scope", "scopes", type=click.Choice(["chat", "admin"]), multiple=True, default=("chat",),
    help="What it is good for: chat (default), or admin, which is everything.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def add(name: str, scopes: tuple[str, ...], as_json: bool) -> None:
    """Make a key named NAME and print it: nobody can show it again."""
    from omni.server.keys import ApiKeys, Scope

    # Who may administer may chat: programs with an admin key ask for models first.
    wanted: tuple[Scope, ...] = ("chat", "admin") if "admin" in scopes else ("chat",)
    secret = ApiKeys(Home.from_environment().ensure().keys).add(name, wanted)
    if as_json:
        print_json({"name": name, "key": secret, "scopes": wanted})
        return
    click.echo(secret)
    tell("this is the only time that the key is shown; only its hash is kept")


@key.command("ls")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def ls(as_json: bool) -> None:
    """List the keys."""
    from omni.server.keys import ApiKeys

    keys = ApiKeys(Home.from_environment().keys).all()
    if as_json:
        print_json([{"name": one.name, "scopes": one.scopes, "created": one.created, "used": one.used} for one in keys])
    elif not keys:
        click.echo("There is no key. `omni serve key add NAME` makes one.")
    else:
        rows = [(one.name, ", ".join(one.scopes), str(one.created), str(one.used or "never")) for one in keys]
        print_table(("name", "scopes", "made", "used"), rows)


@key.command("revoke")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def revoke(name: str, as_json: bool) -> None:
    """End the key named NAME. A server that runs takes it no longer, from the next request on."""
    from omni.server.keys import ApiKeys

    ApiKeys(Home.from_environment().ensure().keys).revoke(name)
    if as_json:
        print_json({"name": name, "revoked": True})
    else:
        click.echo(f"{name} is no key any more.")
