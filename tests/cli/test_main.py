"""The root command: what it imports, what short forms mean, how failures are told."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from omni.cli import main as root
from omni.cli import streams
from omni.cli.main import ALIASES, COMMANDS, in_full, omni
from omni.core import errors
from tests.cli.conftest import Call
from tests.cli.tools import ROOT, Cli

HELP = {
    "omni.cli",
    "omni.cli.main",
    "omni.cli.overriding",
    "omni.cli.plugins",
    "omni.cli.say",
    "omni.cli.streams",
    "omni.core",
    "omni.core.errors",
    "omni.core.installed",
    "omni.core.paths",
}
HEAVY = {
    "asyncio",
    "msgspec",
    "pluggy",
    "rich",
    "sqlcipher3",
    "textual",
    "psutil",
    "tomlkit",
    "xllamacpp",
    "h11",
    "uvicorn",
    "starlette",
}


def test_help_imports_no_domain() -> None:
    code = "import sys; from omni.cli.main import main; main(['--help']); print(*sorted(sys.modules), file=sys.stderr)"
    process = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    modules = set(process.stderr.split())
    assert {name for name in modules if name.startswith("omni.")} <= HELP
    assert not modules & HEAVY
    assert "chat" in process.stdout


def test_the_table_says_what_each_command_says_of_itself() -> None:
    context = click.Context(omni)
    for name, summary in COMMANDS.items():
        command = omni.get_command(context, name)
        assert command is not None
        assert (command.help or "").splitlines()[0] == summary
        assert command.name == name


def test_every_summary_fits_on_a_line_of_80_columns(call: Call) -> None:
    for name in ("", "environment", "config"):
        out = call(*filter(None, [name, "--help"])).out
        assert "..." not in out.partition("Commands:")[2]
        assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ([], ["run"]),
        (["--safe"], ["--safe", "run"]),
        (["--version"], ["--version"]),
        (["ls", "--json"], ["ls", "--json"]),
        (["list"], ["list"]),
        (["what is love"], ["chat", "what is love"]),
        (["what is love", "--json"], ["chat", "what is love", "--json"]),
        (["@roe/backend"], ["run", "@roe/backend"]),
        (["@roe/backend", "a", "b"], ["chat", "--brain", "@roe/backend", "a", "b"]),
        (["llama3.2:3b"], ["run", "llama3.2:3b"]),
        (["./my.gguf", "hello"], ["chat", "--brain", "./my.gguf", "hello"]),
        (["lss"], ["lss"]),
    ],
)
def test_short_forms(words: list[str], meant: list[str]) -> None:
    assert in_full(words) == meant


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["chat", "--gpu", "Why?"], ["chat", "--gpu=on", "Why?"]),
        (["chat", "--gpu"], ["chat", "--gpu=on"]),
        (["chat", "--gpu", "off", "Why?"], ["chat", "--gpu", "off", "Why?"]),
        (["chat", "--gpu=auto", "--", "--gpu"], ["chat", "--gpu=auto", "--", "--gpu"]),
        (["What is it?", "--gpu"], ["chat", "What is it?", "--gpu=on"]),
        (["@roe/a", "--gpu", "Why?"], ["chat", "--brain", "@roe/a", "--gpu=on", "Why?"]),
        (["a-plug-ins", "--gpu", "x"], ["a-plug-ins", "--gpu", "x"]),
    ],
)
def test_gpu_alone_means_on_whatever_comes_after_it(words: list[str], meant: list[str]) -> None:
    assert in_full(words) == meant


def test_ollamas_names_work_and_are_not_in_the_help(call: Call) -> None:
    assert call("list", "--json").json == call("ls", "--json").json
    for name in ("run", "pull", "show", "rm", "ps", "stop"):
        assert call(name, "--help").code == 0
    assert not {f"  {alias} " for alias in ALIASES} & set(call("--help").out)
    assert "\n  list " not in call("--help").out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["shw"], "There is no command 'shw'.\n      Did you mean 'show'?"),
        (["chat", "--jsn"], "No such option '--jsn'. Did you mean '--json'?"),
        (["config", "sett"], "No such command 'sett'. Did you mean 'set'?\n      `omni config --help` tells more."),
        (["show"], "Missing argument 'BRAIN'.\n      `omni show --help` tells more."),
        (["audit", "--last", "-1"], "Invalid value for '--last'"),
        (["stop", "--all", "x"], "--all ends everything"),
        (["rm"], "Neither a BRAIN nor --unused was given."),
        (["chat"], "There is no question"),
        (["run"], "There is no question"),
        (["config", "get", "ui.them"], "There is no setting 'ui.them'.\n      Did you mean 'ui.theme'?"),
        (["airgap", "off"], "There is no terminal to ask in.\n      Add --yes"),
        (["export", "somewhere", "--only-brains"], "--only-brains names no BRAIN."),
    ],
)
def test_what_is_not_understood_is_said_in_a_sentence_and_a_hint(call: Call, words: list[str], message: str) -> None:
    refused = call(*words)
    assert (refused.code, refused.out) == (2, "")
    assert refused.err.startswith("omni: ")
    assert message in refused.err


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        (
            errors.OmniError("It failed.", hint="Do this.\nOr that."),
            1,
            "omni: It failed.\n      Do this.\n      Or that.\n",
        ),
        (errors.UsageError("It failed."), 2, "omni: It failed.\n"),
        (errors.NotFound("It failed."), 3, "omni: It failed.\n"),
        (errors.SetupError("It failed."), 4, "omni: It failed.\n"),
        (errors.EngineError("It failed."), 5, "omni: It failed.\n"),
        (errors.ContextOverflow("It failed.", needed=2, allocated=1), 6, "omni: It failed.\n"),
        (errors.NetworkBlocked("It failed."), 7, "omni: It failed.\n"),
        (errors.BadFile("It \x1b[31mfailed\x07."), 8, "omni: It failed.\n"),
        (errors.StorageError("It failed."), 9, "omni: It failed.\n"),
        (OSError(errno.ENOSPC, "No space left on device"), 9, "omni: The disk that holds the output is full.\n"),
        (
            OSError(errno.EROFS, "Read-only file system", "/a"),
            4,
            "omni: /a cannot be written: Read-only file system.\n",
        ),
        (KeyboardInterrupt(), 130, "omni: interrupted\n"),
        (click.Abort(), 130, "omni: interrupted\n"),
        (BrokenPipeError(), 130, ""),
        (click.exceptions.Exit(3), 3, ""),
    ],
)
def test_every_failure_has_its_exit_code(
    call: Call, monkeypatch: pytest.MonkeyPatch, raised: BaseException, code: int, said: str
) -> None:
    def fail() -> None:
        raise raised

    monkeypatch.setattr(root.LazyGroup, "get_command", lambda *_: click.Command("ls", callback=fail))
    monkeypatch.setattr(streams, "let_go", lambda: None)
    failed = call("ls")
    assert failed.code == code
    assert failed.err.startswith(said)
    assert failed.out == ""


def test_what_nobody_explained_stays_an_exception(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise PermissionError(errno.EACCES, "no")

    monkeypatch.setattr(root.LazyGroup, "get_command", lambda *_: click.Command("ls", callback=fail))
    with pytest.raises(PermissionError):
        call("ls")


def test_a_folder_that_is_gone_is_said(cli: Cli, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    refused = cli.run(prefix=("sh", "-c", f'cd {gone} && rmdir {gone} && exec "$@" ps', "sh"))
    assert (refused.code, refused.out) == (4, "")
    assert refused.err == "omni: The folder that you are in does not exist any more.\n      Change to another one.\n"


def test_the_version_is_one_line(call: Call) -> None:
    from omni import __version__

    assert call("--version") == (0, f"omni {__version__}\n", "")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_trouble(cli: Cli, closed: str) -> None:
    shown = cli.run(prefix=("sh", "-c", f'exec "$@" config get ui.theme {closed}', "sh"))
    assert shown.code == 0
    assert shown.err == ""
    assert shown.out == ("" if ">&- " in f"{closed} " and closed != "2>&-" else "omni-dark\n")


def test_a_full_disk_behind_the_output_is_said(cli: Cli) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with Path("/dev/full").open("wb") as full:
        process = cli.start("config", "show", stdout=full)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 9
    assert err.decode().startswith("omni: The disk that holds the output is full.\n")
    assert "Traceback" not in err.decode()
    assert "Exception ignored" not in err.decode()


def test_who_reads_no_further_gets_no_traceback(cli: Cli) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    process = cli.start("config", "show", stdout=writer)
    os.close(writer)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, b"")
