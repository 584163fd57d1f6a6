"""The services: made when they are asked for, shared, and closed whatever fails."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from omni.app import Services
from omni.cartridges import Brain, PullDone, PullStarted
from omni.core.errors import BadFile, NotFound, OmniError, SetupError, StorageError
from omni.core.events import TurnEnded, Usage
from omni.core.paths import Home
from omni.engine import LoadFailed, ScriptedEngine
from omni.hardware import Notes
from omni.keeper import KeeperClient, Starter, start, stop_everything
from tests.cartridges.conftest import gguf_bytes


@pytest.fixture
async def starter(home: Home) -> AsyncIterator[Starter]:
    started = start(home, full_screen=False)
    yield started
    started.goodbye()
    await asyncio.to_thread(stop_everything, home, windows=True)


@pytest.fixture
async def services(
    home: Home, starter: Starter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Services]:
    monkeypatch.setenv("HOME", str(tmp_path / "user"))  # where other programs have nothing
    async with Services(home, starter=starter, client="tests") as opened:
        yield opened


class Part:
    """Something that is closed, or fails to be."""

    def __init__(self, name: str, closed: list[str], failure: Exception | None = None) -> None:
        self.name, self.closed, self.failure = name, closed, failure

    async def close(self) -> None:
        self.closed.append(self.name)
        if self.failure:
            raise self.failure


def with_parts(home: Home, closed: list[str], **failures: Exception) -> Services:
    """Services whose parts are doubles."""
    services = Services(home, starter=None, client="tests")
    for name in ("chat", "library"):
        vars(services)[name] = Part(name, closed, failures.get(name))
    for name in ("engines", "keeper"):
        done: Any = asyncio.get_running_loop().create_future()
        done.set_result(Part(name, closed, failures.get(name)))
        services._tasks[name] = done
    return services


async def test_making_them_makes_nothing(home: Home) -> None:
    async with Services(home, starter=None, client="tests"):
        pass
    assert list(home.root.iterdir()) == []
    assert not home.sockets.exists()


async def test_parts_are_closed_from_the_top_down(home: Home) -> None:
    closed: list[str] = []
    async with with_parts(home, closed):
        pass
    assert closed == ["chat", "engines", "library", "keeper"]


async def test_one_failure_keeps_no_other_part_open(home: Home, caplog: pytest.LogCaptureFixture) -> None:
    closed: list[str] = []
    first, second = StorageError("chat is full"), StorageError("library is full")
    with pytest.raises(StorageError, match="chat is full"):
        async with with_parts(home, closed, chat=first, library=second):
            pass
    assert closed == ["chat", "engines", "library", "keeper"]
    assert "library is full" in caplog.text


async def test_why_the_work_failed_is_what_is_heard(home: Home, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(NotFound, match="no brain"):
        async with with_parts(home, [], chat=StorageError("chat is full")):
            raise NotFound("no brain")
    assert "Closing failed after a failure" in caplog.text


async def test_who_asks_at_the_same_time_gets_the_same(services: Services) -> None:
    first, second = await asyncio.gather(services.keeper(), services.keeper())
    assert first is second
    assert await services.airlock() is await services.airlock()
    assert await services.engines() is await services.engines()
    assert services.library is services.library


async def test_who_stops_waiting_takes_nothing_from_the_others(services: Services) -> None:
    impatient = asyncio.create_task(services.keeper())
    patient = asyncio.create_task(services.keeper())
    await asyncio.sleep(0)
    impatient.cancel()
    assert isinstance(await patient, KeeperClient)


async def test_a_failure_is_forgotten(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: Any, **__: Any) -> KeeperClient:
        raise SetupError("no keeper")

    with monkeypatch.context() as patch:
        patch.setattr(KeeperClient, "connect", fail)
        with pytest.raises(SetupError):
            await services.keeper()
        with pytest.raises(SetupError):
            await services.engines()
    assert isinstance(await services.keeper(), KeeperClient)
    assert await services.engines()


async def test_what_is_on_its_way_when_they_close_is_ended(home: Home, starter: Starter) -> None:
    async with Services(home, starter=starter, client="tests") as services:
        asking = asyncio.create_task(services.keeper())
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert len(asyncio.all_tasks()) == 1


async def test_chat_tells_its_last_change_before_the_keeper_is_left(home: Home, starter: Starter) -> None:
    watcher = await KeeperClient.connect(home, starter, client="watcher")
    changes = watcher.changes()
    async with Services(home, starter=starter, client="tests") as services:
        made = await services.chat.create(project=home.root)
    heard = []
    async with asyncio.timeout(10), aclosing(changes):
        async for change in changes:
            heard.append(change)
            if change.topic == "conversation":
                break
    assert heard[-1].value == {"conversation": made.id, "what": "created"}
    await watcher.close()


async def test_without_a_starter_there_is_no_keeper_and_that_is_said(home: Home) -> None:
    async with Services(home, starter=None, client="tests") as services:
        with pytest.raises(NotFound, match="No keeper is running"):
            await services.keeper()
        assert await services.library.brains()


async def test_settings_are_read_again_when_the_file_has_changed(
    services: Services, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.config.write_text("[chat]\nmax_completion_tokens = 77\n")
    assert (await services.read_settings_again()).chat.max_completion_tokens == 77
    os.utime(home.config, (1, 1))  # long ago: what it says is known from now on
    await services.read_settings_again()
    with monkeypatch.context() as patch:
        patch.setattr("omni.app.Settings.load", None)
        assert (await services.read_settings_again()).chat.max_completion_tokens == 77
    home.config.write_text("[chat]\nmax_completion_tokens = 88\n")
    assert (await services.read_settings_again()).chat.max_completion_tokens == 88
    home.config.unlink()
    assert (await services.read_settings_again()).chat.max_completion_tokens == 2048


async def test_a_setting_for_once_outlives_the_file_until_it_is_changed_here(home: Home) -> None:
    home.config.write_text('[engine]\ngpu = "off"\n')
    async with Services(home, starter=None, client="tests", overrides={"engine.gpu": "on"}) as services:
        assert services.settings.engine.gpu == "on"
        home.config.write_text('[engine]\ngpu = "off"\nslots = 2\n')
        again = await services.read_settings_again()
        assert (again.engine.gpu, again.engine.slots) == ("on", 2)
        assert (await services.change_setting("engine.slots", 3)).engine.gpu == "on"
        assert 'gpu = "off"' in home.config.read_text()
        assert (await services.change_setting("engine.gpu", "auto")).engine.gpu == "auto"
        assert (await services.read_settings_again()).engine.gpu == "auto"


async def test_settings_are_read_once_and_changed_in_both_places(services: Services, home: Home) -> None:
    assert services.settings.chat.max_completion_tokens == 2048
    assert services.chat.settings.chat.max_completion_tokens == 2048
    await services.change_setting("chat.max_completion_tokens", 99)
    assert services.settings.chat.max_completion_tokens == 99
    assert services.chat.settings.chat.max_completion_tokens == 99
    assert "max_completion_tokens = 99" in home.config.read_text()


async def test_the_default_brain_is_the_chosen_one_else_the_best(services: Services, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="No brain is here yet"):
        await services.default_brain()
    path = tmp_path / "tiny.gguf"
    path.write_bytes(gguf_bytes())
    brain = await services.library.add(path)
    assert (await services.default_brain()).name != ""
    await services.change_setting("chat.brain", "@roe/backend")
    assert (await services.default_brain()).name == "@roe/backend"
    assert (await services.brains_on())[brain.base.id if brain.base else ""][0] == brain.name


def with_engines(services: Services, monkeypatch: pytest.MonkeyPatch, **failing: OmniError) -> list[str]:
    """Engines that answer, but for brains of these names, which cannot be loaded; those that were opened."""
    opened: list[str] = []

    class Failing(ScriptedEngine):
        def __init__(self, error: OmniError) -> None:
            super().__init__()
            self.error = error

        async def capabilities(self) -> Any:
            raise self.error

    class Engines:
        async def open(self, brain: Any, *, embeddings: bool) -> Any:
            opened.append(brain.name)
            error = failing.get(brain.name.removeprefix("@me/"))
            return Failing(error) if error else ScriptedEngine()

        async def close(self) -> None:
            pass

    async def engines() -> Any:
        return Engines()

    monkeypatch.setattr(services, "engines", engines)
    return opened


async def two_brains(services: Services, tmp_path: Path) -> None:
    """`@me/large`, which is the better one, and `@me/small`."""
    for name, rows in (("large", 9), ("small", 1)):
        (tmp_path / f"{name}.gguf").write_bytes(gguf_bytes(ffn=rows))
        await services.library.add(tmp_path / f"{name}.gguf")


@pytest.mark.parametrize("error", [BadFile("It has no layers."), LoadFailed("It was ended by SIGABRT.")])
async def test_a_default_that_cannot_be_loaded_gives_way_and_that_is_told(
    services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OmniError, caplog: Any
) -> None:
    caplog.set_level(logging.INFO)
    await two_brains(services, tmp_path)
    opened = with_engines(services, monkeypatch, large=error)
    told: list[Any] = []
    services.listen(lambda topic, value: told.append((topic, value)))
    assert (await services.loaded_default()).name == "@me/small"
    assert opened == ["@me/large", "@me/small"]
    assert told == [("default", f"@me/large cannot be loaded, so that @me/small answers: {error.message}")]
    assert told[0][1] in caplog.text
    marked = (await services.library.get("@me/large")).state
    assert marked == ("unloadable" if isinstance(error, BadFile) else "installed")  # the file may not be the reason


async def test_a_chosen_default_that_cannot_be_loaded_stays_the_default(
    services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await two_brains(services, tmp_path)
    with_engines(services, monkeypatch, large=BadFile("It has no layers."))
    await services.change_setting("chat.brain", "@me/large")
    assert (await services.loaded_default()).name == "@me/large"  # and whoever asks it learns why not


async def test_where_no_default_can_be_loaded_the_last_reason_is_told(
    services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await two_brains(services, tmp_path)
    with_engines(services, monkeypatch, large=BadFile("One."), small=BadFile("Two."))
    with pytest.raises(BadFile, match="Two"):
        await services.loaded_default()


async def test_a_default_that_a_worker_has_loaded_before_is_not_loaded_to_be_named(
    services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await two_brains(services, tmp_path)
    opened = with_engines(services, monkeypatch)
    large = (await services.library.get("@me/large")).base
    assert large is not None
    await services.library.mark(large.id, ready=True)
    assert (await services.loaded_default()).name == "@me/large"
    assert opened == []


async def test_the_default_of_a_new_home_is_what_another_program_has(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = tmp_path / "user"
    monkeypatch.setenv("HOME", str(user))
    (user / ".lmstudio/models/a/b").mkdir(parents=True)
    (user / ".lmstudio/models/a/b/tiny.gguf").write_bytes(gguf_bytes())
    async with Services(home, starter=None, client="tests") as services:
        assert (await services.default_brain()).name == "b"
        await services.change_setting("brains.look_around", False)
        with pytest.raises(NotFound):
            await services.default_brain()


async def test_a_pull_is_told_and_can_be_left(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    left = []

    class Library:
        async def pull(self, name: str, airlock: object, *, base: str = "") -> AsyncIterator[Any]:
            try:
                yield PullStarted(brain=name, size=1)
                yield PullDone(brain=cast(Brain, SimpleNamespace(name=name)))
            finally:
                left.append(name)

        async def close(self) -> None:
            pass

    told: list[Any] = []
    monkeypatch.setattr(KeeperClient, "changed", lambda _, topic, value: _tell(told, topic, value))
    vars(services)["library"] = Library()
    async with aclosing(services.pull("a")) as events:
        async for _ in events:
            break
    assert (left, told) == (["a"], [("library", {"brain": "a"})])
    assert [type(event) async for event in services.pull("b")] == [PullStarted, PullDone]
    assert told[1:] == [("library", {"brain": "b"})] * 2


async def _tell(told: list[Any], topic: str, value: Any) -> None:
    told.append((topic, value))


async def test_how_a_brain_fits_is_known_before_its_pull(services: Services) -> None:
    await services.measured_hardware()
    coder = await services.library.get("@omni/coder")
    fit = await services.fit(coder)
    assert fit is not None
    assert fit.memory > coder.size
    assert fit.speed is not None


class Observed:
    """A brain with an engine that answers, on services that remember."""

    def __init__(self, services: Services, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path.write_bytes(gguf_bytes())
        self.services, self.path = services, path

        class Engines:
            async def open(self, brain: Any, *, embeddings: bool) -> Any:
                return ScriptedEngine(["one two three four five six seven eight nine ten " * 3])

            async def close(self) -> None:
                pass

        async def engines() -> Any:
            return Engines()

        monkeypatch.setattr(services, "engines", engines)

    async def ask(self) -> TurnEnded:
        from omni.core.messages import Message
        from omni.engine import ChatRequest, Sampling

        brain = await self.services.library.add(self.path)
        request = ChatRequest(messages=(Message.of("user", "go"),), sampling=Sampling(max_tokens=100))
        events = [event async for event in (await self.services.open(brain)).chat(request)]
        ended = events[-1]
        assert isinstance(ended, TurnEnded)
        return ended


async def test_an_answer_is_measured_and_its_brain_is_ready(
    services: Services, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = await Observed(services, tmp_path / "tiny.gguf", monkeypatch).ask()
    brain = await services.library.get("@me/tiny")
    assert brain.state == "ready"
    assert brain.base is not None
    if ended.usage.speed > 0:
        assert brain.base.id in Notes.load(home).speeds


async def test_what_cannot_be_remembered_fails_no_answer(
    services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    observed = Observed(services, tmp_path / "tiny.gguf", monkeypatch)

    async def full(*_: Any, **__: Any) -> None:
        raise StorageError("The disk is full.")

    monkeypatch.setattr(services.library, "mark", full)
    with caplog.at_level(logging.WARNING):
        assert isinstance((await observed.ask()).usage, Usage)
    assert "Not remembered: The disk is full." in caplog.text


async def test_two_front_ends_are_two_clients_of_one_keeper(home: Home, starter: Starter) -> None:
    async with (
        Services(home, starter=starter, client="shell") as one,
        Services(home, starter=None, client="cli") as other,
    ):
        await one.keeper()
        names = {process.name for process in await (await other.keeper()).processes() if process.kind == "client"}
    assert names == {f"shell-{os.getpid()}", f"cli-{os.getpid()}"}
