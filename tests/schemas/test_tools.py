"""Tools of plug-ins: what is none is named when it is offered; arguments are proved, and the person told what was expected."""

import sys
from importlib.metadata import EntryPoint
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec import Struct

from omni.core.errors import UsageError
from omni.core.hooks import PluginTool, hookimpl
from omni.core.installed import GROUP
from omni.core.plugins import Plugins
from omni.schemas import expected, parameters_of, proved_arguments


class Place(Struct, frozen=True, kw_only=True):
    town: str


class Wanted(Struct, frozen=True, kw_only=True):
    where: Place
    days: int = 1


OBJECT: dict[str, Any] = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}, "required": ["n"]}


def tool(**given: Any) -> PluginTool:
    return PluginTool(**{"name": "t", "about": "a", "parameters": OBJECT, "run": str, "touches": (), **given})


class Offers:
    def __init__(self, *tools: Any) -> None:
        self._tools = tools

    @hookimpl
    def omni_tools(self) -> list[Any]:
        return list(self._tools)


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What comes of some tools that a plug-in offers: the names that are taken, and what is said of the rest."""

    def offer(*tools: Any) -> tuple[list[str], str]:
        monkeypatch.setitem(sys.modules, "omni_test_tools", SimpleNamespace(it=Offers(*tools)))
        plugins = Plugins([EntryPoint("it", "omni_test_tools:it", GROUP)])
        return [each.item.name for each in plugins.offers("omni_tools")], plugins.failures.get("it", "")

    return offer


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"name": "two.parts"}, "1 to 64 letters"),
        ({"name": "x" * 65}, "1 to 64 letters"),
        ({"touches": ["read"]}, "a tuple of read, write, shell, network, input is expected"),
        ({"touches": ("files",)}, "('files',)"),
        ({"parameters": {"type": "string"}}, '"type": "object"'),
        ({"parameters": 5}, '"type": "object"'),
        ({"parameters": {"type": "object", "properties": 5}}, "parameters of the tool 't'"),
        ({"parameters": {"type": "object", "properties": {"a": {"$ref": "#/none"}}}}, "parameters of the tool 't'"),
        ({"parameters": {"type": "object", "required": ["a"], "properties": {"a": False}}}, "Nothing can be"),
        ({"run": "no function"}, "a function is expected"),
    ],
)
def test_what_is_no_tool_is_named_and_the_others_are_taken(offered: Any, given: dict[str, Any], said: str) -> None:
    names, failure = offered(tool(**given), tool(name="good"))
    assert names == ["good"]
    assert "The plug-in 'it' failed in omni_tools" in failure
    assert said in failure


def test_a_struct_is_its_schema_and_its_value_is_what_the_tool_gets() -> None:
    made = tool(parameters=Wanted)
    assert parameters_of(made)["type"] == "object"
    assert proved_arguments(made, {"where": {"town": "Ur"}}) == Wanted(where=Place(town="Ur"))
    with pytest.raises(UsageError, match="at #/where") as caught:
        proved_arguments(made, {"where": {"town": 5}})
    assert caught.value.hint == "It takes where, [days: integer]."


def test_arguments_are_proved_against_a_schema() -> None:
    assert proved_arguments(tool(), {"n": 2}) == {"n": 2}
    wrongs: list[Any] = [{}, {"n": 0}, {"n": "2"}, [], None, 5]
    for wrong in wrongs:
        with pytest.raises(UsageError, match="no arguments of t"):
            proved_arguments(tool(), wrong)
    assert expected(tool()) == "n: integer"
    assert expected(tool(parameters={"type": "object"})) == "an object"


class Branch(Struct, frozen=True, kw_only=True):
    name: str
    below: tuple["Branch", ...] = ()


class Row(Struct, frozen=True, array_like=True):
    name: str


def test_a_struct_may_hold_itself_and_must_be_an_object(offered: Any) -> None:
    names, said = offered(tool(name="tree", parameters=Branch), tool(name="row", parameters=Row))
    assert names == ["tree"]
    assert "Row is none in JSON" in said
    leaf = {"name": "a", "below": [{"name": "b"}]}
    assert proved_arguments(tool(parameters=Branch), leaf) == Branch(name="a", below=(Branch(name="b"),))
    with pytest.raises(UsageError, match="no arguments of t"):
        proved_arguments(tool(parameters=Branch), {"name": "a", "below": [{"name": 1}]})


def test_one_tool_of_wrong_touches_costs_only_itself(offered: Any) -> None:
    names, said = offered(tool(name="good"), tool(name="bad", touches=([],)))
    assert names == ["good"]
    assert "touches of the tool 'bad'" in said
