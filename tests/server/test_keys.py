"""Keys at rest, and what two processes do to them at once."""

import json
import multiprocessing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from omni.core.errors import BadFile, NotFound, StorageError, UsageError
from omni.server.keys import ApiKeys


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "server" / "keys.json"


def test_a_key_is_shown_once_and_kept_as_a_hash(path: Path) -> None:
    keys = ApiKeys(path)
    secret = keys.add("laptop")
    assert secret.startswith("omni-")
    assert len(secret) >= len("omni-") + 43  # 256 bits in base64
    assert secret not in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o077 == 0
    [key] = keys.all()
    assert (key.name, key.scopes, key.used) == ("laptop", ("chat",), None)
    assert keys.add("other") != secret


def test_only_the_right_key_is_one(path: Path) -> None:
    keys = ApiKeys(path)
    assert keys.check("omni-x") is None
    secret = keys.add("admin", ("chat", "admin"))
    for wrong in ("", "omni-", secret[:-1], secret + "x", secret.upper(), "\ud800", keys.all()[0].sha256):
        assert keys.check(wrong) is None
    key = keys.check(secret)
    assert key is not None
    assert key.scopes == ("chat", "admin")


def test_the_day_of_the_last_use_is_noted_once(path: Path) -> None:
    keys = ApiKeys(path)
    secret = keys.add("a")
    keys.check(secret)
    today = datetime.now(UTC).date()
    assert keys.all()[0].used in (today, today - timedelta(days=1))
    before = path.stat().st_mtime_ns
    keys.check(secret)
    assert path.stat().st_mtime_ns == before


def test_a_key_that_is_revoked_elsewhere_holds_no_longer(path: Path) -> None:
    server, command = ApiKeys(path), ApiKeys(path)
    secret = command.add("a")
    assert server.check(secret)
    command.revoke("a")
    assert server.check(secret) is None
    with pytest.raises(NotFound):
        command.revoke("a")
    command.add("laptop")
    with pytest.raises(NotFound) as caught:
        command.revoke("labtop")
    assert "laptop" in caught.value.hint


@pytest.mark.parametrize("name", ["", "-x", "a b", "ä", "x" * 65, "a\nb", "../x"])
def test_names_that_are_none(path: Path, name: str) -> None:
    with pytest.raises(UsageError):
        ApiKeys(path).add(name)


def test_a_name_is_taken_once_and_scopes_are_known(path: Path) -> None:
    keys = ApiKeys(path)
    keys.add("a")
    with pytest.raises(UsageError, match="There is a key"):
        keys.add("a")
    with pytest.raises(UsageError, match="scopes"):
        keys.add("b", ())
    unknown: Any = "root"
    with pytest.raises(UsageError, match="scopes"):
        keys.add("b", (unknown,))


@pytest.mark.parametrize("text", ["", "{", '{"keys": 5}', '{"keys": [{"name": "x"}]}', "\xff"])
def test_a_damaged_file_lets_nobody_in(path: Path, text: str) -> None:
    path.parent.mkdir()
    path.write_text(text, "latin-1")
    with pytest.raises(BadFile):
        ApiKeys(path).check("omni-x")
    with pytest.raises(BadFile):
        ApiKeys(path).add("a")
    assert path.read_text("latin-1") == text


def test_a_full_disk_keeps_nobody_out(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = ApiKeys(path)
    secret = keys.add("a")

    def full(*_: object, **__: object) -> None:
        raise StorageError("full")

    monkeypatch.setattr("omni.server.keys.write_atomic", full)
    assert keys.check(secret)
    assert keys.all()[0].used is None
    with pytest.raises(StorageError):
        keys.add("b")


def _add(path: Path, number: int) -> None:
    for each in range(10):
        ApiKeys(path).add(f"{number}-{each}")


def test_two_processes_at_once_lose_nothing(path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_add, args=(path, number)) for number in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    today = datetime.now(UTC).date()
    assert len(ApiKeys(path).all()) == 30
    assert json.loads(path.read_text())["keys"][0]["created"] in (str(today), str(today - timedelta(days=1)))
