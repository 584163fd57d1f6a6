"""Installs what the papers build."""

import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from omni.core.paths import Home
from tests.docs.examples import write
from tests.shell.unseen import _nothing_fails_unseen, fails_on_purpose

__all__ = ["_nothing_fails_unseen", "fails_on_purpose"]


@pytest.fixture
def installed(home: Home, tmp_path: Path) -> Iterator[Callable[[str], Home]]:
    """Builds the package of a page's example and puts it where the page says; nothing of it stays imported."""
    path, modules = list(sys.path), set(sys.modules)

    def install(page: str) -> Home:
        package = tmp_path / page
        write(page, package)
        build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "dist")]
        subprocess.run(build, cwd=package, check=True, capture_output=True, timeout=120)
        (wheel,) = (tmp_path / "dist").glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(home.plugins)
        return home

    yield install
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if str(home.plugins) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]
