"""`omni pull`: fetch a brain."""

from typing import TYPE_CHECKING

import click

from omni.cli.session import with_services

if TYPE_CHECKING:
    from omni.app import Services


@click.command("pull")
@click.argument("brains", nargs=-1, required=True, metavar="BRAIN...")
@click.option("--json", "as_json", is_flag=True, help="Print the events, one JSON object a line.")
def command(brains: tuple[str, ...], as_json: bool) -> None:
    """Download a brain, verified and resumable.

    BRAIN is a name from `omni ls`, `hf.co/OWNER/REPO[:QUANT]`, a URL, a GGUF file, a folder of them, or a folder that
    `omni export` wrote. An interrupted download goes on where it stopped.
    """

    async def work(services: "Services") -> None:
        for name in brains:
            await fetch(services, name, as_json=as_json)

    with_services(work)


async def fetch(services: "Services", name: str, *, as_json: bool = False) -> None:
    """Pull one brain and show it."""
    import msgspec

    from omni.cartridges import PullDone, PullProgress, PullStarted, PullVerifying
    from omni.cli.progress import Progress

    progress = Progress()
    try:
        async for event in services.pull(name):
            if as_json:
                click.echo(msgspec.json.encode(event, enc_hook=str).decode())
                continue
            match event:
                case PullProgress(done=done, total=total, rate=rate, seconds_left=left):
                    progress.show(name, done, total, rate, left)
                case PullVerifying(done=done, total=total):
                    progress.show(f"{name}  checking", done, total)
                case PullStarted():
                    pass
                case PullDone(brain=brain):
                    progress.end(f"{brain.name} is here: {brain.verified or 'not verified by us'}.")
    finally:
        progress.end()
