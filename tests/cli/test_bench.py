"""`omni bench` with doubles of the programs that others install, and the kernel's wall around what it starts."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.bench.doubles import llama_server, ollama
from tests.cli.tools import Cli, until

pytestmark = pytest.mark.real  # every test here starts processes


def noted(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def path_with(folder: Path) -> str:
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_three_programs_stand_in_one_table_and_leave_nothing(scripted: Cli, tmp_path: Path, tiny: Path) -> None:
    programs, server_log, ollama_log = tmp_path / "bin", tmp_path / "server.log", tmp_path / "ollama.log"
    llama_server(programs, server_log)
    ollama(programs, ollama_log)
    scripted.environment |= {"LLAMA_ARG_THREADS": "1", "OLLAMA_HOST": "127.0.0.1:11434", "PATH": path_with(programs)}
    result = scripted.run("bench", "--rounds", "2", "--tokens", "64", "--import", "--json")
    assert result.code == 0, result
    document = result.json
    assert (document["brain"], document["file"], len(document["load"])) == ("@me/tiny", str(tiny), 2)
    ours, server, other = document["contestants"]
    assert [one["name"] for one in (ours, server, other)] == ["omni", "llama-server", "ollama"]
    assert all(len(one["rounds"]) == 2 and not one["reason"] for one in (ours, server, other)), document
    assert (server["version"], other["version"]) == ("9999 (abc)", "0.99.1")
    assert (server["best"]["prompt_speed"], server["best"]["answer_speed"]) == (700.0, 25.0)
    assert (other["median"]["prompt_speed"], other["median"]["answer_speed"]) == (500.0, 40.0)
    assert other["best"]["prompt_tokens"] == 710
    assert min(one["best"]["first_token"] for one in (server, other)) > 0
    assert min(ours["memory"], server["memory"]) > 1 << 20

    began, *asked = noted(server_log)
    assert began["arguments"][:2] == ["-m", str(tiny)]
    assert (began["settings"], began["network"]) == ([], "refused")
    assert [(one["max_tokens"], one["cache_prompt"]) for one in asked] == [(64, False)] * 3
    assert not lives(began["pid"])
    calls = noted(ollama_log)
    name = calls[1]["arguments"][1]
    assert [one["arguments"][0] for one in calls] == ["--version", "create", "run", "run", "run", "rm"]
    assert name.startswith("omni-bench-")
    assert calls[-1]["arguments"] == ["rm", name]
    assert calls[1]["read"].splitlines() == [
        f"FROM {tiny}", "PARAMETER num_ctx 4096", "PARAMETER num_predict 64", "PARAMETER temperature 0", "PARAMETER seed 0"
    ]  # fmt: skip
    assert [one["read"] for one in calls[2:5]] == [one["messages"][0]["content"] for one in asked]
    assert not list(scripted.home.sockets.glob("bench-*"))


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("illegal", "It ended with SIGILL: its build has instructions that this processor has not."),
        ("model", "It ended with exit code 1: "),
        ("dies", "It was ended by SIGKILL."),
        ("old", "It tells no timings."),
    ],
)
def test_a_server_that_fails_is_a_line_and_not_the_end(scripted: Cli, tmp_path: Path, fault: str, words: str) -> None:
    server = llama_server(tmp_path / "elsewhere", tmp_path / "log", fault=fault)
    result = scripted.run("bench", "--rounds", "1", "--llama-server", str(server), PATH=os.defpath)
    assert result.code == 0, result
    line = next(line for line in result.out.splitlines() if line.startswith("llama-server: "))
    assert words in line
    assert "ollama: not installed: there is no `ollama` on the PATH" in result.out
    assert next(line for line in result.out.splitlines() if line.startswith("omni  "))
    assert "Load of the machine: " in result.out


@pytest.mark.parametrize(
    ("fault", "words", "options", "environment"),
    [
        ("silent", "`ollama create` failed: Error: could not connect to ollama server", ["--import"], {}),
        ("mute", "Ollama's command does not tell its figures.", ["--import"], {}),
        ("", "it would copy this file into its store", [], {}),
        ("", "OLLAMA_HOST names another machine (10.0.0.5)", ["--import"], {"OLLAMA_HOST": "10.0.0.5"}),
    ],
)
def test_an_ollama_that_is_not_asked_is_a_line(
    scripted: Cli, tmp_path: Path, fault: str, words: str, options: list[str], environment: dict[str, str]
) -> None:
    ollama(tmp_path / "bin", tmp_path / "log", fault=fault)
    scripted.environment |= {"PATH": path_with(tmp_path / "bin"), **environment}
    result = scripted.run(
        "bench",
        "--rounds",
        "1",
        *options,
    )
    assert result.code == 0, result
    assert words in next(line for line in result.out.splitlines() if line.startswith("ollama: "))
    assert "run" not in [one["arguments"][0] for one in noted(tmp_path / "log")] or fault == "mute"


@pytest.mark.long  # three starts and ends of everything
def test_what_it_started_ends_with_it_however_it_ends(scripted: Cli, tmp_path: Path) -> None:
    programs, log = tmp_path / "bin", tmp_path / "log"
    llama_server(programs, tmp_path / "server.log")
    ollama(programs, log)
    slow = {"OMNI_TEST_SCRIPT": json.dumps({"reply": "word " * 1000, "token_ms": 50})}
    running = scripted.start(
        "bench", "--import", "--tokens", "500", env=scripted.environment | {"PATH": path_with(programs)} | slow
    )
    until(lambda: [one for one in noted(log) if one["arguments"][0] == "run"])
    (began, *_) = noted(tmp_path / "server.log")
    assert lives(began["pid"])
    os.kill(running.pid, signal.SIGKILL)
    until(lambda: not lives(began["pid"]))
    until(lambda: noted(log)[-1]["arguments"][0] == "rm")
    until(lambda: not list(scripted.home.sockets.glob("bench-*")))
