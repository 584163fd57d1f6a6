"""The composition root: the one place that knows how the parts of Omni are put together."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager, suppress
from functools import cached_property
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from msgspec import Struct

from omni.core.clock import Clock, SystemClock
from omni.core.errors import BadFile, NotFound, OmniError
from omni.core.paths import Home
from omni.core.settings import Settings, change, overridden

if TYPE_CHECKING:
    from omni.airlock import AirlockClient
    from omni.cartridges import Brain, Library, PullEvent, VerifyEvent
    from omni.chat import ChatService
    from omni.core.events import Usage
    from omni.core.plugins import Plugins
    from omni.engine import Engine, Engines
    from omni.environment import Environment
    from omni.hardware import Budget, Fit, GraphicsMemory, HardwareProfile
    from omni.helpers import Helpers
    from omni.jobs import Jobs
    from omni.keeper import KeeperClient, ProcessInfo, Starter
    from omni.runtimes import Runtime, RuntimeRow, Runtimes, RuntimeTrial, Tuning

T = TypeVar("T")

_YOUNG = 1_000_000_000  # nanoseconds
MEASURABLE = 16  # tokens; the speed at which fewer are written or read says little


class Services:
    """Everything that a front end uses. Making it costs nothing: each part comes to be when it is first asked for.

    `client` names the front end to the keeper; `starter` is None in commands that start no process; `overrides` are settings by
    their names that hold here whatever the file says. Use it as an async context manager: leaving it ends turns in flight and gives back what the keeper lent.
    """

    def __init__(
        self,
        home: Home,
        *,
        starter: "Starter | None",
        client: str,
        clock: Clock | None = None,
        plugins: bool = True,
        overrides: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        self.home, self.starter, self.client = home, starter, client
        self.clock = clock or SystemClock()
        self._with_plugins = plugins
        self._settings: Settings | None = None
        self._overrides = dict(overrides)
        self._stamp: tuple[int, int, int] | None = None
        self._tasks: dict[str, asyncio.Task[Any]] = {}
        self._adapters: dict[str, tuple[str, ...]] = {}
        self._brains: tuple[Brain, ...] = ()
        self._listeners: list[Callable[[str, Any], None]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self.close()
        except Exception:
            if error is None:
                raise
            # Why the work failed is what the person must hear; why closing failed as well is for the log.
            logging.getLogger(__name__).warning("Closing failed after a failure", exc_info=True)

    @property
    def settings(self) -> Settings:
        """What `config.toml` says, read once; `change_setting` keeps it true."""
        if self._settings is None:
            self._settings = overridden(Settings.load(self.home.config), self._overrides)
        return self._settings

    async def change_setting(
        self, key: str, value: Any, sections: Mapping[str, type[Struct]] = MappingProxyType({})
    ) -> Settings:
        """Set `section.key` in the file and here; `sections`: what plug-ins take, for a key of theirs."""
        settings = await asyncio.to_thread(change, self.home.config, key, value, sections)
        self._overrides.pop(key, None)  # the last wish holds
        self._follow(overridden(settings, self._overrides))
        return self.settings

    async def read_settings_again(self) -> Settings:
        """What the file says now: `omni config set` in another terminal holds from the next turn on.

        While the file is wrong the last right ones hold, and the log says why. It is read only when it has changed.
        """
        stamp = _stamp(self.home.config)
        if stamp is not None and stamp == self._stamp:
            return self.settings
        try:
            settings = overridden(await asyncio.to_thread(Settings.load, self.home.config), self._overrides)
        except OmniError as error:
            logging.getLogger(__name__).warning("Settings not taken: %s", error.message)
            return self.settings
        if settings != self.settings:
            self._follow(settings)
        self._stamp = stamp
        return settings

    def _follow(self, settings: Settings) -> None:
        """Give new settings to the parts that are there already."""
        self._settings = settings
        if "chat" in vars(self):
            self.chat.settings = settings
        if "library" in vars(self):
            self.library.follow(settings)
        if (engines := self._made("engines")) is not None:
            engines.follow(settings)

    async def keeper(self) -> "KeeperClient":
        """The connection to the keeper, which is started when there is none."""

        async def connect() -> "KeeperClient":
            from omni.keeper import KeeperClient

            return await KeeperClient.connect(self.home, self.starter, client=self.client)

        return await self._once("keeper", connect)

    async def airlock(self) -> "AirlockClient":
        """The way to the network, for what the person asked for."""

        async def make() -> "AirlockClient":
            from omni.airlock import AirlockClient

            return AirlockClient(await self.keeper())

        return await self._once("airlock", make)

    async def hardware(self) -> "HardwareProfile":
        """This machine. The speed of its memory is measured in the background when nobody did before."""

        async def look() -> "HardwareProfile":
            from omni.hardware import profile

            return await profile(self.home, measure=False)

        return await self._once("hardware", look)

    async def measured_hardware(self) -> "HardwareProfile":
        """The same with the speed of memory, which takes half a second once in a home's life."""

        async def measure() -> "HardwareProfile":
            from omni.hardware import profile

            return await profile(self.home)

        return await self._once("measured hardware", measure)

    async def budget(self) -> "Budget":
        """What brains may take here, with the speeds that were measured so far."""
        from omni.hardware import Budget, Notes

        measured = self._tasks.get("measured hardware")
        profile = (
            measured.result() if measured and measured.done() and not measured.cancelled() else await self.hardware()
        )
        return Budget.of(profile, self.settings, await asyncio.to_thread(Notes.load, self.home))

    @cached_property
    def plugins(self) -> "Plugins":
        """The plug-ins; none are loaded before somebody asks for what they add."""
        from omni.core.plugins import Plugins

        return Plugins(None if self._with_plugins else (), home=self.home)

    @cached_property
    def environment(self) -> "Environment":
        """The managed environment."""
        from omni.environment import Environment

        return Environment(self.home)

    @cached_property
    def library(self) -> "Library":
        """The brains."""
        from omni.cartridges import Library

        return Library(self.home, self.settings, plugins=self.plugins, budget=self.budget, clock=self.clock)

    async def engines(self) -> "Engines":
        """The engines, which run brains in workers of the keeper."""

        async def make() -> "Engines":
            from omni.engine import Engines

            factories = await asyncio.to_thread(self.plugins.gather, "omni_engines")
            return Engines(
                self.home,
                await self.keeper(),
                self.settings,
                await self.hardware(),
                adapters=lambda base: self._adapters.get(base, ()),
                brains=lambda: self._brains,
                factories=factories,
                said=lambda words: self._said(
                    "engine", words, level=logging.INFO
                ),  # a command without a log prints more
            )

        return await self._once("engines", make)

    @cached_property
    def chat(self) -> "ChatService":
        """The conversations."""
        from omni.chat import ChatService, ChatStore

        store = ChatStore(self.home.chat, clock=self.clock)
        return ChatService(
            store, self, self.library, keeper=self, plugins=self.plugins, settings=self.settings, clock=self.clock
        )

    @cached_property
    def jobs(self) -> "Jobs":
        """The work of this process that belongs to nobody who looks at it."""
        from omni.jobs import Jobs

        return Jobs(self.home, self.keeper, self.clock)

    @cached_property
    def helpers(self) -> "Helpers":
        """The processes of plug-ins."""
        from omni.helpers import Helpers

        async def fetch(url: str, most: int) -> tuple[bytes, str, str]:
            page = await (await self.airlock()).page(url, purpose="pull", limit=most)
            return page.data, page.content_type, page.url

        return Helpers(self.home, self.jobs, self.keeper, fetch=fetch)

    async def open(self, brain: "Brain", *, embeddings: bool = False) -> "Engine":
        """The engine for `brain`, as chat asks for it; what it measures and what it cannot load is remembered."""
        from omni.engine import ObservedEngine
        from omni.hardware import remember_speed

        await self.read_settings_again()
        await self._look_at_brains()
        engine = await (await self.engines()).open(brain, embeddings=embeddings)
        base = brain.base.id if brain.base else ""

        async def measured(usage: "Usage") -> None:
            with _noted():
                await self.library.mark(base, ready=True)
                if usage.completion_tokens >= MEASURABLE:
                    read = usage.prompt_tokens - usage.cached_tokens
                    reading = read / usage.prompt_seconds if read >= MEASURABLE and usage.prompt_seconds else 0.0
                    await asyncio.to_thread(remember_speed, self.home, base, usage.speed, reading)

        async def refused(reason: str) -> None:
            if not self._adapters.get(base):  # else it may be an adapter that is wrong, and not the base
                with _noted():
                    await self.library.mark(base, ready=False, reason=reason)

        async def blinded() -> None:
            if brain.base is not None and brain.base.projector is not None:
                with _noted():
                    await self.library.drop_projector(base, brain.base.projector)

        return ObservedEngine(engine, measured=measured, refused=refused, blinded=blinded)

    async def _look_at_brains(self) -> None:
        """Know what workers are loaded with beside a base."""
        self._adapters, self._brains = await self.library.adapters(), tuple(await self.library.brains())

    def listen(self, listener: Callable[[str, Any], None]) -> Callable[[], None]:
        """Have `listener` hear what changes in this process: the keeper tells it to the others only. Returns the end."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    @cached_property
    def runtimes(self) -> "Runtimes":
        """The builds of engines that are here."""
        from omni.runtimes import Runtimes

        return Runtimes(self.home)

    async def runtime_rows(self) -> "list[RuntimeRow]":
        """What is known of each, on this machine."""
        from omni.runtimes import machine_of, rows

        cpu = (await self.hardware()).cpu
        machine = machine_of(cpu.name, cpu.features)
        settings = self.settings.engine
        return await asyncio.to_thread(rows, self.runtimes, settings.use, machine, settings.gpu)

    async def on_devices(self) -> "list[ProcessInfo]":
        """The workers with layers of a brain on devices; nobody is asked where no engine was added that could have any."""
        if not await asyncio.to_thread(self.runtimes.installed):
            return []
        return [one for one in await (await self.keeper()).processes() if one.placed]

    async def graphics(self, processes: "Sequence[ProcessInfo]") -> "GraphicsMemory":
        """Memory of the devices that workers among these use. Nothing is asked while none does."""
        from omni.hardware import GraphicsMemory, Probes, graphics_memory

        placed = [one for one in processes if one.placed]
        if not placed:
            return GraphicsMemory()

        def look() -> GraphicsMemory:
            from omni.core.memory import started_by
            from omni.engine import placed_on
            from omni.runtimes import known_devices

            names: dict[str, set[str]] = {}
            for one in placed:
                names.setdefault(one.engine, set()).update(placed_on(one.placed))
            devices = [
                device for engine, used in names.items() for device in known_devices(self.runtimes, engine, used)
            ]
            return graphics_memory(Probes(), devices, {one.pid: [one.pid, *started_by(one.pid)] for one in placed})

        return await asyncio.to_thread(look)

    async def brains_to_try(self) -> "list[list[Brain]]":
        """The brains of each set of quantisation types that is here, the smallest first; see `to_try`."""
        from omni.engine import to_try

        await self.library.scan()
        return to_try(await self.library.brains())

    async def brains_to_tune(self) -> "list[Brain]":
        """One brain of each base that chats and is here, the smallest first."""
        from omni.engine import is_tried_with

        by_base: dict[str, Brain] = {}
        for brain in sorted(await self.library.brains(), key=lambda one: (one.size, bool(one.shares))):
            if brain.usable and brain.base is not None and is_tried_with(brain):
                by_base.setdefault(brain.base.id, brain)
        return list(by_base.values())

    async def try_runtime(self, runtime: "Runtime", brain: "Brain") -> "RuntimeTrial":
        """Try a build with the types of a brain; what came of it is remembered. Raises OmniError where nobody can try, of
        these LoadFailed where the file of that very brain is broken."""
        trial = await (await self.engines()).try_runtime(runtime, brain)
        with suppress(OmniError):
            await self.changed("engines", runtime.name)
        return trial

    async def tune(self, brain: "Brain") -> "Tuning":
        """Measure what makes the base of a brain faster here, and remember it. Raises OmniError where it cannot be loaded."""
        await self.read_settings_again()
        await self._look_at_brains()
        tuning = await (await self.engines()).tune(brain)
        with suppress(OmniError):
            await self.changed("engines", brain.name)
        return tuning

    async def changed(self, topic: str, value: Any) -> None:
        """Tell the other front ends, as chat asks for it, and those of this one that listen."""
        self._told(topic, value)
        await (await self.keeper()).changed(topic, value)

    def _said(self, topic: str, words: str, *, level: int = logging.WARNING) -> None:
        """Tell those who listen something that a person should know; it stands in the log, too."""
        logging.getLogger(__name__).log(level, "%s", words)
        self._told(topic, words)

    def _told(self, topic: str, value: Any) -> None:
        for listener in tuple(self._listeners):
            listener(topic, value)

    async def default_brain(self) -> "Brain":
        """The brain of the settings, else the best one here; where that is none or the starter, what other programs have
        is looked for first. Raises NotFound when none is here."""
        if self.settings.chat.brain:
            return await self.library.get(self.settings.chat.brain)
        brain = await self.library.best()
        if brain is None or brain.starter:
            await self.library.looked()
            brain = await self.library.best()
        if brain is None:
            raise NotFound("No brain is here yet.", hint="`omni pull @omni/smollm2` fetches the starter (98 MB).")
        return brain

    async def loaded_default(self) -> "Brain":
        """The default brain for a request that names none. Where no worker has ever loaded it, it is loaded now; when that
        fails the next best takes its place, as those who listen for "default" are told. One that was chosen in the
        settings never becomes another: whoever asks it learns why it cannot be loaded."""
        from omni.engine import LoadFailed

        brain, tried = await self.default_brain(), set[str]()
        while brain.state != "ready" and not self.settings.chat.brain:
            try:
                await (await self.open(brain)).capabilities()
                break
            except (BadFile, LoadFailed) as error:
                tried.add(brain.name)
                following = await self.library.best(without=tried)
                if following is None:
                    raise
                self._said(
                    "default", f"{brain.name} cannot be loaded, so that {following.name} answers: {error.message}"
                )
                brain = following
        return brain

    async def pull(self, name: str, *, base: str = "") -> "AsyncGenerator[PullEvent]":
        """Fetch a brain through the airlock; the other front ends hear of it. `base` is what an adapter goes on."""
        async with aclosing(self._heard_of(name, self.library.pull(name, await self.airlock(), base=base))) as events:
            async for event in events:
                yield event

    def verify(self, name: str) -> "AsyncGenerator[VerifyEvent]":
        """Read a brain whole and compare its hash; the other front ends hear of it."""
        return self._heard_of(name, self.library.verify(name))

    async def _heard_of(self, name: str, events: AsyncGenerator[T]) -> AsyncGenerator[T]:
        """Work at a brain. Others are told when it begins, so that they may watch it, and when it came to its end."""
        with suppress(OmniError):  # where no keeper is, nobody listens
            await self.changed("library", {"brain": name})
        async with aclosing(events) as coming:
            async for event in coming:
                yield event
        with suppress(OmniError):
            await self.changed("library", {"brain": name})

    async def fit(self, brain: "Brain", budget: "Budget | None" = None) -> "Fit | None":
        """How `brain` fits into this machine, before a pull by its manifest; None while nobody knows its size."""
        if not brain.size:
            return None
        from omni.cartridges import facts_of

        return (budget or await self.budget()).fit(facts_of(brain))

    async def brains_on(self) -> dict[str, list[str]]:
        """The names of the brains on each base, by its id; the one that the base belongs to stands first."""
        names: dict[str, list[str]] = {}
        for brain in sorted(await self.library.brains(), key=lambda brain: bool(brain.shares)):
            if brain.base is not None:
                names.setdefault(brain.base.id, []).append(brain.name)
        return names

    async def in_use(self) -> set[str]:
        """The ids of the bases that a worker has loaded."""
        return {process.base for process in await (await self.keeper()).processes() if process.base}

    async def remove(self, name: str) -> int:
        """Remove a brain that no worker holds; returns the bytes that are free again."""
        freed = await self.library.remove(name, in_use=await self.in_use())
        await self.changed("library", {"brain": name})
        return freed

    async def collect(self) -> int:
        """Remove what no brain needs, and what was to become an engine; returns the bytes that are free again."""
        from omni.runtimes import remove_leftovers

        freed = await asyncio.to_thread(remove_leftovers, self.home)
        return freed + await self.library.collect(await self.in_use())

    async def workers_of(self, name: str) -> list[str]:
        """The names of the workers that have loaded the base of this brain."""
        brain = await self.library.get(name)
        base = brain.base.id if brain.base else ""
        return [process.name for process in await (await self.keeper()).processes() if base and process.base == base]

    async def close(self) -> None:
        """End what was begun, in the opposite order. What was never asked for is not made in order to be closed.

        Each part is closed even when another one cannot be; the first failure is raised when all have had their turn.
        """
        first: Exception | None = None

        async def end(part: Any) -> None:
            nonlocal first
            try:
                if part is not None:
                    await part.close()
            except Exception as error:  # noqa: BLE001 - the first is raised below, the others are logged
                if first is not None:
                    logging.getLogger(__name__).warning("A part could not be closed: %r", error)
                first = first or error

        await end(vars(self).get("jobs"))
        await end(vars(self).get("chat"))  # it still has something to tell the keeper, which may be on its way
        unfinished = [task for task in self._tasks.values() if not task.done()]
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)
        for part in (self._made("engines"), vars(self).get("library"), self._made("keeper")):
            await end(part)
        self._tasks.clear()
        if first is not None:
            raise first

    async def _once(self, name: str, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The result of `make`, made once for all who ask; a failure is forgotten, so that asking again tries again."""
        task = self._tasks.get(name)
        if task is None or (task.done() and (task.cancelled() or task.exception())):
            task = self._tasks[name] = asyncio.create_task(make(), name=name)
        # Whoever asks may be cancelled; the others still wait for the same task.
        return await asyncio.shield(task)

    def _made(self, name: str) -> Any:
        task = self._tasks.get(name)
        if task is None or not task.done() or task.cancelled() or task.exception():
            return None
        return task.result()


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """What tells one state of a file from another, one that is not there included; None while it is so young that the
    next could have the same."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return 0, 0, 0
    except OSError:
        return None
    if abs(time.time_ns() - status.st_mtime_ns) < _YOUNG:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


@contextmanager
def _noted() -> Iterator[None]:
    """What cannot be remembered is logged: a full disk does not make a whole answer a failed one."""
    try:
        yield
    except OmniError as error:
        logging.getLogger(__name__).warning("Not remembered: %s", error.message)
