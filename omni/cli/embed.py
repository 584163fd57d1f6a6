"""`omni embed`: vectors of texts on stdout, a line each."""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from omni.cli import streams
from omni.cli.names import BRAIN
from omni.cli.overriding import with_gpu
from omni.cli.session import with_services
from omni.core.errors import UsageError

if TYPE_CHECKING:
    from omni.app import Services

TOGETHER = 256  # texts between two looks at what came: what is piped on begins early
DIGITS = 9  # as many as a number of 32 bits has


@click.command("embed")
@click.argument("texts", nargs=-1)
@click.option(
    "--brain",
    "-b",
    type=BRAIN,
    default="",
    metavar="NAME",
    help="The brain that makes them, or a GGUF file; default: the first here that was made for vectors.",
)
@click.option(
    "--file",
    "-f",
    "files",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE",
    help="A text file, whose whole text gets one vector; more than once for several.",
)
@click.option(
    "--dimensions",
    type=click.IntRange(min=1),
    metavar="N",
    help="Only the first N numbers, of length 1 again: for brains that were trained for it.",
)
@with_gpu
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object a line: the text, or its file, and its vector."
)
def command(texts: tuple[str, ...], brain: str, files: tuple[str, ...], dimensions: int | None, as_json: bool) -> None:
    """Print vectors of texts.

    Each of TEXTS gets one, then each FILE; where neither is given, each line of standard input that is not blank. A vector is a
    line of numbers with spaces between them, as numpy.loadtxt reads it, and has length 1. Nothing is cut: a text that is longer
    than the brain reads ends the command with exit code 6.
    """
    given = _named(texts, files)

    async def work(services: "Services") -> None:
        from omni.cli.brains import brain_for_vectors
        from omni.engine import unit_vector

        engine = await services.open(await brain_for_vectors(services, brain), embeddings=True)
        while some := list(islice(given, TOGETHER)):
            vectors = await engine.embed([text for _, text in some])
            for (name, text), whole in zip(some, vectors, strict=True):
                vector = unit_vector(whole, dimensions)
                said = {"file": name} if name else {"text": text}
                click.echo(json.dumps(said | {"embedding": vector}, ensure_ascii=False) if as_json else _row(vector))

    with_services(work)


def _named(texts: tuple[str, ...], files: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """The file of each text, or "", and the text. Raises UsageError where there is none, or nothing in one."""
    named = [("", streams.as_text(text)) for text in texts] + [(file, _read(Path(file))) for file in files]
    if not named:
        named = [("", line) for line in streams.piped_text().splitlines() if line.strip()]
    if not named:
        raise UsageError(
            "There is no text: neither TEXTS nor a FILE, nor a line piped in.", hint='Try `omni embed "the sea"`.'
        )
    for name, text in named:
        if not text.strip():
            raise UsageError(f"{name or 'A text'} is empty.", hint="An empty text has no vector.")
    return iter(named)


def _read(path: Path) -> str:
    from omni.core.errors import BadFile

    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadFile(f"{path} cannot be read: {error.strerror}.") from error
    if b"\0" in data:
        raise BadFile(f"{path} is not text.", hint="Only text has vectors.")
    return data.decode("utf-8-sig", "replace").strip()


def _row(vector: list[float]) -> str:
    return " ".join(f"{value:.{DIGITS}g}" for value in vector)
