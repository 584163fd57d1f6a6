"""`omni quantise`: make a brain smaller, and say what that cost."""

from functools import partial
from typing import TYPE_CHECKING

import click

from omni.cli.names import BRAIN
from omni.cli.say import tell
from omni.cli.session import resumable
from omni.cli.table import print_table
from omni.core.words import size_words

if TYPE_CHECKING:
    from omni.app import Services
    from omni.cartridges import Brain
    from omni.cli.progress import Progress
    from omni.runtimes import QuantisationReport, QuantiseEvent, Target

_STEPS = {
    "predict": "looking how large it gets",
    "weigh": "weighing by the examples",
    "measure before": "measuring the source",
    "quantise": "quantising",
    "measure after": "measuring what came of it",
    "keep": "taking it into the library",
}


@click.command("quantise")
@click.argument("brain", type=BRAIN)
@click.option(
    "--to",
    "target",
    type=click.Choice(["Q4_K_M", "Q5_K_M", "Q8_0", "auto"], case_sensitive=False),
    default="auto",
    show_default=True,
    help="What to make; auto takes the best that fits this machine with room for context.",
)
@click.option("--name", default="", help="What the new brain shall be called.  [default: @me/BRAIN-TYPE]")
@click.option("--allow-requantize", is_flag=True, help="Quantise what is quantised already, and lose more.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print the events, one JSON object a line; the last has the report."
)
def command(brain: str, target: "Target", name: str, allow_requantize: bool, as_json: bool) -> int:
    """Make a brain smaller, and measure what that cost.

    It is made by the tools of an engine that `omni engine build` made, without a network. Quality is measured before and
    after on a text that the brain's cartridge names, else on one that comes with Omni. The brain appears when it is whole;
    interrupted, the same command goes on with the next step.
    """

    async def work(services: "Services") -> None:
        source = await services.library.get(brain)
        await run_quantise(services, source, target, name=name, requantize=allow_requantize, as_json=as_json)

    return resumable(work, as_json=as_json, stopped="with the next step")


async def run_quantise(
    services: "Services",
    source: "Brain",
    target: "Target" = "auto",
    *,
    name: str = "",
    requantize: bool = False,
    as_json: bool = False,
) -> None:
    """Make a brain smaller and print what came of it. Raises as `Quantising.run`, and NotFound without an engine's tools."""
    from omni.cli.progress import Progress, follow
    from omni.runtimes import Quantising, at_once, begin_quantise, engine_with_tools

    if target == "auto":
        await services.measured_hardware()  # what is worth its size depends on how quick it will be
    quantising = Quantising(
        services.home,
        services.library,
        engine_with_tools(services.runtimes),
        await services.budget(),
        brain=source,
        target=target,
        name=name,
        requantize=requantize,
        cores=at_once(),
    )
    job, progress = begin_quantise(services.jobs, quantising), Progress()
    await follow(job, partial(_show, progress=progress, as_json=as_json), progress)


def _show(event: "QuantiseEvent", progress: "Progress", *, as_json: bool) -> None:
    import msgspec

    from omni.runtimes import QuantiseDone, QuantiseProgress, QuantiseStarted

    if as_json:
        click.echo(msgspec.json.encode(event).decode())
        return
    match event:
        case QuantiseStarted():
            source = event.source
            tell(
                f"{source.brain} ({source.quantisation}, {size_words(source.size)}) to {event.target}: "
                f"{size_words(event.size)}, {size_words(event.memory)} of memory with {event.context:,} tokens of context"
                + ("" if event.fits else ", which does not fit here")
            )
            if source.lost:
                tell(f"of the source: {source.lost}")
        case QuantiseProgress(step=step, done=done, total=total):
            progress.line(_STEPS[step] + (f"  {done * 100 // total} %" if total else ""))
        case QuantiseDone(report=report, path=path):
            progress.end()
            _print(report, path)


def _print(report: "QuantisationReport", path: str) -> None:
    click.echo(f"{report.name} is here: {size_words(report.size)} instead of {size_words(report.source.size)}.\n")
    print_table(
        ("tensors", "name", "row", "type", ""),
        [
            (
                str(each.count),
                each.name,
                f"{each.row:,}",
                each.type,
                "fell back: its rows are no multiple of 256" if each.fell_back else "",
            )
            for each in report.tensors
        ],
        right=("tensors", "row"),
    )
    click.echo()
    if report.before is not None and report.after is not None and report.divergence is not None:
        away, text = report.divergence, "a text of its cartridge" if report.text.own else "a text that comes with Omni"
        click.echo(f"Measured on {text}:")
        click.echo(f"  perplexity {report.before.value:.3f} ± {report.before.error:.3f} before, ", nl=False)
        click.echo(f"{report.after.value:.3f} ± {report.after.error:.3f} after")
        click.echo(f"  KL divergence {away.mean:.5f} ± {away.error:.5f} (99 of 100 below {away.p99:.3f})")
        click.echo(f"  the likeliest token is the same in {away.same_top:.1f} of 100 places")
        click.echo("The same figures again:")
        for line in report.commands:
            click.echo(f"  {line}")
    else:
        click.echo(f"Quality was not measured: {report.unmeasured}.")
    click.echo(f"The report: {path}")
