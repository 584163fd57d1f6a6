"""Plug-ins: listing imports nothing, one that fails has a name, and never stops the others."""

import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any

import pytest
from msgspec import Meta

from omni.core import hooks
from omni.core.errors import EngineError, NotFound, OmniError
from omni.core.hooks import DoctorCheck, SlashCommand, hookimpl
from omni.core.installed import GROUP
from omni.core.plugins import HOOKS, Plugins
from omni.core.settings import Section


def pane(name: str) -> SimpleNamespace:
    return SimpleNamespace(name=name, title=name, target="m:C", letter=name[0])


FOREVER = threading.Event()  # never set
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


class Slow:
    @hookimpl
    def omni_panes(self) -> list[SimpleNamespace]:
        FOREVER.wait()
        return []


class Floods:
    @hookimpl
    def omni_panes(self) -> Iterator[SimpleNamespace]:
        while True:
            yield pane("flood")


class Waits:
    @hookimpl
    def omni_doctor_checks(self) -> list[DoctorCheck]:
        async def run(services: object) -> list[object]:
            return []

        return [DoctorCheck(name="waits", run=run), DoctorCheck(name="keeper", run=lambda _: [])]


class Named:
    """Has the names of others."""

    @hookimpl
    def omni_commands(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(name="ls", callback=None, get_short_help_str=str)]

    @hookimpl
    def omni_panes(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(name="other", title="Other", target="m:C", letter="P")]

    @hookimpl
    def omni_slash_commands(self) -> list[SlashCommand]:
        return [SlashCommand(name="new", about="", run=lambda _: "")]

    @hookimpl
    def omni_cartridge_sources(self) -> list[Any]:
        return [SimpleNamespace(name="url", matches=bool, resolve=print)]

    @hookimpl
    def omni_engines(self) -> list[Any]:
        return [SimpleNamespace(name="xllamacpp", runs=bool, open=print)]


class Needy(Section, frozen=True):
    """Settings that nobody could leave out."""

    folder: str


class Broken(Section, frozen=True):
    """Settings whose default is none of its own."""

    most: Annotated[int, Meta(le=50)] = 500


class OffersNeedy:
    @hookimpl
    def omni_settings(self) -> list[Any]:
        return [Needy]


class OffersBroken:
    @hookimpl
    def omni_settings(self) -> list[Any]:
        return [Broken]


class Misspelt:
    @hookimpl
    def omni_toolz(self) -> list[Any]:
        return []


def point(name: str, value: str = "") -> EntryPoint:
    return EntryPoint(name=name, value=value or f"omni_test_plugins:{name}", group=GROUP)


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    module = SimpleNamespace(
        good=Good(),
        better=Better(),
        raises=Raises(),
        crooked=Crooked(),
        slow=Slow(),
        floods=Floods(),
        waits=Waits(),
        named=Named(),
        needy=OffersNeedy(),
        broken=OffersBroken(),
        misspelt=Misspelt(),
    )
    monkeypatch.setitem(sys.modules, "omni_test_plugins", module)


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


class Named5:
    """What the classes of `hooks` let pass, as they check no types."""

    name, about, takes, run, then = 5, "x", "", print, "say"


class Uncallable(Named5):
    name, run = "uncallable", "run"  # type: ignore[assignment]


class TwoWords(Named5):
    name = "two words"  # type: ignore[assignment]


class Property(Named5):
    @property
    def name(self) -> str:  # type: ignore[override]
        raise self.about  # type: ignore[misc]


class AngryProperty(Property):
    about = ValueError("angry")  # type: ignore[assignment]


class LeavingProperty(Property):
    about = SystemExit(3)  # type: ignore[assignment]


class InterruptingProperty(Property):
    about = KeyboardInterrupt()  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("thing", "said"),
    [
        (Named5, "name of a Named5 is int, and a text is expected"),
        (Uncallable, "run of a Uncallable is str, and a function is expected"),
        (TwoWords, "the name 'two words' of a TwoWords is not one word"),
        (AngryProperty, "ValueError: angry"),
        (LeavingProperty, "SystemExit: 3"),
        (InterruptingProperty, "RuntimeError: it raised KeyboardInterrupt"),
    ],
)
def test_a_thing_of_wrong_types_is_named_and_left_out(
    monkeypatch: pytest.MonkeyPatch, thing: Callable[[], Any], said: str
) -> None:
    class Wrong:
        @hookimpl
        def omni_slash_commands(self) -> list[Any]:
            return [thing()]

    monkeypatch.setattr(sys.modules["omni_test_plugins"], "wrong", Wrong(), raising=False)
    plugins = Plugins([point("wrong"), point("good")])
    assert plugins.offers("omni_slash_commands") == []
    assert said in plugins.failures["wrong"]
    assert "good" not in plugins.failures


def test_a_section_that_is_no_class_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    class Wrong:
        @hookimpl
        def omni_settings(self) -> list[Any]:
            return [SlashCommand(name="x", about="x", run=str)]

    monkeypatch.setattr(sys.modules["omni_test_plugins"], "wrong", Wrong(), raising=False)
    plugins = Plugins([point("wrong")])
    assert plugins.offers("omni_settings") == []
    assert "SlashCommand has no __name__" in plugins.failures["wrong"]


class Leaves:
    name = "leaves"

    def matches(self, reference: str) -> bool:
        raise SystemExit(4)

    async def resolve(self, reference: str, access: object) -> str:
        raise SystemExit(4)

    @hookimpl
    def omni_cartridge_sources(self) -> list[Any]:
        return [self]


async def test_a_source_that_would_end_the_process_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["omni_test_plugins"], "wrong", Leaves(), raising=False)
    plugins = Plugins([point("wrong")])
    (source,) = plugins.gather("omni_cartridge_sources")
    assert not source.matches("x")
    assert "'wrong' failed in matches: SystemExit: 4" in plugins.failures["wrong"]
    with pytest.raises(OmniError, match="'wrong' failed in resolve: SystemExit: 4"):
        await source.resolve("x", None)


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


def test_every_hook_is_known_with_what_it_takes() -> None:
    assert set(HOOKS) == {name for name in vars(hooks.Hooks) if name.startswith("omni_")}


def test_what_omni_itself_adds_is_registered_by_the_same_hooks() -> None:
    from omni.cli.main import COMMANDS
    from omni.shell.panes import BUILT_IN

    plugins = Plugins(())
    own = {hook: plugins.own(hook) for hook in HOOKS}
    assert set(COMMANDS) < set(own["omni_commands"])
    assert tuple(own["omni_panes"]) == BUILT_IN
    assert [each.name for each in own["omni_cartridge_sources"]] == ["hugging face", "url"]
    assert own["omni_engines"] == ["xllamacpp"]
    assert {"keeper", "brains"} < {check.name for check in own["omni_doctor_checks"]}
    assert {"new", "retry"} < {command.name for command in own["omni_slash_commands"]}
    assert plugins.names() == []
    assert plugins.gather("omni_cartridge_sources", own=True) == own["omni_cartridge_sources"]


@pytest.mark.parametrize(
    ("hook", "said"),
    [
        ("omni_commands", "the command 'ls', which Omni has already"),
        ("omni_panes", "the letter of a pane 'p', which the plug-in 'good' has already"),
        ("omni_slash_commands", "the slash command 'new', which Omni has already"),
        ("omni_cartridge_sources", "the source 'url', which Omni has already"),
        ("omni_engines", "the engine 'xllamacpp', which Omni has already"),
    ],
)
def test_a_name_that_is_taken_is_said_in_words_that_name_both(hook: str, said: str) -> None:
    plugins = Plugins([point("good"), point("named")])
    assert [offer.plugin for offer in plugins.offers(hook)] == (["good"] if hook == "omni_panes" else [])
    assert f"The plug-in 'named' offers {said}" in plugins.failures["named"]
    assert "good" not in plugins.failures


def test_one_that_hangs_costs_only_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(hooks.LIMITS, "hook", 0.05)
    plugins = Plugins([point("slow"), point("good")])
    assert plugins.gather("omni_panes") == [PANE]
    assert plugins.failures == {
        "slow": "The plug-in 'slow' failed in omni_panes: TimeoutError: no answer within 0.05 s"
    }


def test_one_that_hangs_while_it_is_imported_costs_only_itself(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "omni_test_hangs.py").write_text("import threading\nthreading.Event().wait()\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(hooks.LIMITS, "load", 0.2)
    plugins = Plugins([point("hangs", "omni_test_hangs"), point("good")])
    assert plugins.gather("omni_panes") == [PANE]
    assert "'hangs' failed to load: TimeoutError" in plugins.failures["hangs"]


def test_one_that_floods_costs_only_itself() -> None:
    plugins = Plugins([point("floods"), point("good")])
    assert plugins.gather("omni_panes") == [PANE]
    assert "more than 100 things" in plugins.failures["floods"]


def test_what_would_run_on_the_loop_is_refused_and_what_has_omnis_name_is_left_out() -> None:
    plugins = Plugins([point("waits")])
    assert plugins.offers("omni_doctor_checks") == []
    assert "'keeper', which Omni has already" in plugins.failures["waits"]
    plugins.gather_from("waits", "omni_doctor_checks")
    assert "run is a coroutine function" in plugins.failures["waits"]


def test_a_call_that_takes_too_long_names_the_plug_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(hooks.LIMITS, "slash", 0.05)
    plugins = Plugins([point("good")])
    with pytest.raises(OmniError, match="The plug-in 'good' failed in wait: TimeoutError"):
        plugins.call("good", "slash", FOREVER.wait)
    with pytest.raises(NotFound, match="mine"):
        plugins.call("good", "slash", _not_found)


def _not_found() -> None:
    raise NotFound("It is not mine.")


def test_settings_without_defaults_that_fit_are_left_out_by_name() -> None:
    plugins = Plugins([point("needy"), point("broken"), point("good")])
    assert plugins.settings_sections() == {}
    assert "Needy.folder has no default" in plugins.failures["needy"]
    assert "the defaults of Broken do not fit" in plugins.failures["broken"]


def test_what_is_marked_as_a_hook_and_is_none_is_said_with_the_nearest_one() -> None:
    plugins = Plugins([point("misspelt")])
    plugins.load_all()
    assert "has 'omni_toolz', which is no hook" in plugins.failures["misspelt"]
    assert "omni_tools" in plugins.failures["misspelt"]


def test_no_plug_in_is_omni_itself() -> None:
    plugins = Plugins([point("Omni", "omni_test_plugins:better"), point("good")])
    assert plugins.names() == ["good"]
    assert [each.name for each in plugins.gather("omni_cartridge_sources", own=True)] == ["hugging face", "url"]
    assert "which only Omni itself is" in plugins.failures["Omni"]
