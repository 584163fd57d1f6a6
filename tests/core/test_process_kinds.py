"""What a kind of process may be is checked when it is offered, when it is written, and when it is read."""

import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from omni.core.errors import BadFile, UsageError
from omni.core.hooks import ProcessKind, hookimpl
from omni.core.installed import GROUP
from omni.core.plugins import Plugins
from omni.core.process_kinds import FILE, GrantedKind, asked_for, plain, read_kinds, to_bytes

KIND = {"name": "it", "about": "works", "target": "package.module:run", "memory": 100_000_000}
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"name": "a.b"}, "the name 'a.b' of a process kind"),
    ({"name": "x" * 41}, "of a process kind is not a letter with at most 39"),
    ({"target": "module"}, "'module:function' is expected"),
    ({"target": "module:run; import os"}, "'module:function' is expected"),
    ({"target": 5}, "is expected"),
    ({"memory": 1}, "memory of the process kind 'it' is 1, and 64000000 to"),
    ({"memory": True}, "memory of the process kind 'it' is True"),
    ({"memory": 1 << 60}, "memory of the process kind 'it'"),
    ({"keep_alive": -1}, "keep_alive of the process kind 'it' is -1, and 0 to 86400"),
    ({"priority": "first"}, "is none of interactive, agent, background"),
    ({"doors": ("install",)}, "what can be asked for: pull"),
    ({"doors": "pull"}, "what can be asked for: pull"),
]


@pytest.mark.parametrize(("given", "said"), WRONG)
def test_what_is_none_is_named_when_it_is_offered(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], said: str
) -> None:
    class Offers:
        @hookimpl
        def omni_process_kinds(self) -> list[ProcessKind]:
            return [ProcessKind(**{**KIND, **given}), ProcessKind(**{**KIND, "name": "good"})]  # type: ignore[arg-type]

    monkeypatch.setitem(sys.modules, "omni_test_kinds", SimpleNamespace(it=Offers()))
    plugins = Plugins([EntryPoint("it", "omni_test_kinds:it", GROUP)])
    assert [offer.item.name for offer in plugins.offers("omni_process_kinds")] == ["good"]
    assert said in plugins.failures["it"]


@pytest.mark.parametrize(("given", "said"), WRONG)
def test_what_is_none_is_refused_when_it_was_tried_and_when_it_is_read(
    tmp_path: Path, given: dict[str, Any], said: str
) -> None:
    row = plain(GrantedKind(**{key: value for key, value in KIND.items() if key != "about"}))  # type: ignore[arg-type]
    with pytest.raises(UsageError) as asked:
        asked_for("plugin", row | given)
    assert said in asked.value.message
    named = {"name": f"plugin.{given.get('name', 'it')}"} if given.get("name") != "a.b" else {"name": ".b"}
    (tmp_path / FILE).write_bytes(to_bytes([GrantedKind(**row | given | named)]))
    with pytest.raises(BadFile):
        read_kinds(tmp_path)


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    kinds = [asked_for("a.b-c", plain(GrantedKind("it", "m:f", 1 << 30, ("pull",), "agent", 0)))]
    (tmp_path / FILE).write_bytes(to_bytes(kinds))
    assert read_kinds(tmp_path) == {"a.b-c.it": GrantedKind("a.b-c.it", "m:f", 1 << 30, ("pull",), "agent", 0)}
    with pytest.raises(UsageError, match=r"two kinds of process named 'a\.b-c\.it'"):
        to_bytes(kinds * 2)


def test_without_a_file_nothing_is_granted(tmp_path: Path) -> None:
    assert read_kinds(tmp_path) == {}


@pytest.mark.parametrize("row", [5, {}, {"name": 5}, {"more": 1}])
def test_a_row_that_is_none_is_refused(row: Any) -> None:
    with pytest.raises(UsageError, match="'plugin' asks for what is no kind of process"):
        asked_for("plugin", row)
