"""The environment's surroundings: who uses it, the command, the findings, what is kept and what is removed."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from omni.core.errors import SetupError, UsageError
from omni.core.paths import Home
from omni.environment import Environment, footprint, link_command, place, remove_all
from omni.environment.command import linked_here, switch_link, write_command
from omni.environment.diagnostics import Diagnostic
from omni.environment.export import export_wheels
from omni.environment.progress import Terminal
from omni.environment.users import leftovers, outdated, read_stamp, remove_unless_used, take_away


@pytest.fixture(autouse=True)
def person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder of a person who does not exist."""
    folder = tmp_path / "person"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    return folder


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    folder = tmp_path / "clone"
    (folder / "requirements").mkdir(parents=True)
    for feature in ("core", "dev"):
        (folder / "requirements" / f"{feature}.txt").write_text(f"{feature}==1 --hash=sha256:{'0' * 64}\n")
    (folder / "omni").mkdir()
    (folder / "omni" / "__main__.py").touch()
    return folder


def made(home: Home, clone: Path, feature: str = "core", name: str = "") -> Path:
    """An environment as a set-up leaves it, with one package."""
    folder = Path(place.environment_folder(str(home.root), place.lock_file(str(clone), feature)))
    folder = folder.with_name(name) if name else folder
    packages = folder / "lib" / "python3.11" / "site-packages"
    info = packages / "tiny-1.0.dist-info"
    info.mkdir(parents=True)
    (packages / "tiny.py").write_text("x = 1\n")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
    (info / "RECORD").write_text("tiny.py,sha256=x,6\ntiny-1.0.dist-info/METADATA,,\n")
    (folder / "bin").mkdir()
    (folder / "bin" / "python").symlink_to(sys.executable)
    stamp = {"feature": feature, "clone": str(clone), "python": "3.11.2", "packages": {"tiny": "1.0"}}
    (folder / place.STAMP).write_text(json.dumps(stamp))
    return folder


async def findings(home: Home, clone: Path) -> dict[str, Diagnostic]:
    return {diagnostic.name: diagnostic for diagnostic in await Environment(home, clone).check()}


async def test_a_whole_environment_has_nothing_to_mend(home: Home, clone: Path) -> None:
    environment = made(home, clone)
    switch_link(home, environment)
    write_command(home, environment, clone)
    diagnostics = await findings(home, clone)
    assert [each for each in diagnostics.values() if not each.ok and each.name != "disk"] == []
    assert await Environment(home, clone).size() > 0


async def test_before_the_first_start_the_command_is_named(home: Home, clone: Path) -> None:
    diagnostic = (await findings(home, clone))["environment"]
    assert not diagnostic.ok
    assert diagnostic.command == "python3 -m omni run"


async def test_every_damage_is_found_with_the_command_that_mends_it(home: Home, clone: Path) -> None:
    environment = made(home, clone)
    packages = environment / "lib" / "python3.11" / "site-packages"
    (packages / "tiny.py").write_text("x = 12\n")
    (environment / "bin" / "python").unlink()
    (environment / "bin" / "python").symlink_to("/gone/python")
    (home.venvs / "half").mkdir()
    home.venv.symlink_to("venvs/other")
    diagnostics = await findings(home, clone)
    wrong = {name: each for name, each in diagnostics.items() if not each.ok and name != "disk"}
    assert set(wrong) == {"python", "link", "packages", "command", "leftovers"}
    assert "tiny: tiny.py was changed" in wrong["packages"].detail
    assert "/gone/python" in wrong["python"].detail
    assert all(each.command for each in wrong.values())
    (packages / "tiny.py").unlink()
    assert "tiny.py is gone" in (await findings(home, clone))["packages"].detail
    shutil.rmtree(packages / "tiny-1.0.dist-info")
    assert "tiny is missing" in (await findings(home, clone))["packages"].detail


def test_an_installed_package_looks_at_its_own_environment() -> None:
    from omni.environment.diagnostics import check_own

    assert all(each.name == "environment" for each in check_own())


def test_an_environment_that_somebody_holds_stays(home: Home, clone: Path) -> None:
    environment = made(home, clone)
    with (environment / place.STAMP).open() as held:
        fcntl.flock(held, fcntl.LOCK_SH)
        assert not remove_unless_used(environment)
        assert read_stamp(environment)
    assert remove_unless_used(environment)
    assert not any(home.venvs.iterdir())


def test_an_environment_that_a_process_runs_from_stays(home: Home, clone: Path) -> None:
    environment = made(home, clone)
    python = environment / "bin" / "python"
    code = "import sys; print('here', flush=True); sys.stdin.read()"
    with subprocess.Popen([python, "-S", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"here\n"
        assert not remove_unless_used(environment)
        with pytest.raises(SetupError, match="still running"):
            remove_all(home)
    assert remove_unless_used(environment)


def test_only_environments_that_no_clone_wants_are_outdated(home: Home, clone: Path) -> None:
    current, dev = made(home, clone), made(home, clone, "dev")
    old = made(home, clone, name="0123456789abcdef-cpython-311-linux-x86_64")
    assert outdated(home.venvs, current, "core") == [old]
    assert outdated(home.venvs, dev, "dev") == []
    assert outdated(home.venvs, home.venvs / "another", "core") == [old]  # the clone still wants `current`


def test_what_a_kill_leaves_is_recognised(home: Home, clone: Path) -> None:
    environment = made(home, clone)
    (home.venvs / "half").mkdir()
    (home.venvs / ".gone-1-x").mkdir()
    assert [each.name for each in leftovers(home.venvs)] == [".gone-1-x", "half"]
    take_away(environment)
    assert not environment.exists()
    take_away(environment)  # twice is nothing


def test_the_command_is_linked_once_and_never_over_something_foreign(home: Home, clone: Path, person: Path) -> None:
    with pytest.raises(SetupError, match="is not there"):
        link_command(home)
    write_command(home, home.venvs / "x", clone)
    link = link_command(home)
    assert link.path == person / ".local" / "bin" / "omni"
    assert link.path.readlink() == home.bin / "omni"
    assert not link.on_path
    assert link_command(home) == link
    link.path.unlink()
    link.path.write_text("mine")
    with pytest.raises(SetupError, match="is there already"):
        link_command(home)
    assert link.path.read_text() == "mine"
    assert not linked_here(home)


def test_uninstalling_takes_all_of_omni_and_nothing_else(home: Home, clone: Path, person: Path) -> None:
    environment = made(home, clone)
    switch_link(home, environment)
    write_command(home, environment, clone)
    link_command(home)
    home.ensure_sockets()
    home.blobs.mkdir(parents=True)
    (home.blobs / "sha256-x").write_bytes(b"x" * 100_000)
    home.config.write_text("")
    elsewhere = person / "model.gguf"
    elsewhere.write_text("a brain that lay there before")
    (home.cartridges / "link").symlink_to(elsewhere)
    (home.root / "notes.txt").write_text("a person's own file")
    kept = footprint(home)
    assert {each.path.name for each in kept} >= {"venvs", "venv", "bin", "cartridges", "config.toml", "omni"}
    assert next(each for each in kept if each.path.name == "cartridges").size >= 100_000
    assert {each.path for each in remove_all(home)} - {home.setup_lock} == {each.path for each in kept}
    assert [each.name for each in home.root.iterdir()] == ["notes.txt"]
    assert elsewhere.exists()
    assert not os.path.lexists(person / ".local" / "bin" / "omni")
    assert not home.sockets.exists()
    (home.root / "notes.txt").unlink()
    remove_all(home)
    assert not home.root.exists()


def test_a_link_of_somebody_else_stays(home: Home, person: Path) -> None:
    link = person / ".local" / "bin" / "omni"
    link.parent.mkdir(parents=True)
    link.symlink_to("/opt/other/omni")
    remove_all(home)
    assert link.is_symlink()


def test_a_persons_own_commands_and_folders_stay(home: Home, clone: Path, person: Path) -> None:
    write_command(home, home.venvs / "x", clone)
    (home.bin / "mine").write_text("a person's own command")
    (home.root / "chat-notes").mkdir()
    (home.root / ".config.toml.abc").touch()  # an interrupted write of ours
    remove_all(home)
    assert sorted(each.name for each in home.root.iterdir()) == ["bin", "chat-notes"]
    assert [each.name for each in home.bin.iterdir()] == ["mine"]
    with pytest.raises(SetupError, match="more than Omni"):
        remove_all(Home(person))


def test_an_export_takes_the_place_of_nothing_else(home: Home, tmp_path: Path) -> None:
    work = tmp_path / "work"
    (work / "source").mkdir(parents=True)
    (work / "source" / "thesis.tex").write_text("years")
    with pytest.raises(UsageError, match="not Omni's"):
        export_wheels(home, work, Terminal())
    (other := tmp_path / "other").mkdir()
    (other / "manifest.json").write_text('{"name": "an app"}')
    with pytest.raises(UsageError, match="not Omni's"):
        export_wheels(home, other, Terminal())
    assert [each.name for each in work.iterdir()] == ["source"]
