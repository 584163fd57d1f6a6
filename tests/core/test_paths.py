"""Homes of any length and name, sockets that fit, folders that nobody else prepared."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from omni.core.errors import SetupError
from omni.core.paths import Home, python_command, resources, source_root


def test_the_home_is_the_environments_or_the_users(tmp_path: Path) -> None:
    assert Home.from_environment({"OMNI_HOME": str(tmp_path)}).root == tmp_path
    assert Home.from_environment({}).root == Path("~/.omni").expanduser()
    assert Home.from_environment({"OMNI_HOME": ""}).root == Path("~/.omni").expanduser()
    assert Home("relative").root.is_absolute()


def test_all_paths_but_the_sockets_lie_in_the_home(tmp_path: Path) -> None:
    home = Home(tmp_path)
    names = [name for name, value in vars(Home).items() if isinstance(value, property) and name != "sockets"]
    assert len(names) > 10
    assert all(getattr(home, name).is_relative_to(tmp_path) for name in names)


def test_a_socket_path_fits_however_long_the_home_is(tmp_path: Path) -> None:
    home = Home(tmp_path / ("x" * 200) / ("y" * 200))
    assert len(os.fsencode(home.sockets / "worker-0123456789abcdef.sock")) <= 107
    assert home.sockets != Home(tmp_path).sockets


def test_a_home_is_private(tmp_path: Path) -> None:
    home = Home(tmp_path / "a" / "b").ensure()
    assert home.root.stat().st_mode & 0o777 == 0o700
    assert home.ensure() is home


def test_a_home_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SetupError, match="cannot be made") as caught:
        Home(tmp_path / "file" / "home").ensure()
    assert "OMNI_HOME" in caught.value.hint


def test_sockets_are_private_and_made_again(home: Home) -> None:
    folder = home.ensure_sockets()
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.rmdir()
    assert home.ensure_sockets().is_dir()


def test_a_socket_folder_that_others_can_enter_is_refused(home: Home) -> None:
    home.ensure_sockets().chmod(0o777)
    with pytest.raises(SetupError, match="open to others"):
        home.ensure_sockets()


def test_a_link_in_the_place_of_the_socket_folder_is_refused(home: Home, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    home.sockets.symlink_to(tmp_path / "elsewhere")
    try:
        with pytest.raises(SetupError):
            home.ensure_sockets()
    finally:
        home.sockets.unlink()


@pytest.mark.parametrize("packages", [True, False])
def test_a_command_runs_this_very_code_from_any_folder(tmp_path: Path, packages: bool) -> None:
    (tmp_path / "omni").mkdir()
    (tmp_path / "omni" / "__init__.py").write_text("raise SystemExit('the wrong omni')")
    command = python_command("omni.core.paths", packages=packages)
    if not packages:  # it ends by calling main, which this module has not: what counts is that it was found
        command[-1] = command[-1].replace("m.main()", "print(m.__file__)")
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env={"PYTHONPATH": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    assert command[0] == sys.executable


def test_a_clone_knows_its_root() -> None:
    root = source_root()
    assert root is None or (root / "omni" / "core" / "paths.py").is_file()
    assert resources("themes").name == "themes"
