"""The command line at a terminal: the plain conversation, consent, progress, the Tab key."""

import json
import os
import sys
from pathlib import Path

import pytest

from omni.cartridges import PullStatus
from omni.cli.progress import Progress
from omni.core.paths import Home
from tests.cli.tools import ROOT, Cli, Terminal, until

pytestmark = pytest.mark.real  # every test here starts processes


def scripted_terminal(cli: Cli, *words: str, **settings: object) -> Terminal:
    return cli.terminal(*words, OMNI_TEST_SCRIPT=json.dumps(settings))


def test_a_conversation_line_by_line(scripted: Cli) -> None:
    screen = scripted_terminal(scripted, "chat")
    assert "omni: @me/tiny answers; ctrl+c stops an answer, an empty line or ctrl+d ends" in screen.read("you> ")
    screen.type("hello there\n")
    assert "You said: hello there\r\n" in screen.read("you> ")
    screen.type("/help\n")
    assert "here only /bye is known" in screen.read("you> ")
    screen.type("and again\n")
    assert "You said: and again" in screen.read("you> ")
    screen.type("/bye\n")
    assert screen.end() == 0
    assert "\x1b" not in screen.screen  # a dumb terminal knows none


@pytest.mark.parametrize("leave", ["\n", "\x04", "/bye\n"])
def test_three_ways_to_leave(scripted: Cli, leave: str) -> None:
    screen = scripted_terminal(scripted, "chat")
    screen.read("you> ")
    screen.type(leave)
    assert screen.end() == 0, screen.screen


def test_ctrl_c_stops_the_answer_and_twice_quits(scripted: Cli) -> None:
    screen = scripted_terminal(scripted, "chat", reply="on ", endless=1, token_ms=5)
    screen.read("you> ")
    screen.type("go\n")
    screen.read("on on")
    screen.type("\x03")
    screen.read("omni: stopped; what came is kept")
    screen.read("you> ")
    screen.type("\x03")
    screen.read("ctrl+c once more")
    screen.read("you> ")
    screen.type("go\n")
    screen.read("on on")
    screen.type("\x03")
    screen.read("you> ")
    screen.type("\x03")
    screen.read("you> ")
    screen.type("\x03")
    assert screen.end() == 130


def test_a_failed_turn_is_told_and_the_next_may_be_asked(scripted: Cli) -> None:
    screen = scripted_terminal(scripted, "chat")
    screen.read("you> ")
    screen.type("see @/etc/passwd\n")
    screen.read("outside the project")
    screen.read("you> ")
    screen.type("hello\n")
    screen.read("You said: hello")
    screen.read("you> ")
    screen.type("\x04")
    assert screen.end() == 0


def test_ctrl_c_in_one_answer_says_one_line(scripted: Cli) -> None:
    screen = scripted_terminal(scripted, "chat", "go", reply="on ", endless=1, token_ms=5)
    screen.read("on on")
    screen.type("\x03")
    assert screen.end() == 130
    assert screen.screen.splitlines()[-1] == "omni: stopped; what came is kept: `omni chat -c` goes on from it"
    assert "Traceback" not in screen.screen


def test_a_brain_cannot_write_to_the_terminal_itself(scripted: Cli) -> None:
    screen = scripted_terminal(scripted, "chat", "go", reply="a\x1b]52;c;eA==\x07b\x1b[2J")
    assert screen.end() == 0
    assert screen.screen == "ab\r\n"
    assert (
        "\x1b[2J" in scripted.run("chat", "go", OMNI_TEST_SCRIPT=json.dumps({"reply": "\x1b[2J"})).out
    )  # a file keeps it


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_a_terminal_gets_only_what_it_can_show(scripted: Cli, locale: str) -> None:
    screen = scripted.terminal("chat", "go", LC_ALL=locale, OMNI_TEST_SCRIPT=json.dumps({"reply": "café 😊"}))
    assert screen.end() == 0
    assert screen.screen == ("caf? ?\r\n" if locale == "C" else "café 😊\r\n")


def test_a_long_prompt_is_announced_and_loading_too(scripted: Cli) -> None:
    screen = scripted_terminal(scripted, "chat", "word " * 900, load_ms=1500, context=8192)
    screen.read("omni: loading @me/tiny")
    screen.read("You said: word")
    assert screen.end() == 0


def test_a_pipe_that_stays_open_is_announced(scripted: Cli) -> None:
    reader, writer = os.pipe()
    os.set_inheritable(reader, True)
    command = ["bash", "-c", f'exec "$@" <&{reader}', "bash", *scripted.command, "chat", "hi"]
    os.set_inheritable(writer, False)
    screen = Terminal(command, scripted.environment)
    try:
        screen.read("omni: reading standard input to its end")
        os.close(writer)
        screen.read("You said: hi")
        assert screen.end() == 0
    finally:
        screen.kill()
        os.close(reader)


def test_without_a_brain_the_starter_is_offered_and_no_is_the_default(cli: Cli) -> None:
    for answer in ("\n", "n\n", "\x04"):
        screen = cli.terminal("chat", "hi")
        screen.read("No brain is here yet. Download SmolLM2 starter (98 MB) now? [y/N] ")
        screen.type(answer)
        assert screen.end() == 3
        assert "`omni pull @omni/smollm2` fetches the starter (98 MB)." in screen.screen
    cli.run("airgap", "on")
    screen = cli.terminal("chat", "hi", "-b", "@omni/coder")
    screen.read("@omni/coder is not here yet. Download Qwen coder 1.5B (1.1 GB) now? [y/N] ")
    screen.type("y\n")
    assert screen.end() == 7


def test_without_a_terminal_nothing_is_offered(cli: Cli) -> None:
    refused = cli.run("chat", "hi")
    assert (refused.code, refused.out) == (3, "")
    assert refused.err.splitlines()[0] == "omni: No brain is here yet."


@pytest.mark.parametrize(("answer", "code", "open_again"), [("\n", 1, False), ("no\n", 1, False), ("y\n", 0, True)])
def test_doors_open_only_with_consent(cli: Cli, home: Home, answer: str, code: int, open_again: bool) -> None:
    cli.run("airgap", "on")
    screen = cli.terminal("airgap", "off")
    screen.read("listens again. [y/N] ")
    screen.type(answer)
    assert screen.end() == code
    assert ("omni: Nothing was changed." in screen.screen) is not open_again
    assert home.air_gap.exists() is not open_again


def test_ctrl_c_at_a_question_is_a_no(cli: Cli, home: Home) -> None:
    cli.run("ls")
    screen = cli.terminal("uninstall")
    screen.read("Remove all of it? [y/N] ")
    screen.type("\x03")
    assert screen.end() == 130
    assert home.root.exists()


def test_a_dumb_terminal_is_sent_to_chat(cli: Cli) -> None:
    screen = cli.terminal("run")
    assert screen.end() == 4
    assert screen.screen.replace("\r", "") == (
        "omni: This terminal (TERM=dumb) cannot show the full-screen shell.\n"
        "      `omni chat` is a conversation line by line, which works everywhere.\n"
    )


# -- the Tab key


def completed(cli: Cli, line: str, word: str = "") -> list[str]:
    """What bash's function offers for a line with the cursor at its end."""
    shim = cli.folder / "bin" / "omni"
    shim.parent.mkdir(exist_ok=True)
    shim.write_text(f'#!/bin/sh\nexec {sys.executable} -m omni "$@"\n')
    shim.chmod(0o755)
    ask = (
        'eval "$(omni completion bash)"; COMP_LINE=$1; COMP_POINT=${#1}; compopt() { :; };'
        '_omni_completion omni; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    process = cli.run(
        prefix=("bash", "--norc", "-c", ask, "bash", line), PATH=f"{shim.parent}:{cli.environment['PATH']}"
    )
    assert (process.code, process.err) == (0, "")
    return process.out.split()


def test_tab_completes_commands_options_and_brains(cli: Cli, tiny: Path) -> None:
    cli.command = []
    assert completed(cli, "omni sho") == ["show"]
    assert {"chat", "ls", "pull"} <= set(completed(cli, "omni "))
    assert "list" not in completed(cli, "omni l")
    assert completed(cli, "omni chat --js") == ["--json"]
    assert completed(cli, "omni config ") == ["check", "get", "path", "set", "show"]
    assert completed(cli, "omni airgap o") == ["on", "off"]
    assert completed(cli, "omni show @omni/cod") == ["omni/coder"]  # bash takes the @ for a word of its own
    assert completed(cli, "omni chat -b @me/") == []
    assert completed(cli, "omni nothing ") == []


def test_tab_in_a_real_bash(cli: Cli) -> None:
    cli.command = []
    completed(cli, "omni ")  # makes the command
    path = f"{cli.folder / 'bin'}:{cli.environment['PATH']}"
    screen = Terminal(
        ["bash", "--norc", "--noprofile", "-i"], cli.environment | {"PATH": path, "PS1": "$ ", "TERM": "dumb"}
    )
    try:
        screen.type('eval "$(omni completion bash)"; echo ready$((1 + 1))\n')
        screen.read("ready2")
        screen.type("omni unin\t--dry-\t\n")
        screen.read("omni uninstall --dry-run ")
        screen.read(" in all.")
    finally:
        screen.kill()


def test_tab_before_set_up_sets_nothing_up(cli: Cli, home: Home) -> None:
    environment = {key: value for key, value in cli.environment.items() if key != "OMNI_ENVIRONMENT"}
    environment |= {"_OMNI_COMPLETE": "bash_complete", "COMP_WORDS": "omni\nsh", "COMP_CWORD": "1"}
    import subprocess

    process = subprocess.run(
        [sys.executable, "-S", "-m", "omni"], cwd=ROOT, env=environment, capture_output=True, timeout=60
    )
    assert (process.returncode, process.stderr) == (0, b"")
    assert not home.venvs.exists()


# -- progress


def test_progress_rewrites_one_line_in_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("omni.cli.progress.time.monotonic", lambda: now[0])
    monkeypatch.setattr("shutil.get_terminal_size", lambda **_: os.terminal_size((40, 24)))
    progress = Progress(rewrite=True)
    for done in (1, 50, 98):
        now[0] += 1
        progress.show(PullStatus(name="@a/b", done=done * 10**6, total=98 * 10**6, rate=5e6, seconds_left=120.0))
        progress.show(PullStatus(name="@a/b", total=98))  # too soon
    progress.end("done")
    lines = capsys.readouterr().err.split("\r")
    assert lines[1].rstrip() == "@a/b  50 MB of 98 MB  51 %  5 MB/s  2 m"
    assert all(len(line.rstrip("\n")) <= 40 for line in lines)
    assert lines[-1].strip() == "done"


def test_progress_is_a_line_now_and_then_elsewhere(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("omni.cli.progress.time.monotonic", lambda: now[0])
    progress = Progress(rewrite=False)
    for _ in range(11):
        now[0] += 1
        progress.show(PullStatus(name="@a/b", done=10**6))
    progress.end()
    assert capsys.readouterr().err == "@a/b  1 MB\n@a/b  1 MB\n"


def test_until_is_bounded() -> None:
    with pytest.raises(AssertionError, match="in vain"):
        until(lambda: False, 0.01)


@pytest.mark.parametrize("words", [["smolm2:1b"], ["run", "@omni/smolm2"], ["./none.gguf"]])
def test_the_shell_does_not_open_for_a_brain_that_nothing_has(cli: Cli, words: list[str]) -> None:
    screen = cli.terminal(*words, TERM="xterm-256color")
    assert screen.end() == 3
    assert screen.screen.startswith("omni: ")
    assert "\x1b" not in screen.screen
