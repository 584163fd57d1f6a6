"""The first start of this very clone, by every Python that somebody may try."""

import ast
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
PYTHON = getattr(sys, "_base_executable", sys.executable)
SENTENCE = "Omni needs Python 3.11 or newer; this is Python"


@pytest.mark.parametrize("name", ["omni/__init__.py", "omni/__main__.py", "omni/too_old.py"])
def test_old_pythons_can_read_the_door(name: str) -> None:
    source = (REPOSITORY / name).read_text("ascii")  # Python 2 reads nothing else without being told
    ast.parse(source, feature_version=(3, 6))


def old_pythons() -> list[str]:
    """Too old, on the PATH or under a version manager."""
    folders = [Path(each) for each in os.environ.get("PATH", "").split(os.pathsep)]
    folders += Path(os.path.expanduser("~/.pyenv/versions")).glob("*/bin")
    names = ["python2.7", *(f"python3.{minor}" for minor in range(6, 11))]
    return [
        str(folder / name)
        for name in names
        for folder in folders
        if (folder / name).is_file() and "shims" not in str(folder)
    ]


def test_a_python_that_is_too_old_gets_a_sentence_that_helps(tmp_path: Path) -> None:
    newer = tmp_path / "python3.12"
    newer.write_text("#!/bin/sh\nexit 0\n")
    newer.chmod(0o755)
    broken = tmp_path / "python3.15"
    broken.write_text("#!/bin/sh\nexit 127\n")
    broken.chmod(0o755)
    pretended = "import sys; sys.version_info = (3, 8, 18, 'final', 0); sys.argv = ['omni', 'run', 'x']; sys.path.insert(0, '.');"
    for code in (pretended + "from omni.__main__ import main; sys.exit(main())",):
        ran = subprocess.run(
            [PYTHON, "-c", code], cwd=REPOSITORY, env={"PATH": str(tmp_path)}, capture_output=True, text=True
        )
        assert ran.returncode == 4
        assert ran.stderr == f"{SENTENCE} 3.8.18.\nRun it with the newer one that is here: python3.12 -m omni run x\n"
        ran = subprocess.run([PYTHON, "-c", code], cwd=REPOSITORY, env={"PATH": ""}, capture_output=True, text=True)
        assert "Install one" in ran.stderr


@pytest.mark.real
def test_the_old_pythons_that_are_here_say_so() -> None:
    pythons = old_pythons()
    if not pythons:
        pytest.skip("no old Python here")
    for python in pythons:
        ran = subprocess.run([python, "-m", "omni", "run"], cwd=REPOSITORY, capture_output=True, text=True)
        assert ran.returncode == 4, ran.stderr
        assert ran.stderr.startswith(SENTENCE), python


def test_windows_gets_one_sentence() -> None:
    code = "import os, sys; sys.path.insert(0, '.'); os.name = 'nt'; from omni.__main__ import main; sys.exit(main())"
    ran = subprocess.run([PYTHON, "-c", code], cwd=REPOSITORY, capture_output=True, text=True)
    assert ran.returncode == 4
    assert "WSL2" in ran.stderr


@pytest.mark.real
@pytest.mark.parametrize("python", sorted({PYTHON, "/usr/bin/python3.11"}))
def test_a_fresh_clone_sets_itself_up_with_the_library_alone(python: str, tmp_path: Path) -> None:
    if not os.access(python, os.X_OK):
        pytest.skip(f"no {python}")
    clone = tmp_path / "clone"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(REPOSITORY / "omni", clone / "omni", ignore=ignored)
    shutil.copytree(REPOSITORY / "requirements", clone / "requirements")
    shutil.copy(REPOSITORY / "pyproject.toml", clone)
    home = tmp_path / "home"
    # The person's own settings of pip apply; nothing else is taken along.
    names = (
        "PATH",
        "HOME",
        "LANG",
        "TMPDIR",
        "http_proxy",
        "https_proxy",
        "no_proxy",
        "SSL_CERT_FILE",
        "REQUESTS_CA_BUNDLE",
    )
    environment = {name: os.environ[name] for name in names if name in os.environ} | {"OMNI_HOME": str(home)}
    environment |= {
        name: value for name, value in os.environ.items() if name.startswith("PIP_") or name.endswith("_PROXY")
    }
    ran = subprocess.run(
        [python, "-S", "-m", "omni", "config", "path"],
        cwd=clone,
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert ran.returncode == 0, ran.stderr
    assert str(home) in ran.stdout
    assert "Ready" in ran.stderr
    (made,) = (home / "venvs").iterdir()
    stamp = json.loads((made / "omni.json").read_text())
    assert {"textual", "xllamacpp", "sqlcipher3", "msgspec", "click"} <= stamp["packages"].keys()
    check = "import textual, xllamacpp, sqlcipher3, msgspec, pluggy, psutil, h11, tomlkit"
    subprocess.run([made / "bin" / "python", "-I", "-c", check], check=True, timeout=60)
    again = subprocess.run(
        [home / "bin" / "omni", "--version"], cwd="/", env=environment, capture_output=True, text=True, timeout=60
    )
    assert again.stdout.startswith("omni ")
    assert again.stderr == ""


@pytest.mark.real
def test_an_installed_package_uses_its_own_environment_and_makes_none(tmp_path: Path) -> None:
    source, home, venv = tmp_path / "source", tmp_path / "home", tmp_path / "venv"
    source.mkdir()
    for name in ("omni", "agents", "cartridges", "themes", "requirements"):
        shutil.copytree(REPOSITORY / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "LICENSE"):
        shutil.copy(REPOSITORY / name, source)
    (source / "README.md").write_text("# Omni\n")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=source, check=True, capture_output=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    subprocess.run([PYTHON, "-m", "venv", "--without-pip", venv], check=True, timeout=60)
    (packages,) = venv.glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    (packages / "requirements.pth").write_text("\n".join(each for each in sys.path if each.endswith("site-packages")))
    code = "import sys; from importlib.metadata import distribution as d;"
    code += "(point,) = d('omni-sovereign').entry_points.select(name='omni'); sys.argv[1:] = ['config', 'path']; sys.exit(point.load()())"
    environment = {"OMNI_HOME": str(home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    ran = subprocess.run(
        [venv / "bin" / "python", "-I", "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    assert str(home) in ran.stdout
    assert not (home / "venvs").exists()
    look = "from omni.core.paths import resources, source_root; from pathlib import Path;"
    look += "assert source_root() is None; print(*(any(resources(k).iterdir()) for k in ('agents', 'cartridges', 'themes', 'requirements')))"
    ran = subprocess.run([venv / "bin" / "python", "-I", "-c", look], cwd=tmp_path, capture_output=True, text=True)
    assert ran.stdout == "True True True True\n", ran.stderr
