"""Plug-ins: listing imports nothing, one that fails has a name, and never stops the others."""

from importlib.metadata import EntryPoint
from types import SimpleNamespace

import pytest

from omni.core import hooks
from omni.core.errors import NotFound, OmniError
from omni.core.hooks import GROUP, Hooks, Plugins, hookimpl


class Good:
    @hookimpl
    def omni_panes(self) -> list[str]:
        return ["pane"]


class Better:
    @hookimpl
    def omni_panes(self) -> list[str]:
        return ["a", "b"]


def point(name: str, value: str = "") -> EntryPoint:
    return EntryPoint(name=name, value=value or f"omni_test_plugins:{name}", group=GROUP)


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    module = SimpleNamespace(good=Good(), better=Better())
    monkeypatch.setitem(__import__("sys").modules, "omni_test_plugins", module)


def test_names_import_nothing() -> None:
    assert Plugins([point("b", "no.such.module:x"), point("a", "neither:y")]).names() == ["a", "b"]


def test_safe_mode_has_none() -> None:
    assert Plugins(()).names() == []


def test_all_answers_are_one_list() -> None:
    plugins = Plugins([point("good"), point("better")])
    plugins.load_all()
    assert sorted(plugins.gather("omni_panes")) == ["a", "b", "pane"]
    assert plugins.gather(Hooks.omni_commands) == []


def test_loading_twice_registers_once() -> None:
    plugins = Plugins([point("good")])
    assert plugins.load("good") is plugins.load("good")
    assert plugins.gather("omni_panes") == ["pane"]


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(NotFound) as caught:
        Plugins([point("good")]).load("god")
    assert "good" in caught.value.hint


def test_one_that_fails_is_named_and_stops_nobody() -> None:
    plugins = Plugins([point("bad", "no.such.module:x"), point("good")])
    plugins.load_all()
    assert plugins.gather("omni_panes") == ["pane"]
    assert list(plugins.failures) == ["bad"]
    with pytest.raises(OmniError) as caught:
        plugins.load("bad")
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


def test_two_of_one_name_are_an_error_and_a_twin_is_not() -> None:
    with pytest.raises(OmniError, match="Two plug-ins"):
        Plugins([point("good"), point("good", "other:thing")]).names()
    assert Plugins([point("good"), point("good")]).names() == ["good"]


def test_every_hook_is_described() -> None:
    specs = [value for name, value in vars(hooks.Hooks).items() if name.startswith("omni_")]
    assert specs
    assert all(spec.__doc__ for spec in specs)
