"""`omni ls`: what is here and what can be had."""

from typing import TYPE_CHECKING

import click

from omni.cli.session import offline_services
from omni.cli.table import Row, print_explained, print_groups, print_json
from omni.core.errors import NotFound
from omni.core.words import size_words

if TYPE_CHECKING:
    from omni.app import Services
    from omni.cartridges import Brain
    from omni.hardware import Fit

HEAD = ("brain", "size", "context", "speed", "licence", "good for")
OURS = ("blob", "file", "")  # where brains lie that nobody else keeps
STORES = {"ollama": "Ollama", "lm studio": "LM Studio", "hugging face": "the Hugging Face cache", "folder": "a folder"}


@click.command("ls")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--here", is_flag=True, help="Only what is on this machine.")
def command(as_json: bool, here: bool) -> None:
    """List the brains that are here and those that can be had.

    Sizes are in powers of ten. Speeds are in tokens a second: measured on this machine, or with `~` what to expect of
    it. Brains that share a file with another take no room of their own.
    """

    async def work(services: "Services") -> None:
        import asyncio

        await asyncio.gather(services.library.scan(), services.measured_hardware())
        brains = [brain for brain in await services.library.brains() if not (here and brain.state == "available")]
        budget = await services.budget()
        fits = {brain.name: await services.fit(brain, budget) for brain in brains}
        default = await default_name(services)
        if as_json:
            print_json([facts(brain, fits[brain.name]) | {"default": brain.name == default} for brain in brains])
            return
        if not any(brain.state != "available" for brain in brains):
            click.echo("No brain is here yet. `omni pull @omni/smollm2` fetches the starter (98 MB).", err=True)
        if not brains:
            return
        groups: dict[str, list[Row]] = {}
        for brain in sorted(brains, key=_order):
            if not no_use(brain):
                groups.setdefault(group(brain), []).append(row(brain, fits[brain.name], default=brain.name == default))
        print_groups(HEAD, groups, right=("size", "context", "speed"))
        print_explained("Here, but cannot be asked:", [(brain.name, why(brain)) for brain in brains if no_use(brain)])

    offline_services(work)


async def default_name(services: "Services") -> str:
    """Whom `omni chat` asks; "" when nobody is here."""
    try:
        return (await services.default_brain()).name
    except NotFound:
        return ""


def no_use(brain: "Brain") -> bool:
    """Whether it is here and can be asked for nothing."""
    return brain.state != "available" and not brain.askable


def why(brain: "Brain") -> tuple[str, str]:
    """Why it cannot be used, with where it is; and what helps."""
    place = "" if brain.origin in OURS else f" ({STORES.get(brain.origin, brain.origin)})"
    reason = f"{brain.state}: {brain.reason.rstrip('.')}" if brain.reason else brain.state
    return f"{reason}{place}.", brain.command


def group(brain: "Brain") -> str:
    """The title that a brain stands under."""
    if brain.state == "available":
        return "Can be pulled:" if brain.makes == "answers" else "Can be pulled, to search with:"
    return "On this machine:" if brain.origin in OURS else f"Found in {STORES.get(brain.origin, brain.origin)}:"


def _order(brain: "Brain") -> tuple[int, str]:
    foreign = brain.state != "available" and brain.origin not in OURS
    return (2 if brain.state == "available" else 1 if foreign else 0, brain.origin if foreign else "")


def row(brain: "Brain", fit: "Fit | None", *, default: bool) -> Row:
    """One brain as the cells of a listing."""
    about = brain.about + (f" (on {brain.shares})" if brain.shares else "")
    return (
        brain.name,
        "" if brain.shares else size_words(brain.size) if brain.size else "",
        context(brain.context_max),
        "" if brain.makes != "answers" and fit is not None and fit.fits else speed(fit),
        brain.licence,
        f"{about}  <- `omni chat`" if default else about,
    )


def context(tokens: int) -> str:
    """ "8k", or of less than a thousand the number itself."""
    return f"{tokens // 1024}k" if tokens >= 1024 else str(tokens or "")


def speed(fit: "Fit | None") -> str:
    """ "131 tok/s", "~28 tok/s", or that it does not fit."""
    if fit is None:
        return ""
    if not fit.fits:
        return "too large"
    return f"{'' if fit.measured else '~'}{fit.speed:.0f} tok/s" if fit.speed else ""


def facts(brain: "Brain", fit: "Fit | None" = None) -> dict[str, object]:
    """One brain for programs; the names stay from version to version."""
    return {
        "name": brain.name,
        "state": brain.state,
        "reason": brain.reason,
        "helps": brain.command,
        "title": brain.title,
        "good_for": brain.good_for,
        "origin": brain.origin,
        "shares": brain.shares,
        "size": brain.size,
        "quantisation": brain.quantisation,
        "context": brain.context_max,
        "vision": brain.vision,
        "embeds": brain.embeds,
        "reranks": brain.reranks,
        "makes": brain.makes,
        "features": list(brain.features),
        "tried": brain.tried,
        "licence": brain.licence,
        "fits": fit.fits if fit else None,
        "memory": fit.memory if fit else None,
        "speed": round(fit.speed, 1) if fit and fit.speed else None,
        "speed_measured": fit.measured if fit else False,
        "path": str(brain.base.path) if brain.base else None,
        "sha256": brain.base.sha256 if brain.base else None,
    }
