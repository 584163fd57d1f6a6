"""`omni pull`: fetch a brain."""

from typing import TYPE_CHECKING

import click

from omni.cli.names import BRAIN
from omni.cli.say import tell
from omni.cli.session import resumable

if TYPE_CHECKING:
    from omni.app import Services
    from omni.cartridges import Brain


@click.command("pull")
@click.argument("brains", type=BRAIN, nargs=-1, required=True, metavar="BRAIN...")
@click.option("--base", type=BRAIN, default="", metavar="BRAIN", help="The brain that an adapter (a LoRA) goes on.")
@click.option("--json", "as_json", is_flag=True, help="Print the events, one JSON object a line.")
def command(brains: tuple[str, ...], base: str, as_json: bool) -> int:
    """Download a brain, verified and resumable.

    BRAIN is a name from `omni ls`, `hf.co/OWNER/REPO[:QUANT]`, a URL, a GGUF file, a folder of them, or a folder that
    `omni export` wrote. An interrupted download goes on where it stopped. A file that is an adapter only goes on the
    brain that it was made for, which must be here: the one that it names, or that --base does.

    With --json what goes wrong is the last line on stdout, too, as with `omni chat --json`.
    """

    async def work(services: "Services") -> None:
        for name in brains:
            await fetch(services, name, base=base, as_json=as_json)

    return resumable(work, as_json=as_json)


async def fetch(services: "Services", name: str, *, base: str = "", as_json: bool = False) -> None:
    """Pull one brain and show it."""
    from functools import partial

    from omni.cartridges import PullDone, PullStatus, begin_pull
    from omni.cli.progress import Progress, watch

    progress = Progress()
    job = begin_pull(services.jobs, partial(services.pull, base=base), name)
    match await watch(job, PullStatus(name=name), progress, as_json=as_json):
        case PullDone(brain=brain, fresh=fresh, remark=remark) if not as_json:
            here = "is here" if fresh else "was here already"
            progress.end(f"{brain.name} {here} ({brain.verified or 'not verified by us'}).")
            if remark:
                tell(remark)
            if brain.reason and not brain.askable:
                tell(f"it cannot be asked: {brain.reason}" + (f"; {brain.command}" if brain.command else ""))
            if brain.usable and brain.adapter is None:
                await _offer_smaller(services, brain)


async def _offer_smaller(services: "Services", brain: "Brain") -> None:
    """Name what brings a smaller one, where a brain is too large or too slow as it is; at a terminal make it, on consent."""
    from omni.cli.asking import agrees
    from omni.cli.quantise import run_quantise
    from omni.hardware import PLEASANT

    fit = await services.fit(brain)
    if fit is None or (fit.fits and (not brain.unquantised or fit.speed is None or fit.speed >= PLEASANT)):
        return
    why = "does not fit here" if not fit.fits else f"answers with about {fit.speed:.0f} tokens a second here"
    if not brain.unquantised:
        other = brain.name.rpartition(":")[0] if brain.name.startswith("hf.co/") else ""
        way = f"`omni pull {other}` takes one that fits" if other else "`omni ls` shows which ones do"
        tell(f"in {brain.quantisation} it {why}; {way}")
        return
    tell(f"in {brain.quantisation} it {why}; `omni quantise {brain.name}` makes it smaller and says what that costs")
    if _can_quantise(services) and await agrees("Make it smaller now?"):
        await run_quantise(services, brain)


def _can_quantise(services: "Services") -> bool:
    from omni.core.errors import OmniError
    from omni.runtimes import engine_with_tools

    try:
        engine_with_tools(services.runtimes)
    except OmniError:
        return False
    return True
