"""Plug-ins: listing imports nothing, one that fails has a name, and never stops the others."""

from collections.abc import AsyncIterator
from importlib.metadata import EntryPoint
from types import SimpleNamespace

import pytest

from omni.core import hooks
from omni.core.errors import EngineError, NotFound, OmniError
from omni.core.hooks import hookimpl
from omni.core.installed import GROUP
from omni.core.plugins import Plugins


def pane(name: str) -> SimpleNamespace:
    return SimpleNamespace(name=name, title=name, target="m:C", letter=name[0])


PANE, A, B = pane("pane"), pane("a"), pane("b")


class Good:
    @hookimpl
    def omni_panes(self) -> list[SimpleNamespace]:
        return [PANE]


class Better:
    @hookimpl
    def omni_panes(self) -> list[SimpleNamespace]:
        return [A, B]


class Raises:
    @hookimpl
    def omni_panes(self) -> list[SimpleNamespace]:
        raise ZeroDivisionError("by nothing")

    @hookimpl
    def omni_engines(self) -> list[str]:
        return ["no engine"]


class Source:
    name = "own"

    def matches(self, reference: str) -> bool:
        return {"yes": True}[reference]

    async def resolve(self, reference: str, access: object) -> str:
        raise KeyError(reference)


class Engine:
    async def chat(self, request: object) -> AsyncIterator[str]:
        yield "word"
        raise ValueError("in the middle")


class Factory:
    name = "own"

    def runs(self, brain: str) -> bool:
        return brain == "mine"

    def open(self, brain: str) -> Engine:
        return Engine()


class Crooked:
    @hookimpl
    def omni_cartridge_sources(self) -> list[Source]:
        return [Source()]

    @hookimpl
    def omni_engines(self) -> list[Factory]:
        return [Factory()]


def point(name: str, value: str = "") -> EntryPoint:
    return EntryPoint(name=name, value=value or f"omni_test_plugins:{name}", group=GROUP)


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    module = SimpleNamespace(good=Good(), better=Better(), raises=Raises(), crooked=Crooked())
    monkeypatch.setitem(__import__("sys").modules, "omni_test_plugins", module)


def test_names_import_nothing() -> None:
    assert Plugins([point("b", "no.such.module:x"), point("a", "neither:y")]).names() == ["a", "b"]


def test_safe_mode_has_none() -> None:
    assert Plugins(()).names() == []


def test_all_answers_are_one_list() -> None:
    plugins = Plugins([point("good"), point("better")])
    plugins.load_all()
    assert plugins.gather("omni_panes") == [A, B, PANE]
    assert plugins.gather("omni_commands") == []


def test_loading_twice_registers_once() -> None:
    plugins = Plugins([point("good")])
    assert plugins.load("good") is plugins.load("good")
    assert plugins.gather("omni_panes") == [PANE]


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(NotFound) as caught:
        Plugins([point("good")]).load("god")
    assert "good" in caught.value.hint


def test_one_that_fails_is_named_and_stops_nobody() -> None:
    plugins = Plugins([point("bad", "no.such.module:x"), point("good")])
    plugins.load_all()
    assert plugins.gather("omni_panes") == [PANE]
    assert list(plugins.failures) == ["bad"]
    with pytest.raises(OmniError) as caught:
        plugins.load("bad")
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


def test_one_that_raises_in_a_hook_is_named_and_stops_nobody() -> None:
    plugins = Plugins([point("raises"), point("good")])
    assert plugins.gather("omni_panes") == [PANE]
    assert plugins.failures == {"raises": "The plug-in 'raises' failed in omni_panes: ZeroDivisionError: by nothing"}


def test_one_that_gives_something_else_is_named() -> None:
    plugins = Plugins([point("raises"), point("good")])
    assert plugins.gather("omni_engines") == []
    assert "str has no name, runs, open" in plugins.failures["raises"]
    assert "good" not in plugins.examine()


async def test_what_a_plug_in_made_fails_as_an_error_of_ours() -> None:
    plugins = Plugins([point("crooked")])
    (source,) = plugins.gather("omni_cartridge_sources")
    assert source.matches("yes")
    assert not source.matches("no")
    assert "failed in matches" in plugins.failures["crooked"]
    with pytest.raises(OmniError, match="'crooked' failed in resolve: KeyError"):
        await source.resolve("x", None)
    (factory,) = plugins.gather("omni_engines")
    assert factory.runs("mine")
    answer = factory.open("mine").chat(None)
    assert await anext(answer) == "word"
    with pytest.raises(EngineError, match="'crooked' failed in chat: ValueError: in the middle"):
        await anext(answer)


def test_the_second_of_one_name_is_left_out_and_said_and_a_twin_is_not() -> None:
    plugins = Plugins([point("good"), point("good", "other:thing")])
    assert plugins.gather("omni_panes") == [PANE]
    assert "other:thing is left out" in plugins.failures["good"]
    twins = Plugins([point("good"), point("good")])
    assert twins.names() == ["good"]
    assert not twins.failures


def test_every_hook_is_described() -> None:
    specs = [value for name, value in vars(hooks.Hooks).items() if name.startswith("omni_")]
    assert specs
    assert all(spec.__doc__ for spec in specs)
