"""The built pages are those that the sources give, and the wheel carries them and not the sources."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.server.web_tools import BUILT, SOURCES, node_modules

pytestmark = pytest.mark.real


def test_the_sources_give_the_committed_files(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    modules = node_modules(tmp_path_factory.getbasetemp())
    copy = tmp_path / "web"
    shutil.copytree(SOURCES, copy, ignore=shutil.ignore_patterns("node_modules"))
    (copy / "node_modules").symlink_to(modules)
    environment = {**os.environ, "NO_UPDATE_NOTIFIER": "1", "NODE_OPTIONS": "--preserve-symlinks"}
    done = subprocess.run(
        ["npm", "run", "build"], cwd=copy, env=environment, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    made, committed = files(tmp_path / "static"), files(BUILT)
    assert sorted(made) == sorted(committed), "run `make web` and commit what comes of it"
    assert [name for name in made if made[name] != committed[name]] == []


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_it_is_built_of_is_locked_without_an_address() -> None:
    lock = json.loads((SOURCES / "package-lock.json").read_text())
    wanted = json.loads((SOURCES / "package.json").read_text())
    packages = {name: one for name, one in lock["packages"].items() if name}
    assert all("integrity" in one for one in packages.values() if not one.get("link"))
    assert not [name for name, one in packages.items() if "resolved" in one]
    for group in ("dependencies", "devDependencies"):
        for name, version in wanted[group].items():
            assert version[0].isdigit(), f"{name} is not pinned"
            assert packages[f"node_modules/{name}"]["version"] == version
