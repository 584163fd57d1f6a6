"""`omni engine`, as a person types it."""

from pathlib import Path

import pytest

from omni.core.landlock import NONE
from omni.core.paths import Home
from omni.core.settings import Settings
from tests.cli.conftest import Call
from tests.cli.tools import Cli
from tests.runtime_tools import fake_server


def test_an_engine_is_added_shown_with_its_hash_chosen_and_removed(home: Home, tmp_path: Path, call: Call) -> None:
    program = fake_server(tmp_path / "llama-server")
    added = call("engine", "add", str(program), "--no-try")
    assert (added.code, added.out) == (0, "llama-server is here, version 4242 0badcafe.\n")
    assert f"llama-server: the program {program}" in added.err
    assert "sha256 " in added.err
    assert "It is a stranger's program" in added.err
    assert [row["name"] for row in call("engine", "ls", "--json").json] == ["xllamacpp", "llama-server"]
    assert call("engine", "use", "llama-server").code == 0
    assert Settings.load(home.config).engine.use == "llama-server"
    listed = call("engine", "ls").out
    assert "not tried" in listed
    assert "The setting engine.use is llama-server" in listed
    removed = call("engine", "rm", "llama-server")
    assert removed.out.startswith("llama-server is removed; ")
    assert "the best one is used now" in removed.err
    assert Settings.load(home.config).engine.use == "auto"
    assert not list(home.engines.glob("llama*"))


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("use", "lost"), 3, "No engine is named 'lost'."),
        (("rm", "xllamacpp"), 2, "The engine that comes with Omni cannot be removed."),
        (("rm", "lost"), 3, "No engine is named 'lost'."),
        (("add", "/nowhere/llama-server"), 3, "/nowhere/llama-server is not there."),
        (("tune", "@me/lost"), 3, "@me/lost"),
        (("add", "what is this?"), 2, "is neither a wheel"),
    ],
)
def test_what_is_not_there_is_said(call: Call, words: tuple[str, ...], code: int, told: str) -> None:
    result = call("engine", *words)
    assert result.code == code
    assert told in result.err


def test_where_the_kernel_holds_no_program_to_folders_it_is_said(
    home: Home, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def doctor() -> dict[str, object]:
        (told,) = [one for one in call("doctor", "--json").json if one["name"] == "landlock"]
        return dict(told)

    monkeypatch.setattr("omni.core.landlock.missing", lambda: "")
    assert "that you may" not in call("engine", "ls").out
    assert doctor()["ok"]
    monkeypatch.setattr("omni.core.landlock.missing", lambda: NONE)
    assert f"may change every file that you may: {NONE}." in call("engine", "ls").out
    assert NONE in str(doctor()["detail"])
    assert doctor()["ok"]  # nothing of a stranger's is here
    (home.engines / "lost").mkdir(parents=True)
    assert not doctor()["ok"]


def test_a_broken_engine_is_listed_with_its_reason(home: Home, call: Call) -> None:
    (home.engines / "lost").mkdir(parents=True)
    result = call("engine", "ls")
    assert result.code == 0
    assert "The engine 'lost' cannot be used: it holds no engine.json." in result.out
    assert call("engine", "rm", "lost").code == 0
    assert "lost" not in call("engine", "ls").out


@pytest.mark.real
@pytest.mark.long
def test_a_brain_is_measured_and_what_was_ahead_is_shown(starter: Cli) -> None:
    result = starter.run("engine", "tune")
    assert result.code == 0
    lines = [line.split() for line in result.out.splitlines()]
    assert {line[1] for line in lines[1:]} == {"64", "128", "256", "512"}
    assert sum(line[-1] == "*" for line in lines) == 1


@pytest.mark.real
def test_an_engine_that_crashes_is_told_when_it_is_added_and_listed(starter: Cli, tmp_path: Path) -> None:
    program = fake_server(tmp_path / "llama-server", before="os.kill(os.getpid(), signal.SIGILL)")
    added = starter.run("engine", "add", str(program))
    words = "ends with an illegal instruction with Q4_1 and Q8_0: its code is for processors of another kind"
    assert added.code == 0, added.err
    assert words in added.out
    rows = {row["name"]: row for row in starter.run("engine", "ls", "--json").json}
    assert [tried["trial"]["words"] for tried in rows["llama-server"]["tried"]] == [words]
    [own] = rows["xllamacpp"]["tried"]
    assert own["used"]
    assert own["trial"]["llguidance"]
    assert own["trial"]["speeds"]["prompt"] > own["trial"]["speeds"]["answer"] > 0
    assert starter.run("engine", "use", "llama-server").code == 0
    answered = starter.run("chat", "Say hello.")
    assert answered.code == 0
    assert answered.out.strip()
    assert answered.err.count(f"llama-server {words}, so that xllamacpp answers") == 1


def with_a_wrong_shape(gguf: bytes) -> bytes:
    """The file with one matrix lying on its side, which llama.cpp only sees when it loads it."""
    name = b"blk.3.ffn_down.weight"
    at = gguf.index(name) + len(name) + 4  # behind the number of dimensions
    return gguf[:at] + gguf[at + 8 : at + 16] + gguf[at : at + 8] + gguf[at + 16 :]


@pytest.mark.real
@pytest.mark.long
def test_a_broken_brain_is_not_measured_with_and_the_next_one_of_its_quantisation_is(
    starter: Cli, starter_gguf: Path, tmp_path: Path
) -> None:
    """Both have one size, and the broken one comes first by its name."""
    broken = tmp_path / "aaa-broken.gguf"
    broken.write_bytes(with_a_wrong_shape(starter_gguf.read_bytes()))
    assert starter.run("pull", str(broken)).code == 0
    tried = starter.run("engine", "try")
    assert tried.code == 0, tried.err
    refused = "xllamacpp cannot load @me/aaa-broken: check_tensor_dims: tensor 'blk.3.ffn_down.weight' has wrong shape"
    assert tried.err.count(refused) == 1
    [row] = starter.run("engine", "ls", "--json").json
    [trial] = [one["trial"] for one in row["tried"]]
    assert trial["speeds"]["prompt"] > 0
    assert trial["brain"] != "@me/aaa-broken"
