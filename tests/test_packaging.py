"""Omni installed as a package: the wheel holds all that it needs, uses its own environment and makes none."""

import configparser
import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from omni import __version__

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as `pip wheel` builds it, without a network and without isolation."""
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def command(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `omni` of a fresh environment that the wheel was unpacked into; it sees the packages of this one."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    (packages / "these.pth").write_text(f"{sysconfig.get_path('purelib')}\n{sysconfig.get_path('platlib')}\n")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
        points = configparser.ConfigParser()
        (name,) = [each for each in archive.namelist() if each.endswith(".dist-info/entry_points.txt")]
        points.read_string(archive.read(name).decode())
    module, _, function = points["console_scripts"]["omni"].partition(":")
    script = folder / "bin" / "omni"
    script.write_text(f"#!{folder}/bin/python\nimport sys\nfrom {module} import {function}\nsys.exit({function}())\n")
    script.chmod(0o755)
    return script


def run(command: Path, tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "OMNI_"))}
    environment |= {"OMNI_HOME": str(tmp_path / "home"), "HOME": str(tmp_path)}
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(exist_ok=True)
    return subprocess.run(
        [command, *arguments], cwd=elsewhere, env=environment, capture_output=True, text=True, timeout=60
    )


def test_the_wheel_holds_data_code_and_licence_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for kind in ("agents", "cartridges", "themes", "requirements"):
        shipped = {str(path.relative_to(ROOT)) for path in (ROOT / kind).rglob("*") if path.is_file()}
        shipped -= {path for path in shipped if path.startswith("requirements/clients/")}  # for a clone only
        assert shipped
        assert {name.removeprefix("omni/_data/") for name in names if name.startswith(f"omni/_data/{kind}/")} == shipped
    code = {str(path.relative_to(ROOT)) for path in (ROOT / "omni").rglob("*.py") if "node_modules" not in path.parts}
    assert code <= names
    assert {"omni/cli/reference.txt", "omni/server/static/index.html"} <= names
    assert not [name for name in names if name.startswith("omni/server/web/")]
    assert any(name.endswith("LICENSE") for name in names)
    assert {name.split("/")[0].partition("-")[0] for name in names} == {"omni", "omni_sovereign"}
    assert not [name for name in names if name.endswith((".pyc", ".so", ".gguf"))]


@pytest.mark.parametrize("arguments", [["--version"], ["--help"]])
def test_it_answers_and_writes_nothing(command: Path, tmp_path: Path, arguments: list[str]) -> None:
    done = run(command, tmp_path, *arguments)
    assert done.returncode == 0, done.stderr
    assert (f"omni {__version__}" if arguments == ["--version"] else "Usage: omni") in done.stdout
    assert not (tmp_path / "home").exists()


def test_it_finds_its_cartridges_and_makes_no_environment(command: Path, tmp_path: Path) -> None:
    done = run(command, tmp_path, "ls", "--json")
    assert done.returncode == 0, done.stderr
    assert "@omni/smollm2" in {brain["name"] for brain in json.loads(done.stdout)}
    done = run(command, tmp_path, "config", "show")
    assert done.returncode == 0, done.stderr
    assert "ui.theme" in done.stdout
    assert not list((tmp_path / "home").glob("venv*"))
    assert not (tmp_path / "home" / "bin").exists()
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_its_code_is_that_of_the_wheel(command: Path, tmp_path: Path) -> None:
    code = "import omni, omni.core.paths as p; print(omni.__file__, p.resources('themes'), p.source_root())"
    python = command.with_name("python")
    done = subprocess.run([python, "-I", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    where, themes, clone = done.stdout.split()
    environment = str(command.parents[1])
    assert where.startswith(environment)
    assert themes.startswith(environment)
    assert clone == "None"
