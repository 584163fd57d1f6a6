"""`omni show`: all that is known about one brain."""

from typing import TYPE_CHECKING

import click

from omni.cli.names import BRAIN
from omni.cli.session import offline_services
from omni.cli.table import print_facts, print_json
from omni.core.words import size_words

if TYPE_CHECKING:
    from omni.app import Services
    from omni.cartridges import Brain
    from omni.hardware import Fit


@click.command("show")
@click.argument("brain", type=BRAIN)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--verify", is_flag=True, help="Read the whole file and compare its sha256.")
def command(brain: str, as_json: bool, verify: bool) -> None:
    """Show what is known about a brain."""

    async def work(services: "Services") -> None:
        from omni.cli.ls import facts

        if verify:
            await check(services, brain)
        shown = await services.library.get(brain)
        expected = shown.askable or shown.state == "available"
        fit = await services.fit(shown) if expected else None
        if as_json:
            print_json(facts(shown, fit))
            return
        header = shown.base.header if shown.base else None
        print_facts(
            (
                ("brain", shown.name + (f"  {shown.title}" if shown.title else "")),
                ("", shown.summary),
                ("state", shown.state + (f": {shown.reason}" if shown.reason else "")),
                ("mend it", shown.command),
                ("shares", f"the file of {shown.shares}" if shown.shares else ""),
                ("adapter", f"{shown.adapter.path}, scale {shown.adapter.scale:g}" if shown.adapter else ""),
                ("base", f"{header.name or header.architecture} ({header.architecture})" if header else ""),
                ("quantisation", shown.quantisation),
                ("size", f"{'about ' if shown.size_is_estimate else ''}{size_words(shown.size)}" if shown.size else ""),
                ("licence", shown.licence or "unknown"),
                ("context", f"{shown.context_max:,} tokens at most" if shown.context_max else ""),
                ("template", template(shown)),
                ("can", shown.can),
                ("vision", sight(shown)),
                ("drafts", drafts(shown)),
                ("makes", makes(shown)),
                ("memory", memory(fit) if fit else ""),
                (
                    "speed",
                    speed(fit.speed, measured=fit.measured)
                    if fit and fit.speed and (shown.usable or not shown.askable)
                    else "",
                ),
                ("file", str(shown.base.path) if shown.base else ""),
                ("sha256", (shown.base.sha256 or "not computed") if shown.base else ""),
                ("verified", shown.verified),
                ("prompt", shown.prompt),
            )
        )

    offline_services(work)


def template(brain: "Brain") -> str:
    """That its file's own cannot be read, where another one is used instead."""
    if brain.base is None or not brain.base.template or not brain.base.header.template_fault:
        return ""
    return f"that of its family; the file's own cannot be read ({brain.base.header.template_fault})"


def drafts(brain: "Brain") -> str:
    """The layers that predict what comes after the next token, by its header."""
    layers = brain.base.header.draft_layers if brain.base else 0
    return f"{layers} {'layer' if layers == 1 else 'layers'} of its own for tokens ahead (MTP)" if layers else ""


def makes(brain: "Brain") -> str:
    """What it is for, where it answers nobody."""
    if brain.reranks:
        return "ranks of texts, at /v1/rerank"
    width = brain.base.header.width if brain.base else 0
    return f"vectors of {width} numbers, at /v1/embeddings and by `omni embed`" if brain.embeds else ""


def sight(brain: "Brain") -> str:
    """What it sees with, or why it does not although something lies there for it."""
    if brain.base is None:
        return ""
    if brain.base.projector is not None:
        return f"images, with {brain.base.projector.path} ({size_words(brain.base.projector.size)})"
    return f"nothing: {brain.base.blind}" if brain.base.blind else ""


def memory(fit: "Fit") -> str:
    """How much a brain takes here, and why."""
    if not fit.fits:
        return f"too large for this machine: {fit.why}"
    return f"{size_words(fit.memory)} with {fit.context:,} tokens of context: {fit.why}"


def speed(tokens: float, *, measured: bool) -> str:
    """ "131 tok/s measured here" or "about 28 tok/s expected"."""
    return f"{tokens:.0f} tok/s measured here" if measured else f"about {tokens:.0f} tok/s expected"


async def check(services: "Services", name: str) -> None:
    """Read the file of a brain whole; raises BadFile when it is not what it was."""
    from omni.cartridges import PullStatus, Verified, begin_verify
    from omni.cli.progress import Progress, watch

    progress = Progress()
    job = begin_verify(services.jobs, services.verify, name)
    match await watch(job, PullStatus(name=name, kind="verify"), progress):
        case Verified(detail=detail):
            progress.end(f"{name}: {detail}")
