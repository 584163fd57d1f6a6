"""Panes of plug-ins: reached by g and a letter and by name; what they do wrong costs the shell nothing."""

from pathlib import Path
from typing import Any, ClassVar, Never

import pytest
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Button

from omni.core.settings import Settings, UiSettings
from omni.shell.app import OmniApp
from omni.shell.foreign import admitted
from omni.shell.pane import Pane
from omni.shell.panes import BUILT_IN, PaneSpec
from omni.shell.widgets import Lines, ink
from tests.shell.fakes import said, sample_services, screen_text, settled, shell


class Works(Pane):
    """A plug-in's."""

    can_focus = True

    def compose(self) -> ComposeResult:
        yield Lines(ink("from a plug-in"))

    def take_focus(self) -> None:
        self.focus()


class InConstructor(Pane):
    def __init__(self, services: object) -> None:
        raise ValueError("boom")


class InCompose(Pane):
    def compose(self) -> ComposeResult:
        yield Lines(ink("before"))
        raise ValueError("boom")


class InMount(Works):
    def on_mount(self) -> None:
        raise ValueError("boom")


class InLoop(Works):
    def on_mount(self) -> None:
        while True:
            pass


class InWorker(Works):
    def on_mount(self) -> None:
        self.run_worker(self.fail())

    async def fail(self) -> None:
        raise ValueError("boom")


class InTimer(Works):
    def on_mount(self) -> None:
        self.set_timer(0.001, self.fail)

    def fail(self) -> None:
        raise ValueError("boom")


class InKey(Works):
    BINDINGS: ClassVar[list[BindingType]] = [Binding("x", "fail", "Fail", id="x")]

    def action_fail(self) -> None:
        raise ValueError("boom")


class InMessage(Pane):
    def compose(self) -> ComposeResult:
        yield Button("press")

    def take_focus(self) -> None:
        self.query_one(Button).focus()

    def on_button_pressed(self) -> None:
        raise ValueError("boom")


class InRender(Works):
    def compose(self) -> ComposeResult:
        yield Crooked(ink(""))


class Crooked(Lines):
    def render(self) -> Never:
        raise ValueError("boom")


def spec(name: str, **changed: str) -> PaneSpec:
    given: dict[str, Any] = {
        "title": name,
        "target": f"{__name__}:{name}",
        "letter": "x",
        "about": "of a plug-in",
        **changed,
    }
    return PaneSpec(name=name.lower(), **given)


def opened(root: Path, *offered: object) -> OmniApp:
    services = sample_services(root, settings=Settings(ui=UiSettings(ready=True)))
    services.plugins.panes = list(offered)
    return shell(root, services=services)


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or _this())


def _this() -> object:
    from types import SimpleNamespace

    return SimpleNamespace(**globals())


async def test_it_is_in_the_rail_and_found_by_its_name(tmp_path: Path) -> None:
    app = opened(tmp_path, spec("Works", letter="w"))
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        assert "g w" in screen_text(app)
        await pilot.press("ctrl+p")
        await settled(pilot)
        await pilot.press(*"Works")
        await settled(pilot)
        await pilot.press("enter")
        await settled(pilot)
        assert "from a plug-in" in screen_text(app)


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("InConstructor", ()),
        ("InCompose", ()),
        ("InMount", ()),
        ("InWorker", ()),
        ("InTimer", ()),
        ("InKey", ("x",)),
        ("InMessage", ("enter",)),
        ("InRender", ()),
    ],
)
@pytest.mark.usefixtures("fails_on_purpose")
async def test_one_that_fails_says_so_in_its_place(tmp_path: Path, name: str, keys: tuple[str, ...]) -> None:
    app = opened(tmp_path, spec(name))
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        await pilot.press("f10", "g", "x")
        await settled(pilot)
        await pilot.press(*keys)
        for _ in range(50):
            await pilot.pause()
            if "failed" in screen_text(app):
                break
        assert f"{name} failed" in screen_text(app)
        assert "ValueError: boom" in screen_text(app)
        await pilot.press("f10")
        await settled(pilot)
        assert app.rail.active == "system"
        await pilot.press("g", "x")
        await settled(pilot)
        assert f"{name} failed" in screen_text(app)
        assert app.crash is None


async def test_what_cannot_be_shown_is_said(tmp_path: Path) -> None:
    app = opened(tmp_path, spec("Works"), spec("InKey"), "no pane")
    app.services.plugins.failures = {"bad": "The plug-in 'bad' failed to load: on purpose"}
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        text = said(app)
        assert "'bad' failed to load: on purpose" in text
        assert "InKey of a plug-in is left out: g x shows Works" in text
        assert "'no pane', which is no PaneSpec" in text
        assert list(app.panes)[-1] == "works"


def test_what_is_admitted() -> None:
    here = {pane.name: pane for pane in BUILT_IN}
    panes, complaints = admitted(
        [spec("Chat"), spec("A", letter="ab"), spec("B", letter="1"), spec("C", key="f3")], here
    )
    assert [pane.name for pane in panes] == ["c"]
    assert panes[0].key == ""
    assert len(complaints) == 3
