"""Makes a brain smaller, and measures what that cost: `omni quantise`.

The tools are those of an engine that was built here. Each step leaves one file in a folder of its own, which gets its name when it is
whole, so that an interrupted quantisation goes on with the next step. The brain appears in the library by the library's own hand.
"""

import asyncio
import hashlib
import re
import shutil
import time
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

from omni.cartridges import making, read_header, read_tensors, was_quantised
from omni.core.errors import BadFile, EngineError, NotFound, OmniError, UsageError
from omni.core.files import make_folder, require_space, storing, sync, write_atomic
from omni.core.paths import Home, resources
from omni.core.words import size_words
from omni.hardware import BaseFacts, available_memory
from omni.runtimes.confined import ToolFailed, run_confined
from omni.runtimes.quality import Divergence, Perplexity, divergence, groups, perplexity
from omni.runtimes.quantisation import (
    HeldText,
    QuantisationReport,
    QuantiseDone,
    QuantisedSource,
    QuantiseEvent,
    QuantiseProgress,
    QuantiseStarted,
    Step,
    Target,
)
from omni.runtimes.registry import Runtimes
from omni.runtimes.runtime import Runtime

if TYPE_CHECKING:
    from omni.cartridges import Brain, Library
    from omni.hardware import Budget, Fit
    from omni.jobs import Job, Jobs

TARGETS: tuple[Target, ...] = ("Q8_0", "Q5_K_M", "Q4_K_M")  # from the best on
TOOLS = ("quantize", "imatrix", "perplexity")
CONTEXT = 512  # tokens that a text is read by
CHUNKS = 8  # of them at most: a file of likelihoods takes 25 to 80 MB for each

_WEIGHTS, _WEIGHED = "imatrix.gguf", "-weighed"  # the file, and what the name of one says that was made with it
_TILES = re.compile(r"^\[\s*(\d+)/\s*(\d+)\]")
_CHUNK = re.compile(r"^\[(\d+)\]")
_CHUNKS = re.compile(r"over (\d+) chunks")
_PREDICTED = re.compile(r"quant size\s*=\s*([\d.]+) MiB")
_SUFFIX = re.compile(r"[-._](f16|bf16|f32|q\d\w*|iq\d\w*)$", re.IGNORECASE)
_COMPLAINT = re.compile(r"you need at least|tokenizes to only")


class _ChosenTarget(NamedTuple):
    target: str
    size: int
    fit: "Fit"


def engine_with_tools(runtimes: Runtimes) -> Runtime:
    """An engine whose tools can quantise, checked against what was added. Raises NotFound where none is here, BadFile."""
    for runtime in runtimes.usable():
        if set(TOOLS) <= set(runtime.tools):
            runtimes.check(runtime)
            return runtime
    raise NotFound(
        "No engine here has the tools to quantise.",
        hint="`omni engine build` makes them: 77 MB to fetch, about nine minutes on two cores.",
    )


class Quantising:
    """One brain to be made smaller, as `name`. `budget` says what fits; `requantize` lets a source be quantised
    itself; quality is measured on at most `chunks` pieces of 512 tokens of the held text."""

    def __init__(
        self,
        home: Home,
        library: "Library",
        runtime: Runtime,
        budget: "Budget",
        *,
        brain: "Brain",
        target: Target,
        name: str = "",
        requantize: bool = False,
        cores: int = 1,
        chunks: int = CHUNKS,
    ) -> None:
        self._home, self._library, self._runtime, self._budget = home, library, runtime, budget
        self._brain, self._target, self._requantize, self._cores = brain, target, requantize, cores
        self._name, self._chunks = name, chunks
        self.log = home.logs / "quantise.log"
        self._seconds: dict[str, float] = {}

    @property
    def about(self) -> str:
        """The name of the source."""
        return self._brain.name

    async def run(self) -> AsyncGenerator[QuantiseEvent, None]:
        """Do it; closing the iterator ends the tool, and what was finished stays for the next time.

        Raises UsageError for a brain or a name that cannot be used and while another one does the same, StorageError,
        BadFile, ToolFailed with the last lines of a tool.
        """
        source = await asyncio.to_thread(self._source)
        await self._tidy()
        examples, held = await self._library.texts(self._brain.shares or self._brain.name)
        text = held or resources("cartridges") / "held.txt"
        work = await asyncio.to_thread(self._folder, examples, text)
        lock = making(self._home, work)
        if not await asyncio.to_thread(lock.__enter__):
            raise UsageError("The same quantisation is being made by another Omni.", hint="`omni ps` lists it.")
        try:
            await asyncio.to_thread(self._prepare, work, text)
            yield QuantiseProgress(step="predict")
            try:
                chosen = await self._choose(source, work)
                name = await self._free_name(chosen.target)
            except OmniError:
                await asyncio.to_thread(_remove_unbegun, work)
                raise
            yield QuantiseStarted(
                name=name,
                source=source,
                target=chosen.target,
                size=chosen.size,
                memory=chosen.fit.memory,
                context=chosen.fit.context,
                fits=chosen.fit.fits,
            )
            async with aclosing(self._make(source, chosen, work, examples)) as steps:
                async for step in steps:
                    yield step
            yield QuantiseProgress(step="keep")
            done = await asyncio.to_thread(self._report, source, chosen, name, work, examples, own=held is not None)
            await self._library.adopt(_model(work, chosen.target), name, self._brain)
            await asyncio.to_thread(shutil.rmtree, work, ignore_errors=True)
            yield done
        finally:
            await asyncio.to_thread(lock.__exit__, None, None, None)

    async def _tidy(self) -> None:
        """Remove the work of those that were killed when their brain was in the library already."""
        here = {brain.base.path for brain in await self._library.brains() if brain.base is not None}
        await asyncio.to_thread(_remove_finished, self._home, here)

    def _source(self) -> QuantisedSource:
        brain = self._brain
        if brain.base is None or not brain.usable:
            raise UsageError(
                f"{brain.name} cannot be quantised: {brain.reason or 'it is not on this machine'}.",
                hint=brain.command or f"omni pull {brain.name}",
            )
        if brain.adapter is not None:
            raise UsageError(
                f"{brain.name} has an adapter, and a quantisation carries none.",
                hint=f"Quantise its base: omni quantise {brain.shares or 'BASE'}",
            )
        kind, path = brain.base.header.quantisation, Path(brain.base.path)
        lost = ""
        if not brain.unquantised:
            if not self._requantize:
                raise UsageError(
                    f"{brain.name} is quantised already ({kind}): what that lost stays lost, and more is lost on top.",
                    hint="--allow-requantize does it all the same. Better: an F16 or BF16 of the same model.",
                )
            lost = f"it is quantised itself ({kind})"
        elif was_quantised(path):
            lost = "it was quantised once: its numbers lie on grids, and what that lost is not in them"
        return QuantisedSource(brain=brain.name, path=str(path), quantisation=kind, size=brain.base.size, lost=lost)

    def _folder(self, examples: Path | None, text: Path) -> Path:
        """Where the steps leave their files: named by all that decides what comes of them."""
        assert self._brain.base is not None
        parts = [self._brain.base.id, self._target, self._runtime.key, _sha256(text), str(self._chunks)]
        parts += [_sha256(examples)] if examples else []
        key = hashlib.sha256("|".join(parts).encode()).hexdigest()[:24]
        return self._home.cartridges / "pulls" / f"quantise-{key}"

    def _prepare(self, work: Path, text: Path) -> None:
        """Make the folder. The text is copied into it: it may be changed meanwhile."""
        with storing(work):
            make_folder(work)
            write_atomic(work / "state.json", msgspec.json.encode({"name": f"{self.about} to {self._target}"}))
            write_atomic(work / "held.txt", text.read_bytes())

    async def _choose(self, source: QuantisedSource, work: Path) -> _ChosenTarget:
        """The quantisation that is made, how large it gets by the tool's own count, and how it fits."""
        targets: Sequence[str] = TARGETS if self._target == "auto" else (self._target,)
        sizes = {target: await self._predicted(source, target, work) for target in targets}
        target = self._target if self._target != "auto" else self._budget.quantisation(sizes)
        if target is None:
            raise UsageError(
                f"No quantisation of {source.brain} fits here: the smallest ({targets[-1]}) has "
                f"{size_words(sizes[targets[-1]])} of weights, and they may take {size_words(self._budget.weights)}.",
                hint="Choose a smaller brain: omni ls",
            )
        if sizes[target] >= source.size:
            raise UsageError(
                f"{target} of {source.brain} would have {size_words(sizes[target])}, and {source.quantisation} has "
                f"{size_words(source.size)}: nothing is won.",
                hint="Choose a smaller one.",
            )
        need = sizes[target] + (0 if (work / "base.kld").exists() else self._chunks * self._likelihoods())
        await asyncio.to_thread(require_space, work, need)
        return _ChosenTarget(target, sizes[target], self._budget.fit(self._facts(sizes[target])))

    async def _predicted(self, source: QuantisedSource, target: str, work: Path) -> int:
        assert self._brain.base is not None
        more = ["--allow-requantize"] if self._requantize else []
        said = [piece async for piece in self._tool("quantize", [*more, "--dry-run", source.path, target], work)]
        for piece in said:
            if match := _PREDICTED.search(piece):
                header = self._brain.base.header
                return int(float(match[1]) * (1 << 20)) + max(0, header.file_bytes - header.weights_bytes)
        raise EngineError("llama-quantize did not tell how large it gets.", hint=f"Its words are in {self.log}.")

    def _facts(self, size: int) -> BaseFacts:
        from omni.cartridges import base_facts

        assert self._brain.base is not None
        return msgspec.structs.replace(base_facts(self._brain.base), id="", weights_bytes=size, active_bytes=0)

    def _likelihoods(self) -> int:
        """Bytes that the likelihoods of one piece of text take."""
        assert self._brain.base is not None
        return (self._brain.base.header.rows or self._brain.base.header.tokens) * CONTEXT

    async def _free_name(self, target: str) -> str:
        """What the new brain is called. Raises UsageError for a name that is taken or none."""
        plain = _SUFFIX.sub("", self._brain.name.rpartition("/")[2].removesuffix(".gguf").lower())
        name = self._name or f"@me/{re.sub('[^a-z0-9._-]+', '-', plain).strip('-._')}-{target.lower()}"
        if not re.fullmatch(r"@[a-z0-9][a-z0-9_-]*/[a-z0-9][a-z0-9._-]{0,70}", name):
            raise UsageError(f"{name!r} is no name of a brain.", hint="Give one like --name @me/small.")
        if name in {brain.name for brain in await self._library.brains()}:
            raise UsageError(f"A brain named {name} is here.", hint=f"`omni rm {name}`, or choose another --name.")
        return name

    async def _make(
        self, source: QuantisedSource, chosen: _ChosenTarget, work: Path, examples: Path | None
    ) -> AsyncGenerator[QuantiseEvent, None]:
        """The steps, each of which leaves a file. A source that does not fit into memory is quantised, and not read."""
        fits = await asyncio.to_thread(available_memory) > source.size
        if fits and examples is not None:
            async with aclosing(self._weigh(source, examples, work)) as events:
                async for event in events:
                    yield event
        model = _model(work, chosen.target)
        steps: list[AsyncGenerator[QuantiseEvent, None]] = [self._quantise(source, chosen.target, work, model)]
        if fits:
            steps.insert(0, self._measure("measure before", source.path, work, work / "before.json"))
            steps.append(self._measure("measure after", str(model), work, model.with_suffix(".json")))
        for step in steps:
            async with aclosing(step) as events:
                async for event in events:
                    yield event

    def _report(
        self, source: QuantisedSource, chosen: _ChosenTarget, name: str, work: Path, examples: Path | None, *, own: bool
    ) -> QuantiseDone:
        """Write what came of it, before the brain appears: a brain without its report would be made again by nobody."""
        model = _model(work, chosen.target)
        header, figures = read_header(model), model.with_suffix(".json")
        kept = self._home.quantised / f"{name.removeprefix('@').replace('/', '-')}.txt"
        write_atomic(kept, (work / "held.txt").read_bytes())
        before = after = moved = None
        commands, unmeasured = tuple[str, ...](), ""
        if figures.exists():
            before = msgspec.json.decode((work / "before.json").read_bytes(), type=Perplexity)
            after, moved = msgspec.json.decode(figures.read_bytes(), type=tuple[Perplexity, Divergence])
            commands = self._commands(source.path, str(self._home.blobs / f"sha256-{_sha256(model)}"), kept)
        else:
            unmeasured = f"{size_words(source.size)} of weights did not fit into the memory that was free"
        fit = self._budget.fit(self._facts(header.file_bytes))
        report = QuantisationReport(
            name=name,
            source=source,
            target=chosen.target,
            size=header.file_bytes,
            memory=fit.memory,
            context=fit.context,
            weighed_by=str(examples) if model.stem.endswith(_WEIGHED) else "",
            text=HeldText(path=str(kept), sha256=_sha256(kept), own=own),
            before=before,
            after=after,
            divergence=moved,
            unmeasured=unmeasured,
            tensors=groups(read_tensors(model), chosen.target),
            engine=f"{self._runtime.name} {self._runtime.version}".strip(),
            commands=commands,
            seconds={step: round(seconds, 1) for step, seconds in self._seconds.items()},
        )
        path = kept.with_suffix(".json")
        write_atomic(path, msgspec.json.format(msgspec.json.encode(report), indent=2))
        return QuantiseDone(report=report, path=str(path))

    async def _weigh(self, source: QuantisedSource, examples: Path, work: Path) -> AsyncGenerator[QuantiseEvent, None]:
        arguments = ["-m", source.path, "-f", str(examples), "-c", str(CONTEXT // 2), "--no-ppl", *self._threads()]
        async with aclosing(self._step("weigh", "imatrix", work, _WEIGHTS, before=[*arguments, "-o"])) as events:
            async for event in events:
                yield event

    async def _quantise(
        self, source: QuantisedSource, target: str, work: Path, model: Path
    ) -> AsyncGenerator[QuantiseEvent, None]:
        more = ["--allow-requantize"] if self._requantize else []
        more += ["--imatrix", str(work / _WEIGHTS)] if model.stem.endswith(_WEIGHED) else []
        making = self._step(
            "quantise", "quantize", work, model.name, before=[*more, source.path], after=[target, str(self._cores)]
        )
        async with aclosing(making) as events:
            async for event in events:
                yield event

    async def _measure(
        self, step: Literal["measure before", "measure after"], model: str, work: Path, result: Path
    ) -> AsyncGenerator[QuantiseEvent, None]:
        """Read the held text, and keep the figures; before, also all likelihoods, to compare with."""
        first, base = step == "measure before", work / "base.kld"
        if await asyncio.to_thread(lambda: result.exists() and (not first or base.exists())):
            return
        said: list[str] = []
        arguments = self._reading(model, work / "held.txt", work / "part-base.kld" if first else base, first=first)
        async with aclosing(self._told(step, "perplexity", arguments, work, said)) as events:
            async for event in events:
                yield event
        figures = perplexity(said) if first else divergence(said)
        if first:
            await asyncio.to_thread(_finish, work / "part-base.kld", base)
        await asyncio.to_thread(write_atomic, result, msgspec.json.encode(figures))

    def _reading(self, model: str, text: Path, base: Path, *, first: bool) -> list[str]:
        """How llama-perplexity is called: with the same words each time, so that its figures are the same."""
        read = ["-f", str(text), "--chunks", str(self._chunks)] if first else ["--kl-divergence"]
        return ["-m", model, "-c", str(CONTEXT), *self._threads(), *read, "--kl-divergence-base", str(base)]

    def _commands(self, source: str, model: str, text: Path) -> tuple[str, ...]:
        import shlex

        program, base = str(self._program("perplexity")), text.with_suffix(".kld")
        return (
            shlex.join([program, *self._reading(source, text, base, first=True)]),
            shlex.join([program, *self._reading(model, text, base, first=False)]),
        )

    def _threads(self) -> list[str]:
        return ["-t", str(self._cores)]

    async def _step(
        self, step: Step, tool: str, work: Path, result: str, *, before: Sequence[str], after: Sequence[str] = ()
    ) -> AsyncGenerator[QuantiseEvent, None]:
        """Run a tool that writes one file, whose name stands between the arguments; what is there already is not made again."""
        if await asyncio.to_thread((work / result).exists):
            return
        part = work / f"part-{result}"
        async with aclosing(self._told(step, tool, [*before, str(part), *after], work, [])) as events:
            async for event in events:
                yield event
        if not await asyncio.to_thread(part.is_file):
            raise EngineError(f"llama-{tool} ended without its file.", hint=f"Its words are in {self.log}.")
        await asyncio.to_thread(_finish, part, work / result)

    async def _told(
        self, step: Step, tool: str, arguments: Sequence[str], work: Path, said: list[str]
    ) -> AsyncGenerator[QuantiseEvent, None]:
        """Run a tool, keep what it says, and tell how far it is."""
        began, total = time.monotonic(), 0
        yield QuantiseProgress(step=step)
        async with aclosing(self._tool(tool, arguments, work)) as pieces:
            async for piece in pieces:
                said.append(piece)
                if match := _CHUNKS.search(piece):
                    total = int(match[1])
                elif match := _TILES.match(piece):
                    yield QuantiseProgress(step=step, done=int(match[1]), total=int(match[2]))
                elif match := _CHUNK.match(piece):
                    yield QuantiseProgress(step=step, done=int(match[1]), total=total)
        self._seconds[step] = time.monotonic() - began

    async def _tool(self, tool: str, arguments: Sequence[str], work: Path) -> AsyncGenerator[str, None]:
        running = run_confined([self._program(tool), *arguments], write=[work], log=self.log, folder=work)
        try:
            async with aclosing(running) as pieces:
                async for piece in pieces:
                    yield piece
        except ToolFailed as error:
            if short := [line for line in error.lines if _COMPLAINT.search(line)]:
                raise BadFile(
                    f"The text is too short: {short[-1].rpartition(':')[2].strip()}.",
                    hint=f"A text needs {2 * CONTEXT:,} tokens, about {8 * CONTEXT:,} letters.",
                ) from error
            raise

    def _program(self, tool: str) -> Path:
        return Path(self._runtime.folder) / self._runtime.tools[tool]


def begin_quantise(jobs: "Jobs", quantising: Quantising) -> "Job[QuantiseEvent]":
    """Let it run as a job of this process, which any window lists and stops."""
    return jobs.begin("quantise", quantising.about, lambda _: quantising.run(), latest=(QuantiseProgress,))


def _model(work: Path, target: str) -> Path:
    """The file of a quantisation, whose name says whether the weights are weighed as they are now: what was made before they
    were is another one."""
    return work / f"{target}{_WEIGHED if (work / _WEIGHTS).exists() else ''}.gguf"


def _remove_finished(home: Home, here: Iterable[str]) -> None:
    """Remove each folder of a quantisation whose file is one of those that are `here` as brains, unless somebody is at it."""
    brains = {inode for path in here if (inode := _inode(Path(path)))}
    for work in (home.cartridges / "pulls").glob("quantise-*"):
        with making(home, work) as ours:
            if ours and not brains.isdisjoint(map(_inode, work.glob("*.gguf"))):
                shutil.rmtree(work, ignore_errors=True)


def _remove_unbegun(work: Path) -> None:
    """Remove a folder in which no step has left its file."""
    if not any(path.suffix in (".gguf", ".kld") for path in work.iterdir()):
        shutil.rmtree(work, ignore_errors=True)


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _finish(part: Path, whole: Path) -> None:
    """Give what a tool wrote its name, which says that it is whole, after a power cut as well."""
    with storing(whole):
        sync(part)
        part.replace(whole)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
