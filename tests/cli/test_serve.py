"""`omni serve key`: what is printed, and what is not."""

import json

import pytest

from omni.cli.main import main
from omni.core.paths import Home
from omni.server.keys import Keys


@pytest.fixture
def run(home: Home, capsys: pytest.CaptureFixture[str]):  # type: ignore[no-untyped-def]
    def one(*words: str) -> tuple[int, str, str]:
        code = main(["serve", "key", *words])
        found = capsys.readouterr()
        return code, found.out, found.err

    return one


def test_a_key_is_printed_alone_so_that_a_script_can_take_it(run, home: Home) -> None:  # type: ignore[no-untyped-def]
    code, out, err = run("add", "laptop")
    assert code == 0
    found = Keys(home.keys).check(out.strip())
    assert found is not None
    assert found.scopes == ("chat",)
    assert "only time" in err
    assert out.strip() not in run("ls")[1]


def test_keys_are_listed_and_revoked(run) -> None:  # type: ignore[no-untyped-def]
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


def test_a_name_that_is_none_is_refused(run) -> None:  # type: ignore[no-untyped-def]
    code, out, err = run("add", "a b")
    assert (code, out) == (2, "")
    assert "no name for a key" in err
