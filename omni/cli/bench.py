"""`omni bench`: Omni beside the Ollama and the llama-server that are installed here, in one table."""

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from omni.cli.names import BRAIN
from omni.cli.overriding import with_gpu
from omni.cli.say import tell
from omni.cli.session import with_services
from omni.cli.table import print_json, print_table
from omni.core.paths import Home
from omni.core.words import size_words

if TYPE_CHECKING:
    from omni.app import Services
    from omni.bench import BenchResult, Contestant, Outside
    from omni.cartridges import Base, Brain

HEAD = ("", "version", "prompt tok/s", "answer tok/s", "first word", "memory")
BUSY = 0.5  # of the cores: above it the figures are of a machine that does something else, too
CONTEXT = 4096


@click.command("bench")
@click.argument("brain", type=BRAIN, default="")
@click.option("--rounds", type=click.IntRange(1, 50), default=3, show_default=True, help="How often each is asked.")
@click.option("--tokens", type=click.IntRange(8, 2048), default=64, show_default=True, help="Longest answer.")
@click.option(
    "--llama-server",
    "server",
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE",
    help="The llama-server to ask; default: the one on the PATH.",
)
@click.option(
    "--import",
    "imports",
    is_flag=True,
    help="Let Ollama copy the file into its own store, as it must, and have it taken out again.",
)
@with_gpu
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with every round.")
def command(  # noqa: PLR0917 - click hands over what the options are
    brain: str, rounds: int, tokens: int, server: str | None, imports: bool, as_json: bool
) -> None:
    """Measure Omni beside Ollama and llama-server, here.

    All get the same file and the same prompts, in turns: one that does not count, then ROUNDS. Each prompt begins otherwise, so
    that nobody has read it before. The table has the best round, and the median in brackets. Memory is what is in RAM of the
    processes that hold the brain, the file that they map included. All of them hold it at once.

    llama-server is started on a Unix socket, with its own settings for everything but context and slots. Ollama is asked by its
    own command, so that its server must run: its first word is counted from the start of that command, and it writes the prompt
    by a template of its own. What is not installed is said. Nothing is sent to another machine.
    """
    home = Home.from_environment().ensure()
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=home.ensure_sockets()))
    outside = None
    try:
        reason = why_no_ollama(home)
        if not reason:
            from omni.bench import Outside

            outside = Outside(shutil.which("ollama") or "ollama", folder)  # before the wall

        async def work(services: "Services") -> None:
            from omni.cli.brains import brain_to_ask

            chosen = await brain_to_ask(services, brain)
            assert chosen.base is not None
            contestants = [
                await ours(services, chosen),
                llama_server(server, chosen.base, folder),
                beside(outside, reason, chosen, tokens=tokens, imports=imports),
            ]
            await measure(chosen, contestants, rounds=rounds, tokens=tokens, as_json=as_json)

        with_services(work)
    finally:
        if outside is not None:
            outside.close()
        shutil.rmtree(folder, ignore_errors=True)


def why_no_ollama(home: Home) -> str:
    """Why none is asked, whatever the brain is."""
    from omni.bench import not_asked

    if shutil.which("ollama") is None:
        return "not installed: there is no `ollama` on the PATH"
    if home.air_gap.exists():
        return "not asked: the air gap is on, and its command speaks to a port"
    return not_asked(os.environ)


async def ours(services: "Services", brain: "Brain") -> "Contestant":
    """Omni's own engine for it."""
    import asyncio

    from omni import __version__
    from omni.bench import Ours
    from omni.runtimes import Runtimes

    engines = await services.engines()
    runtime = await asyncio.to_thread(Runtimes(services.home).get, engines.choice(brain).runtime)

    async def workers() -> list[int]:
        base = brain.base.id if brain.base else ""
        return [one.pid for one in await engines.loaded() if one.base == base]

    return Ours(
        await services.open(brain), version=f"{__version__} ({runtime.name} {runtime.version})", workers=workers
    )


def llama_server(binary: str | None, base: "Base", folder: Path) -> "Contestant":
    """The one that was named, else the one on the PATH."""
    from omni.bench import Absent, LlamaServer

    if (path := binary or shutil.which("llama-server")) is None:
        return Absent(LlamaServer.name, "not installed: there is no `llama-server` on the PATH")
    return LlamaServer(os.path.abspath(path), base.path, folder, context=CONTEXT, environment=os.environ)


def beside(outside: "Outside | None", reason: str, brain: "Brain", *, tokens: int, imports: bool) -> "Contestant":
    """Ollama with this brain, where it has it or may copy it."""
    from omni.bench import Absent, Ollama

    base = brain.base
    if outside is None or base is None:
        return Absent(Ollama.name, reason)
    if base.origin == "ollama":
        return Ollama(outside, brain.name, context=CONTEXT, tokens=tokens, imports=False)
    if not imports:
        size = size_words(base.size)
        return Absent(
            Ollama.name, f"not asked: it would copy this file into its store ({size}); --import lets it, for now"
        )
    if len(base.parts) > 1:
        return Absent(Ollama.name, "not asked: it takes no model that is in several files")
    return Ollama(outside, base.path, context=CONTEXT, tokens=tokens, imports=True)


async def measure(brain: "Brain", contestants: "list[Contestant]", *, rounds: int, tokens: int, as_json: bool) -> None:
    """Ask all of them, and print what came of it."""
    from omni.bench import Absent, compete
    from omni.hardware import available_memory

    load = [os.getloadavg()[0]]
    cores = os.cpu_count() or 1
    if load[0] > BUSY * cores:
        tell(f"the machine is busy (load {load[0]:.1f} on {cores} cores): the figures are lower than they could be")
    room, asked = available_memory(), [one for one in contestants if not isinstance(one, Absent)]
    if brain.size * len(asked) > room:
        tell(f"{len(asked)} programs load {size_words(brain.size)} each, and {size_words(room)} of memory are free")
    try:
        outcomes = await compete(contestants, rounds=rounds, tokens=tokens, told=tell)
    finally:
        for one in contestants:
            await one.close()
    load.append(os.getloadavg()[0])
    if as_json:
        print_json(document(brain, outcomes, load=load, cores=cores))
        return
    said = "1 round" if rounds == 1 else f"{rounds} rounds"
    click.echo(f"{brain.name}: {size_words(brain.size)}, {brain.quantisation}; {said}, answers of {tokens} tokens\n")
    print_table(HEAD, [row(one) for one in outcomes if one.rounds], right=HEAD[2:])
    for outcome in outcomes:
        if outcome.reason:
            click.echo(f"{outcome.name}: {outcome.reason}")
    click.echo(f"\nLoad of the machine: {load[0]:.1f} before, {load[1]:.1f} after, on {cores} cores.")


def row(outcome: "BenchResult") -> tuple[str, ...]:
    """One contestant as the cells of the table."""
    best, middle = outcome.best, outcome.median
    assert best is not None
    assert middle is not None
    return (
        outcome.name,
        outcome.version,
        f"{best.prompt_speed:.1f} ({middle.prompt_speed:.1f})",
        f"{best.answer_speed:.1f} ({middle.answer_speed:.1f})",
        f"{best.first_token:.2f} s ({middle.first_token:.2f})",
        size_words(outcome.memory) if outcome.memory else "",
    )


def document(brain: "Brain", outcomes: "list[BenchResult]", *, load: list[float], cores: int) -> dict[str, object]:
    """The same for programs; the names stay from version to version."""
    import msgspec

    return {
        "brain": brain.name,
        "file": brain.base.path if brain.base else None,
        "size": brain.size,
        "quantisation": brain.quantisation,
        "cores": cores,
        "load": load,
        "contestants": [
            msgspec.to_builtins(one)
            | {"best": msgspec.to_builtins(one.best), "median": msgspec.to_builtins(one.median)}
            for one in outcomes
        ],
    }
