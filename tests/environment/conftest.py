"""A clone, an index and an installer so small that a whole set-up takes a second and no network."""

import hashlib
import importlib.util
import os
import shutil
import sys
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


def make_wheel(folder: Path, name: str, version: str, body: str = "") -> Path:
    """A wheel with one module, the same bytes every time."""
    module, info = name.replace("-", "_"), f"{name.replace('-', '_')}-{version}.dist-info"
    members = {
        f"{module}.py": body or f"VERSION = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    members[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in members) + f"{info}/RECORD,,\n"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{module}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for member, text in members.items():
            wheel.writestr(zipfile.ZipInfo(member), text)
    return path


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="session")
def installer_wheel() -> Path:
    """A real pip: the one that set-up kept in this environment, else the one that this Python bundles, when new enough."""
    kept = Path(sys.prefix) / "pip.whl"
    if kept.is_file():
        return kept
    spec = importlib.util.find_spec("ensurepip")
    bundled = sorted(Path(spec.origin or "").parent.glob("_bundled/pip-*.whl")) if spec else []
    if not bundled or int(bundled[-1].name.split("-")[1].split(".")[0]) < 25:
        pytest.skip("no new wheel of pip here: run this with `make test`")
    return bundled[-1]


class TinyClone:
    """A clone of Omni whose lock names two tiny packages, whose command line says what it was given, and its index."""

    def __init__(self, root: Path, installer: Path) -> None:
        self.root, self.index, self.wheels = root / "clone", root / "index", root / "wheels"
        with zipfile.ZipFile(installer) as wheel:
            info = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        self.installer = self.wheels / f"{info.partition('.dist-info')[0]}-py3-none-any.whl"
        self.wheels.mkdir(parents=True)
        shutil.copyfile(installer, self.installer)
        self.packages = [make_wheel(self.wheels, "tiny-a", "1.0"), make_wheel(self.wheels, "tiny-b", "2.0")]
        ignored = shutil.ignore_patterns("__pycache__", "cli", "shell", "chat", "engine", "cartridges")
        shutil.copytree(REPOSITORY / "omni", self.root / "omni", ignore=ignored)
        (self.root / "omni" / "cli").mkdir()
        (self.root / "omni" / "cli" / "__init__.py").touch()
        (self.root / "omni" / "cli" / "main.py").write_text(MAIN)
        (self.root / "pyproject.toml").write_text("[project]\n")
        self.requirements = self.root / "requirements"
        self.requirements.mkdir()
        self.lock("core", self.packages)
        self.lock("dev", self.packages)
        self.lock("installer", [self.installer])
        self.publish()

    def lock(self, feature: str, wheels: list[Path], *, wrong: bool = False) -> None:
        """Write a lock file that names these wheels; with `wrong`, by hashes that none has."""
        lines = []
        for wheel in wheels:
            name, version = wheel.name.split("-")[:2]
            lines.append(
                f"{name.replace('_', '-')}=={version} \\\n    --hash=sha256:{'0' * 64 if wrong else digest(wheel)}\n"
            )
        (self.requirements / f"{feature}.txt").write_text("".join(lines))

    def publish(self) -> None:
        """Offer all wheels in a folder that a package index could be."""
        for wheel in self.wheels.glob("*.whl"):
            page = self.index / "simple" / wheel.name.split("-")[0].replace("_", "-")
            page.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(wheel, page / wheel.name)
            (page / "index.html").write_text(f'<a href="{wheel.name}#sha256={digest(wheel)}">{wheel.name}</a>')


MAIN = """\
import json, os, sys

def main():
    import tiny_a
    if "hold" in sys.argv:  # an open shell
        print("open", flush=True)
        sys.stdin.read()
    facts = {"arguments": sys.argv[1:], "prefix": sys.prefix, "path": sys.path, "from": os.environ.get("OMNI_FROM"),
             "version": tiny_a.VERSION, "code": __file__, "isolated": sys.flags.isolated}
    print(json.dumps(facts))
    return 0
"""


@pytest.fixture
def clone(tmp_path: Path, installer_wheel: Path) -> TinyClone:
    return TinyClone(tmp_path, installer_wheel)


@pytest.fixture
def environment(clone: TinyClone, tmp_path: Path) -> dict[str, str]:
    """The variables of somebody whose pip knows the tiny index and nothing else."""
    kept = {
        name: value for name, value in os.environ.items() if not name.upper().startswith(("PIP_", "OMNI_", "PYTHON"))
    }
    return kept | {
        "HOME": str(tmp_path),
        "OMNI_HOME": str(tmp_path / "home"),
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": (clone.index / "simple").as_uri(),
        "PIP_NO_CACHE_DIR": "1",
    }
