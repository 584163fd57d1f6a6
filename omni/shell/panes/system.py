"""System: everything that runs, what it costs, what confines it, and the machine it runs on."""

import asyncio
import os
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal
from textual.content import Content

from omni.core.errors import NotFound, OmniError
from omni.core.words import clock_words, size_words
from omni.runtimes import BUILT_IN
from omni.shell.graph import graph
from omni.shell.listing import Column, Group, Listing, Row
from omni.shell.machine import MachineFacts
from omni.shell.pane import Pane
from omni.shell.widgets import Folded, Keys, Line, Lines, LineWidget, Part, home_path, ink, job, parted

if TYPE_CHECKING:
    from omni.core.paths import Home
    from omni.environment.diagnostics import Diagnostic
    from omni.hardware import GraphicsMemory, HardwareProfile, MachineSample
    from omni.jobs import Job, RemoteJob
    from omni.keeper import KeeperChange, ProcessInfo
    from omni.runtimes import RuntimeRow

PROCESS_SECONDS = 3.0
ENDED = ("worker", "helper", "sandbox")  # kinds of process that a person may end


class Graph(LineWidget):
    """One figure, what it is of, and its last minutes."""

    DEFAULT_CSS = """
    Graph { width: 1fr; height: 5; background: $omni-panel; padding: 1 2 0 2; margin-right: 1; }
    Screen.-low Graph, Screen.-middle Graph { height: 2; padding: 0 1; }
    """
    SCOPED_CSS: ClassVar[bool] = False

    def __init__(self, title: str, style: str, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._title, self._style = title, style
        self._values: Iterable[float] = ()
        self._top = 1.0
        self._figure = self._of = ""

    def show(self, figure: str, of: str, values: Iterable[float], top: float) -> None:
        """Draw these."""
        self._figure, self._of, self._values, self._top = figure, of, values, top
        self.refresh()

    def lines(self, width: int, height: int) -> Iterable[Content]:
        """Title, figure, blocks; without the title where it is low."""
        head = parted((ink((self._figure, "bold text")), ink((self._of, "second"))), width)
        if height < 3:
            title = ink((self._title, "second"), " ", (self._figure, "bold text"))
            head = parted((title, ink((self._of, "third"))), width)
            if title.cell_length > width:
                head = ink((self._figure, "bold text"))
        else:
            yield ink((self._title, "second"))
        yield head
        for row in graph(list(self._values), width, self._top):
            yield ink((row, self._style))


class SystemPane(Pane):
    """Live figures, processes, environment, hardware."""

    DEFAULT_CSS = """
    SystemPane > #system-title { margin-bottom: 1; }
    SystemPane > #graphs { height: auto; margin-bottom: 1; }
    SystemPane > Listing, Screen.-low SystemPane > Listing, Screen.-middle SystemPane > Listing {
        background: $omni-background; padding: 0; margin-bottom: 1; }
    SystemPane > #system-engines, SystemPane > #system-environment, SystemPane > #system-machine { margin-bottom: 1; }
    Screen.-low SystemPane > #system-title, Screen.-low SystemPane > #graphs,
    Screen.-low SystemPane > Listing { margin-bottom: 0; }
    """
    SCOPED_CSS: ClassVar[bool] = False
    BINDINGS: ClassVar = [
        Binding("d", "doctor", "Doctor", id="system.doctor", tooltip="Look at everything that could be wrong"),
        Binding("l", "log", "Log", id="system.log", tooltip="Read the log of the process with the bar as it grows"),
        Binding(
            "k",
            "end",
            "End it",
            id="system.end",
            tooltip="End the worker or the work with the bar; what it made is kept",
        ),
    ]

    def compose(self) -> ComposeResult:
        """Top to bottom."""
        yield Lines(
            (ink(("System", "bold text")), ink(("everything that runs, and what it costs", "second"))),
            id="system-title",
        )
        with Horizontal(id="graphs"):
            yield Graph("Processor", "accent")
            yield Graph("Memory", "person")
            yield Graph("Answering", "accent")
            yield Graph("VRAM", "person", id="system-vram")
        yield Listing(
            Column(most=44, least=20),
            Column(leaves=2, align="right"),
            Column(most=34, least=16),
            Column(leaves=4),
            Column(leaves=5, most=40),
            empty="Asking the keeper …",
            id="system-processes",
        )
        yield Lines(id="system-engines")
        yield Lines(id="system-environment")
        yield MachineFacts(ink(("Machine", "bold text")), id="system-machine")
        yield Keys()

    def on_mount(self) -> None:
        """Begin to look."""
        self._processes: list[ProcessInfo] = []
        self._work: dict[str, Job[object] | RemoteJob] = {}
        self._titles: dict[str, str] = {}
        self._memory: dict[int, int] = {}
        self._speeds: deque[float] = deque(maxlen=240)
        self._vram: deque[int] = deque(maxlen=160)
        self._taken: dict[int, int] = {}
        self._profile: HardwareProfile | None = None
        self._findings: list[Diagnostic] | None = None
        self._packages = 0
        self._brains: dict[str, list[str]] = {}
        self.query_one("#system-vram").display = False
        self.omni.watch_meters(self._measured)
        self._draw_keys()
        self.run_worker(job(self._follow), name="processes", group="system", description="list the processes")
        self.set_interval(PROCESS_SECONDS, self._follow)
        self.run_worker(job(self._once), name="machine", group="system", description="look at machine and environment")

    # -- looking

    async def _follow(self) -> None:
        if self.display:
            await self._read_processes()

    async def _read_processes(self) -> None:
        try:
            processes = await (await self.services.keeper()).processes()
        except OmniError as error:
            self.query_one(Listing).say_when_empty(f"{error.message} {error.hint}")
            processes = []
        processes += await asyncio.to_thread(_installer, self.services.home, processes)
        if any(process.base not in self._brains for process in processes if process.base):
            self._brains = await self.services.brains_on()
        from omni.hardware import process_memory

        self._memory = await asyncio.to_thread(process_memory, [process.pid for process in processes])
        self._draw_graphics(await self.services.graphics(processes))
        order = ("client", "keeper", "starter", "airlock", "installer", "worker", "helper", "sandbox")
        self._processes = sorted(processes, key=lambda one: (order.index(one.kind), one.pid != os.getpid(), one.since))
        self._draw_processes()
        await self._read_work()

    async def _read_work(self) -> None:
        """What goes on, whoever began it. A process that is suspended keeps nobody waiting but this."""
        work = {one.snapshot().id: one for one in await self.services.jobs.all()}
        if {one.snapshot().about for one in work.values() if one.snapshot().kind == "turn"} - self._titles.keys():
            self._titles = {one.id: one.title for one in await self.services.chat.conversations(limit=1000)}
        if work or self._work:
            self._work = work
            self._draw_processes()

    async def _once(self) -> None:
        with self.omni.going_on(self):
            self._profile = await self.services.hardware()
            self._draw_machine()
            await self._read_engines()
            self._profile = await self.services.measured_hardware()
            self._draw_machine()
            self._findings = await self.services.environment.check()
            self._packages = len(await self.services.environment.packages())
        self.query_one(MachineFacts).give_up()
        self._draw_environment()

    async def _read_engines(self) -> None:
        """The builds of engines, where there is more to say than that the one that comes with Omni is used."""
        rows = await self.services.runtime_rows()
        told = len(rows) > 1 or any(row.tried for row in rows)
        lines: list[Line] = [ink(("Engines", "bold text"))] if told else []
        for row in rows if told else ():
            lines += engine_lines(row)
        shown = self.query_one("#system-engines", Lines)
        shown.show(*lines)
        shown.display = told
        self._arrange()

    def _measured(self, reading: "MachineSample") -> None:
        if not self.is_attached:
            return
        self._speeds.append(self._speed_now())
        if not self.display:
            return
        self.query_one(MachineFacts).measured(reading)
        cpu, memory, answering, _ = self.query(Graph)
        history = self.omni.meters.history
        cores = f"of {reading.cores} {'core' if reading.cores == 1 else 'cores'}"
        cpu.show(f"{reading.cpu:.0f} %", cores, [each.cpu for each in history], 100)
        used, total = size_words(reading.memory_used), size_words(reading.memory_total)
        memory.show(
            used,
            f"of {total.removesuffix(' GB') if used.endswith(' GB') else total}",
            [each.memory_used for each in history],
            reading.memory_total,
        )
        now = self._speeds[-1]
        answering.show(
            f"{now:.1f} tok/s" if now else "idle",
            self.omni.status.state.brain if now else "nobody is answering",
            self._speeds,
            max([*self._speeds, 1.0]),
        )

    def _speed_now(self) -> float:
        """Tokens a second of all answers that this shell receives."""
        chat = self.omni.pane("chat")
        return chat.answer_speed if isinstance(chat, Pane) else 0.0

    # -- drawing

    def _draw_graphics(self, graphics: "GraphicsMemory") -> None:
        """Memory of the devices that brains use; nothing while none is used."""
        self._taken = graphics.taken
        shown = self.query_one("#system-vram", Graph)
        one = graphics.together
        shown.display = one is not None
        if one is None:
            self._vram.clear()
            return
        used = one.used if one.used is not None else sum(graphics.taken.values()) if graphics.taken else None
        if used is not None:
            self._vram.append(used)
        figure = "in RAM" if one.shared else size_words(used) if used is not None else "not told"
        of = "it has none of its own" if one.shared else f"of {size_words(one.total)}" if one.total else ""
        shown.show(figure, of, self._vram, float(one.total or max([*self._vram, 1])))

    def _draw_processes(self) -> None:
        rows = []
        for process in self._processes:
            called = self._called(process)
            rows.append(
                Row(
                    key=process.name,
                    cells=(
                        ink(("● ", "accent"), (called, "text")),
                        (size_words(self._memory.get(process.pid)), "second"),
                        confined_words(process),
                        (clock_words(process.since), "second"),
                        (detail_words(process, self._taken.get(process.pid)), "third"),
                    ),
                )
            )
        count = f"{len(rows)} process{'es' * (len(rows) != 1)}"
        groups = [Group(titles=(count, "memory", "network", "since", ""), rows=tuple(rows))]
        if self._work:
            groups.append(Group(titles=("work", "", "", "since", ""), rows=tuple(self._work_rows())))
        self.query_one(Listing).fill(groups)
        self._arrange()
        self._draw_keys()

    def _work_rows(self) -> Iterable[Row]:
        """What each is about comes first: where it is narrow, no more than that is seen."""
        from omni.jobs import work_kind

        for key, work in self._work.items():
            info = work.snapshot()
            state = (f"asks: {info.question.text}", "amber") if info.question is not None else ("", "third")
            yield Row(
                key=key,
                cells=(
                    ink(("● ", "accent"), (self._titles.get(info.about) or info.about, "text")),
                    ("", "second"),
                    (work_kind(info), "second"),
                    (clock_words(info.began), "second"),
                    state,
                ),
            )

    def _arrange(self) -> None:
        """The processes come first: what else there is stands below them where all of it has room."""
        blocks = [self.query_one(f"#system-{name}") for name in ("engines", "environment", "machine")]
        graphs, keys = self.query_one("#graphs"), 1
        room = self.content_size.height - 2 - graphs.outer_size.height - 1 - keys - (len(self._processes) + 2)
        room -= len(self._work) + 2 if self._work else 0
        width = self.content_size.width
        for block in blocks:
            rows = block.get_content_height(self.content_size, self.app.size, width) + 1
            block.display = rows <= room
            room -= rows if block.display else 0

    def on_resize(self) -> None:
        """Another size has room for more or less."""
        self._arrange()

    def _called(self, process: "ProcessInfo") -> str:
        if process.pid == os.getpid():
            return "shell  this window"
        if process.kind == "client" and process.name.startswith("shell"):
            return "shell  another window"
        if process.kind == "worker":
            names = self._brains.get(process.base, [])
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            return f"worker  {names[0]}{more}" if names else f"worker  {process.name}"
        if process.kind == "helper":
            return f"helper  {process.detail.partition(', ')[0]}"
        own = process.name.removeprefix(f"{process.kind}-")
        if own in (process.kind, process.name.rpartition("-")[2]):
            return process.kind
        return process.name if process.kind == "client" else f"{process.kind}  {own}"

    def _draw_environment(self) -> None:
        findings = self._findings or []
        wrong = [finding for finding in findings if not finding.ok]
        words = f"{self._packages} packages" if self._packages else ""
        verdict = ("everything is as it should be", "second") if not wrong else (f"{len(wrong)} to look at", "amber")
        path = str(self.services.environment.path or "the tool that installed Omni keeps it")
        lines: list[Line] = [
            (ink(("Environment", "bold text")), ink(verdict), ink((home_path(path), "second")), ink((words, "second")))
        ]
        for finding in wrong:
            head = ink(("! ", "amber"), (f"{finding.name:<14}", "text"))
            lines.append(Folded(head=head, text=finding.detail, style="second"))
            if finding.command:
                lines.append(Folded(head=Content(" " * 16), text=finding.command))
        self.query_one("#system-environment", Lines).show(*lines)
        self._arrange()

    def _draw_machine(self) -> None:
        if self._profile is not None:
            self.query_one(MachineFacts).show(self._profile)
            self._arrange()

    def _draw_keys(self) -> None:
        process = self._process()
        keys = [("↑↓", "choose", ""), ("d", "doctor", "d"), ("l", "its log", "l")]
        if process is not None and process.kind in ENDED:
            keys.append(("k", f"end this {process.kind}", "k"))
        elif self.query_one(Listing).key in self._work:
            keys.append(("k", "stop this work", "k"))
        self.query_one(Keys).show(*keys)

    def _process(self) -> "ProcessInfo | None":
        key = self.query_one(Listing).key
        return next((process for process in self._processes if process.name == key), None)

    def on_listing_highlighted(self, message: Listing.Highlighted) -> None:
        """The keys depend on the row."""
        message.stop()
        self._draw_keys()

    def take_focus(self) -> None:
        """The processes."""
        self.query_one(Listing).focus()

    def heard(self, change: "KeeperChange") -> None:
        """A process came or went."""
        if change.topic == "engines":
            self.run_worker(job(self._read_engines), exclusive=True, group="engines", description="list the engines")
        if change.topic == "processes" and self.display:
            self.run_worker(job(self._read_processes), exclusive=True, group="heard", description="list the processes")

    # -- acting

    def action_doctor(self) -> None:
        """Look at everything that could be wrong."""
        from omni.shell.reading import DoctorReading

        self.app.push_screen(DoctorReading(self.services))

    def action_log(self) -> None:
        """Read the log of the process with the bar."""
        from omni.shell.reading import LogReading

        process = self._process()
        names = [f"{process.kind}.log", f"{process.kind}.jsonl"] if process else []
        if process is not None and process.kind in ENDED:
            names = [f"{process.name}.log"]
        elif process is not None and process.kind == "client":
            names = [f"{process.name.partition('-')[0]}.jsonl"]
        logs = self.services.home.logs
        title = self._called(process).replace("  ", " ") if process else "the shell"
        self.app.push_screen(LogReading(title, [logs / name for name in names or ["shell.jsonl"]]))

    def action_end(self) -> None:
        """End a worker or some work, after a question."""
        if (chosen := self._work.get(self.query_one(Listing).key or "")) is not None:
            self._stop(chosen)
            return
        process = self._process()
        if process is None or process.kind not in ENDED:
            return
        from omni.shell.modals import Consent

        name = process.name

        async def work() -> None:
            await (await self.services.keeper()).stop(name)
            await self._read_processes()

        def answered(sure: bool | None) -> None:
            if sure:
                self.run_worker(job(work), description="end a worker")

        memory = size_words(self._memory.get(process.pid))
        text = f"{'An answer' if process.kind == 'worker' else 'Work'} in progress ends with an error. {memory + ' come back at once.' if memory else ''}"
        self.app.push_screen(
            Consent(
                f"End the {self._called(process).replace('  ', ' ')}?",
                text,
                yes="end",
                harm=True,
                clock=self.services.clock,
            ),
            answered,
        )

    def _stop(self, stopped: "Job[object] | RemoteJob") -> None:
        from omni.jobs import work_words
        from omni.shell.modals import Consent

        async def work() -> None:
            with suppress(NotFound):  # it has just ended
                await stopped.stop()
            await self._read_processes()

        def answered(sure: bool | None) -> None:
            if sure:
                self.run_worker(job(work), description="stop some work")

        self.app.push_screen(
            Consent(
                f"Stop {work_words(stopped.snapshot(), self._titles)}?",
                "What came of it is kept, and it can be gone on with.",
                yes="stop",
                clock=self.services.clock,
            ),
            answered,
        )


def confined_words(process: "ProcessInfo") -> Part:
    """What way out it has and what keeps it from one, coloured by how good that is."""
    by = process.confined
    if process.kind in ("airlock", "installer"):
        return ("the door" if process.kind == "airlock" else "the package index"), "amber"
    if by in ("none", "", "unknown"):
        return (
            ("unused, not confined", "second")
            if process.kind in ("keeper", "starter", "sandbox")
            else ("not confined", "amber")
        )
    return f"none, by {by}", "accent"


def detail_words(process: "ProcessInfo", vram: int | None = None) -> str:
    """What a process is there for, or what it does now; `vram`: bytes of cards that it holds."""
    match process.kind:
        case "keeper":
            return "starts the others"
        case "starter":
            return "opens your editor"
        case "worker":
            state = process.detail.rpartition(", ")[2]
            answers, of, _ = state.partition(" of ")
            if not of:
                return state
            doing = "idle" if answers == "0" else f"writes {answers} answer{'s' * (answers != '1')}"
            vram_words = f"{size_words(vram)} of VRAM" if vram is not None else ""
            by = [] if process.engine in ("", BUILT_IN) else [f"by {process.engine}"]
            return ", ".join(filter(None, [doing, vram_words, *by, process.placed]))
        case "helper":
            return process.detail.rpartition(", ")[2]
    return process.detail


def engine_lines(row: "RuntimeRow") -> "list[Line]":
    """An engine and what trials of it came to, a line each."""
    head = ink((row.name, "text"), "  ", ("   ".join(filter(None, [row.version, ", ".join(row.features)])), "second"))
    lines: list[Line] = [(head, ink((row.reason or row.unread or ("" if row.tried else "not tried"), "second")))]
    for tried in row.tried:
        speeds = tried.trial.speeds
        if speeds is None or tried.rests:
            lines.append(Folded(head=ink(("! ", "amber")), text=f"{row.name} {tried.words}", style="second"))
            continue
        figures = f"reads {speeds.prompt:.0f} tok/s, writes {speeds.answer:.1f} tok/s"
        lines.append(
            (ink("  ", (tried.what, "second")), ink((figures, "text"), ("  used" if tried.used else "", "accent")))
        )
    return lines


def _installer(home: "Home", processes: "Sequence[ProcessInfo]") -> "list[ProcessInfo]":
    """What the keeper does not know of."""
    from omni.keeper import installing

    keeper = next((one.pid for one in processes if one.kind == "keeper"), None)
    installer = installing(home, beside=keeper) if keeper is not None else None
    return [installer] if installer is not None else []
