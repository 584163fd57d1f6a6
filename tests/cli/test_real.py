"""The command line with the real starter brain, the kernel's own walls, full disks and broken downloads."""

import ctypes
import hashlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from omni.core.paths import Home
from tests.cartridges.conftest import gguf_bytes
from tests.cli.tools import REAL, Cli, until
from tests.image_tools import IMAGE_TOKENS, png, write_projector
from tests.slow_server import SlowServer

pytestmark = pytest.mark.real


def test_the_starter_answers_and_is_measured(starter: Cli) -> None:
    (name,) = [one["name"] for one in starter.run("ls", "--here", "--json").json if not one["shares"]]
    answered = starter.run("chat", "Write one sentence about the sea.")
    assert answered.code == 0
    assert len(answered.out.split()) >= 2
    assert answered.err == ""
    json_answer = starter.run("chat", "--json", "Count from one to twenty in words.")
    assert json_answer.events[-1]["usage"]["completion_tokens"] > 0
    (shown,) = [one for one in starter.run("ls", "--json").json if one["name"] == name]
    assert shown["state"] == "ready"
    (worker,) = starter.processes("worker")
    assert worker["brains"][0] == name
    assert "Seccomp:\t2" in Path(f"/proc/{worker['pid']}/status").read_text()


def test_every_process_tries_the_wall(scripted: Cli) -> None:
    slow = {"OMNI_TEST_SCRIPT": json.dumps({"reply": "word " * 1000, "token_ms": 200})}
    other = scripted.start("chat", "go", env=scripted.environment | slow)
    assert other.stdout is not None
    assert os.read(other.stdout.fileno(), 10)
    report = scripted.run("doctor", "--confinement", "--json")
    assert (report.code, report.err) == (0, "")
    trials = report.json
    by_kind = {kind: [one for one in trials if one["kind"] == kind] for kind in {one["kind"] for one in trials}}
    assert set(by_kind) == {"client", "keeper", "starter", "airlock", "worker"}
    assert {"this command", f"cli-{other.pid}"} == {one["process"] for one in by_kind["client"]}
    assert len({one["process"] for one in by_kind["starter"]}) == 2
    for one in [*by_kind["client"], *by_kind["worker"]]:
        assert (one["refused"], one["confined"]) == (True, "seccomp")
    for one in [*by_kind["keeper"], *by_kind["starter"], *by_kind["airlock"]]:
        assert one["confined"] == "none"
        assert one["attempt"] != "AF_INET" or not one["refused"]
    assert {one["by"] for one in by_kind["starter"]} == {"a child", "a grandchild"}
    assert all(one["expected"] for one in trials)
    text = scripted.run("doctor", "--confinement").out
    assert "airlock" in text
    assert "allowed: the door" in text
    assert "could, and does not" in text
    assert text.endswith("The confinement holds.\n")
    scripted.run("airgap", "on")
    gapped = scripted.run("doctor", "--wall")  # as it was spelled before
    assert gapped.code == 0
    assert "omni: `omni doctor --wall` is `omni doctor --confinement` now" in gapped.err
    assert "omni: not tried: an airlock: The air gap is on" in gapped.err


def test_a_worker_killed_in_mid_answer_costs_nothing(starter: Cli) -> None:
    starter.run("config", "set", "chat.max_completion_tokens", "60")
    running = starter.start("chat", "Write a very long story about the sea.")
    assert running.stdout is not None
    begun = os.read(running.stdout.fileno(), 10).decode()
    (worker,) = starter.processes("worker")
    os.kill(worker["pid"], signal.SIGKILL)
    finished = starter.finish(running)
    assert finished.code == 0
    assert finished.err.startswith("omni: cut at the longest answer") or not finished.err
    assert len((begun + finished.out).split()) > 20
    assert starter.processes("worker")[0]["pid"] != worker["pid"]


def test_ctrl_c_gives_the_place_back_at_once(starter: Cli) -> None:
    running = starter.start("chat", "Write a very long story about the sea.")
    assert running.stdout is not None
    assert os.read(running.stdout.fileno(), 10)
    running.send_signal(signal.SIGINT)
    assert starter.finish(running, 5.0).code == 130
    assert "0 of " in starter.processes("worker")[0]["detail"]


def test_too_long_for_a_small_context_is_told_with_figures(starter: Cli) -> None:
    starter.run("config", "set", "engine.context", "512")
    refused = starter.run("chat", "hello there " * 500)
    assert refused.code == 6
    assert "512 are allocated" in refused.err
    assert starter.run("chat", "Say hello.").code == 0


def test_an_installed_brain_needs_no_network(starter: Cli) -> None:
    if subprocess.run(["unshare", "-n", "true"], capture_output=True).returncode:
        pytest.skip("network namespaces are not allowed here")
    assert starter.run("chat", "Say hello.", prefix=("unshare", "-n")).code == 0


def test_a_home_of_200_bytes(tmp_path: Path, starter_gguf: Path) -> None:
    home = Home(tmp_path / ("d" * (200 - len(str(tmp_path)) - 1)))
    assert len(str(home.root)) == 200
    cli = Cli(home, REAL)
    try:
        assert cli.run("pull", str(starter_gguf)).code == 0
        assert cli.run("chat", "Say hello.").code == 0
        assert cli.processes("worker")
    finally:
        cli.close()
        shutil.rmtree(home.sockets, ignore_errors=True)


# -- disks


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 3 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    if os.getuid() != 0 or libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", 0, b"size=3m,mode=0700"):
        pytest.skip("only root may mount a small disk, where it may at all")
    yield folder
    libc.umount2(os.fsencode(folder), 2)


def fill(folder: Path) -> Path:
    path = folder / "filler"
    with path.open("wb", buffering=0) as file:
        try:
            while file.write(b"\0" * 4096):
                pass
        except OSError:
            pass
    return path


def test_a_full_disk_is_told_and_nothing_is_lost(disk: Path, tiny: Path) -> None:
    from tests.cli.tools import SCRIPTED

    cli = Cli(Home(disk / "home"), SCRIPTED)
    try:
        assert cli.run("pull", str(tiny)).code == 0
        assert cli.run("chat", "one").code == 0
        no_room = cli.run("pull", "@omni/smollm2")
        assert no_room.code == 9
        assert len(no_room.err.splitlines()) == 2
        filler = fill(disk)
        for words in (["chat", "two"], ["config", "set", "ui.theme", "x"]):
            ended = cli.run(*words)
            assert (ended.code, ended.out) == (9, ""), ended
            assert "is full" in ended.err
            assert "Traceback" not in ended.err
        assert cli.run("ps").code == 0
        assert cli.run("stop", "--all").code == 0
        for words in (["ps"], ["airgap", "on"]):  # without a keeper, which cannot start
            ended = cli.run(*words)
            assert ended.code == 0, ended
        assert cli.home.air_gap.exists()
        cli.run("airgap", "off", "--yes")
        filler.unlink()
        assert cli.run("chat", "-c", "three").out == "You said: three\n"
        fill(disk)
        assert cli.run("uninstall", "--yes").code == 0
        assert not cli.home.root.exists()
    finally:
        cli.close()


def test_a_disk_that_fills_up_in_mid_answer(disk: Path, tiny: Path) -> None:
    from tests.cli.tools import SCRIPTED

    cli = Cli(Home(disk / "home"), SCRIPTED)
    words = {"OMNI_TEST_SCRIPT": json.dumps({"reply": "word " * 40, "endless": 1, "token_ms": 1})}
    try:
        cli.run("pull", str(tiny))
        cli.run("config", "set", "chat.max_completion_tokens", "1500")
        running = cli.start("chat", "go", env=cli.environment | words)
        assert running.stdout is not None
        assert os.read(running.stdout.fileno(), 10)
        filler = fill(disk)
        failed = cli.finish(running)
        assert failed.code == 9, failed
        assert "is full" in failed.err
        assert "Traceback" not in failed.err
        filler.unlink()
        assert cli.run("chat", "next").out == "You said: next\n"
    finally:
        cli.close()


def test_a_read_only_disk_is_one_sentence(disk: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.mount(b"tmpfs", os.fsencode(disk), b"tmpfs", 0x1 | 0x20, b"") == 0  # MS_RDONLY | MS_REMOUNT
    for home in (disk, disk / "home"):
        cli = Cli(Home(home), REAL)
        cli.folder = disk.parent
        for words in (["chat", "hi"], ["ls"], ["pull", "x.gguf"], ["airgap", "on"], ["config", "set", "ui.theme", "x"]):
            refused = cli.run(*words)
            assert (refused.code, refused.out) == (4, ""), refused
            assert refused.err.startswith(f"omni: The home folder {home} ")
            assert len(refused.err.splitlines()) == 2
        for words in (["config", "show"], ["audit"], ["ps"], ["uninstall", "--dry-run"], ["--help"]):
            assert cli.run(*words).code == 0


# -- downloads


@pytest.fixture
def slow() -> Iterator[SlowServer]:
    server = SlowServer(gguf_bytes(tensors=[("token_embd.weight", (256, 40_000), 12)]))
    yield server
    server.close()


@pytest.mark.parametrize("how", ["airlock", "ctrl+c", "kill", "air gap"])
def test_an_interrupted_download_is_told_and_goes_on(cli: Cli, home: Home, slow: SlowServer, how: str) -> None:
    running = cli.start("pull", slow.url)
    assert slow.half_sent.wait(30)
    until(lambda: any(path.stat().st_size > 1_000_000 for path in home.cartridges.rglob("*") if path.is_file()))
    if how == "airlock":
        os.kill(cli.processes("airlock")[0]["pid"], signal.SIGKILL)
        codes = {7}
    elif how == "air gap":
        assert cli.run("airgap", "on").code == 0
        codes = {7}
    else:
        running.send_signal(signal.SIGINT if how == "ctrl+c" else signal.SIGKILL)
        codes = {130, -signal.SIGKILL}
    interrupted = cli.finish(running, 30)
    assert interrupted.code in codes, interrupted
    assert "Traceback" not in interrupted.err
    if how in ("airlock", "air gap"):
        assert "omni: " in interrupted.err
    if how == "ctrl+c":
        assert interrupted.err.endswith("omni: interrupted; the same command goes on where it stopped\n")
    if how == "air gap":
        assert cli.run("pull", slow.url).code == 7
        cli.run("airgap", "off", "--yes")
    assert cli.run("ls", "--here", "--json").json == []
    slow.go_on.set()
    again = cli.run("pull", slow.url)
    assert again.code == 0, again
    (brain,) = [one for one in cli.run("ls", "--here", "--json").json if not one["shares"]]
    assert hashlib.sha256(Path(brain["path"]).read_bytes()).hexdigest() == brain["sha256"]
    assert cli.run("show", brain["name"], "--verify").code == 0
    assert cli.run("audit").out.count("127.0.0.1") >= 2


def test_a_download_of_another_process_is_listed_and_stopped_and_goes_on(
    cli: Cli, home: Home, slow: SlowServer
) -> None:
    running = cli.start("pull", slow.url)
    assert slow.half_sent.wait(30)
    until(lambda: any(path.stat().st_size > 1_000_000 for path in home.cartridges.rglob("*") if path.is_file()))
    (owner,) = until(lambda: [one for one in cli.processes("client") if one["jobs"]])
    (work,) = owner["jobs"]
    assert (owner["pid"], work["kind"], work["about"], work["state"]) == (running.pid, "pull", slow.url, "running")
    assert f"a download of {slow.url}" in cli.run("ps").out
    assert "what came of it is kept" in cli.run("stop", work["id"]).out
    stopped = cli.finish(running, 30)
    assert (stopped.code, "Another window stopped this" in stopped.err) == (1, True), stopped
    slow.go_on.set()
    again = cli.run("pull", slow.url)
    assert again.code == 0, again
    assert max(slow.starts) > 1_000_000


def test_a_brain_is_shown_an_image(starter: Cli, starter_gguf: Path) -> None:
    folder = starter.folder / "m"
    folder.mkdir()
    shutil.copy(starter_gguf, folder / "starter.gguf")
    write_projector(folder / "mmproj-starter.gguf")
    (starter.folder / "p.png").write_bytes(png())
    starter.run("config", "set", "chat.max_completion_tokens", "16")
    brain = ("--brain", str(folder / "starter.gguf"))
    shown = starter.run("chat", "--json", *brain, "--image", "p.png", "What is this?")
    assert shown.code == 0, shown.err
    counted = next(event["tokens"] for event in shown.events if event["type"] == "prompt_counted")
    plain = starter.run("chat", "--json", *brain, "What is this?")
    assert counted - next(e["tokens"] for e in plain.events if e["type"] == "prompt_counted") >= IMAGE_TOKENS
    assert starter.run("chat", "-c", "-b", str(folder / "starter.gguf"), "And @p.png?").code == 0


def test_a_brain_without_eyes_refuses_an_image_in_words(starter: Cli) -> None:
    (starter.folder / "p.png").write_bytes(png())
    refused = starter.run("chat", "--image", "p.png", "What is this?")
    assert refused.code == 2
    assert "cannot see: it reads text only" in refused.err
