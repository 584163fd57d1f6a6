"""Plug-ins as they are really installed: found by their metadata, reached from every front end, harmless when broken."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from omni.core.installed import InstalledPlugins, PluginCommand
from omni.core.paths import Home
from omni.core.plugins import Plugins
from tests.plugin_tools import ROOT, install, omni

COMMANDS = """
import click
from omni.core.hooks import hookimpl
from omni.core import confinement

@click.command("greet")
@click.argument("whom")
def greet(whom):
    "Say hello to WHOM."
    click.echo(f"hello {whom}, {confinement.state().kind}")

@click.command("pull")
def pull():
    "Not Omni's."
    click.echo("stolen")

@hookimpl
def omni_commands():
    return [greet, pull]
"""
RAISES = """
from omni.core.hooks import hookimpl

@hookimpl
def omni_commands():
    raise RuntimeError("on purpose")
"""


@pytest.fixture
def packages(home: Home) -> Iterator[Path]:
    """The folder for plug-ins of a home, of which nothing stays imported."""
    path, modules = list(sys.path), set(sys.modules)
    yield home.plugins
    sys.path[:] = path
    for name in {name for name in sys.modules if name.startswith("omni_test_")} - modules:
        del sys.modules[name]


def test_names_are_listed_without_importing(home: Home, packages: Path) -> None:
    install(packages, "explodes", "raise SystemExit('imported')")
    assert Plugins(home=home).names() == ["explodes"]


def test_a_package_anywhere_on_the_path_is_found(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path / "site", "elsewhere", "")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert Plugins(home=home).names() == ["elsewhere"]


def test_the_metadata_is_read_once_until_something_is_installed(
    home: Home, packages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from omni.core import installed

    looks: list[int] = []
    scan = installed.scan

    def noted(folders: list[str]) -> list[installed.PluginEntryPoint]:
        looks.append(1)
        return scan(folders)

    monkeypatch.setattr(installed, "scan", noted)
    install(packages, "one", "")
    assert Plugins(home=home).names() == Plugins(home=home).names() == ["one"]
    assert len(looks) == 1
    install(packages, "two", "")
    assert Plugins(home=home).names() == ["one", "two"]
    assert len(looks) == 2


@pytest.mark.parametrize("text", ["", "{", "[]", '{"folders": 1}', '{"folders": [], "plugins": 1, "commands": 2}'])
def test_a_list_that_is_no_list_is_made_anew(home: Home, packages: Path, text: str) -> None:
    install(packages, "one", "")
    home.plugin_list.write_text(text)
    assert Plugins(home=home).names() == ["one"]
    assert json.loads(home.plugin_list.read_text())["plugins"][0][0] == "one"


def test_without_a_home_there_are_plug_ins_and_no_list(tmp_path: Path) -> None:
    home = Home(tmp_path / "none")
    assert InstalledPlugins(home).commands(lambda: [PluginCommand("a", "b", "c")]) == []
    assert not home.root.exists()


def test_safe_mode_looks_at_nothing(home: Home, packages: Path) -> None:
    install(packages, "one", "raise RuntimeError")
    assert Plugins((), home=home).gather("omni_commands") == []
    assert not home.plugin_list.exists()


async def test_the_services_load_them_unless_told_not_to(home: Home, packages: Path) -> None:
    from omni.app import Services

    install(packages, "hello", COMMANDS)
    async with Services(home, starter=None, client="test") as services:
        assert services.plugins.names() == ["hello"]
    async with Services(home, starter=None, client="test", plugins=False) as services:
        assert services.plugins.names() == []
        assert services.plugins.gather("omni_commands") == []


def test_a_plug_in_cannot_hide_a_module_of_ours(home: Home, packages: Path) -> None:
    install(packages, "one", "import click, json\nFROM = click.__file__")
    (packages / "click.py").write_text("raise RuntimeError('the wrong click')")
    assert str(packages) not in Plugins(home=home).load("one").FROM


# --- the command line


def test_a_command_stands_in_the_help_and_runs_behind_the_wall(home: Home, packages: Path) -> None:
    install(packages, "hello", COMMANDS)
    first = omni(home, "--help")
    assert "\n\nPlug-ins:\n  greet  Say hello to WHOM.\n" in first.stdout
    assert "'hello' offers the command 'pull', which Omni has already" in first.stderr
    module = packages / "omni_test_hello.py"
    source = module.read_text()
    module.write_text("raise RuntimeError('the help imports nothing')")
    assert omni(home, "--help").stdout == first.stdout
    module.write_text(source)
    ran = omni(home, "greet", "Ada")
    assert ran.stdout.startswith("hello Ada, ")
    assert "seccomp" in ran.stdout or sys.platform != "linux"
    assert "Usage: omni greet [OPTIONS] WHOM" in omni(home, "greet", "--help").stdout
    assert "stolen" not in omni(home, "pull", "--help").stdout
    assert "Did you mean 'greet'?" in omni(home, "gret").stderr


def test_safe_leaves_commands_out(home: Home, packages: Path) -> None:
    install(packages, "hello", COMMANDS)
    assert "Plug-ins" not in omni(home, "--safe", "--help").stdout
    ran = omni(home, "--safe", "greet", "Ada")
    assert ran.returncode == 2
    assert "no command 'greet'" in ran.stderr


def test_a_command_written_a_moment_ago_is_found(home: Home, packages: Path) -> None:
    install(packages, "hello", COMMANDS)
    omni(home, "--help")
    (packages / "omni_test_hello.py").write_text(COMMANDS.replace('"greet"', '"salute"'))
    assert omni(home, "salute", "Ada").stdout.startswith("hello Ada")
    assert omni(home, "greet", "Ada").returncode == 2


@pytest.mark.parametrize("source", [RAISES, "import no_such_module", "def broken(", "raise SystemExit(3)"])
def test_a_broken_one_is_named_and_the_others_work(home: Home, packages: Path, source: str) -> None:
    install(packages, "hello", COMMANDS)
    install(packages, "broken", source)
    shown = omni(home, "--help")
    assert shown.returncode == 0
    assert "greet" in shown.stdout
    assert "The plug-in 'broken' failed" in shown.stderr
    assert "Traceback" not in shown.stderr
    assert omni(home, "greet", "Ada").returncode == 0
    assert "The plug-in 'broken' failed" in omni(home, "greeet").stderr


def test_the_help_without_plug_ins_imports_no_more_than_before(home: Home) -> None:
    code = "import sys\nfrom omni.cli.main import main\nmain(['--help'])\nprint(*sys.modules, file=sys.stderr)"
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(done.stderr.split())
    assert not {"pluggy", "importlib.metadata", "msgspec", "asyncio", "omni.keeper.starter"} & loaded
