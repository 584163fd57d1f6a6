"""Installs a plug-in as pip would, without pip: a module and its metadata in a folder that is searched."""

import os
import subprocess
import sys
from pathlib import Path

from omni.core.paths import Home

ROOT = Path(__file__).resolve().parents[1]


def install(folder: Path, name: str, source: str, *, package: str = "", target: str = "", version: str = "1.0") -> Path:
    """Write the module `NAME.py` and the metadata that make the plug-in `NAME`; returns the module's path."""
    package = package or f"omni-{name}"
    folder.mkdir(parents=True, exist_ok=True)
    module = folder / f"omni_test_{name}.py"
    module.write_text(source)
    info = folder / f"{package.replace('-', '_')}-{version}.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(f"[omni]\n{name} = {target or module.stem}\n")
    return module


def omni(home: Home, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run one command line in a process of its own."""
    given = {**os.environ, "OMNI_HOME": str(home.root), "OMNI_ENVIRONMENT": "own", **environment}
    command = [sys.executable, "-m", "omni", *arguments]
    return subprocess.run(command, cwd=ROOT, env=given, capture_output=True, text=True, timeout=120)
