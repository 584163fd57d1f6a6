"""`omni serve` and `omni serve key`: what is printed, and what is not."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from omni.cli.main import main
from omni.core.paths import Home
from omni.server import start
from omni.server.keys import ApiKeys
from omni.server.serving import AddressStatus

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(home: Home, capsys: pytest.CaptureFixture[str]) -> Run:
    def one(*words: str) -> tuple[int, str, str]:
        code = main(["serve", "key", *words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return one


def test_a_key_is_printed_alone_so_that_a_script_can_take_it(run: Run, home: Home) -> None:
    code, out, err = run("add", "laptop")
    assert code == 0
    key = ApiKeys(home.keys).check(out.strip())
    assert key is not None
    assert key.scopes == ("chat",)
    assert "only time" in err
    assert out.strip() not in run("ls")[1]


def test_keys_are_listed_and_revoked(run: Run) -> None:
    assert "There is no key" in run("ls")[1]
    made = json.loads(run("add", "a", "--scope", "admin", "--json")[1])
    assert made["scopes"] == ["chat", "admin"]
    assert made["key"].startswith("omni-")
    head, row = run("ls")[1].splitlines()
    assert head.split() == ["name", "scopes", "made", "used"]
    assert row.startswith("a     chat, admin")
    [listed] = json.loads(run("ls", "--json")[1])
    assert (listed["name"], listed["used"]) == ("a", None)
    assert json.loads(run("revoke", "a", "--json")[1]) == {"name": "a", "revoked": True}
    code, _, err = run("revoke", "a")
    assert code == 3
    assert "no key named 'a'" in err


def test_a_name_that_is_none_is_refused(run: Run) -> None:
    code, out, err = run("add", "a b")
    assert (code, out) == (2, "")
    assert "no name for a key" in err


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server whose address opens, and opens again, and which then ends."""

    def run(home: Home, wish: start.Wish, tell: Callable[..., None], **_: Any) -> None:
        async def serve() -> None:
            from omni.app import Services

            async with Services(home, starter=None, client="server") as services:
                for again in (False, True):
                    door = AddressStatus(url="http://127.0.0.1:11434", port=11434, again=again)
                    tell(services, lambda: "token", start.StartupNotice(door=door))
                    await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()})

        asyncio.run(serve())

    monkeypatch.setattr(start, "run", run)


@pytest.mark.usefixtures("opened")
def test_a_server_without_any_brain_says_once_how_to_get_one(call: Callable[..., Any], tiny: Path) -> None:
    served = call("serve")
    assert served.out == "Omni serves at http://127.0.0.1:11434\n"
    assert served.err.count("omni: no brain is here yet: `omni pull @omni/smollm2`") == 1
    assert call("pull", str(tiny)).code == 0
    assert "no brain" not in call("serve").err
