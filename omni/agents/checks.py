"""How the tests of a project are run, by what lies in it."""

import json
import re
from pathlib import Path

_MAKE_TEST = re.compile(r"^test\s*:", re.MULTILINE)
_LOOKED_AT = 200_000  # characters of a file


def check_of(project: Path) -> str:
    """The command line that runs the tests of a project; "" where nothing tells. Blocking."""
    if "test" in _scripts(project):
        return "npm test --silent"
    if (project / "Cargo.toml").is_file():
        return "cargo test -q"
    if (project / "go.mod").is_file():
        return "go test ./..."
    if _python_tests(project):
        pytest = any(
            "pytest" in _text(project / name) for name in ("pyproject.toml", "setup.cfg", "tox.ini", "pytest.ini")
        )
        plain = any("unittest" in _text(path) and "pytest" not in _text(path) for path in _python_tests(project)[:20])
        return "python3 -m unittest -q" if plain and not pytest else "python3 -m pytest -q"
    return "make test" if _MAKE_TEST.search(_text(project / "Makefile")) else ""


def _python_tests(project: Path) -> list[Path]:
    return [
        path for pattern in ("test_*.py", "*_test.py", "tests/**/test_*.py") for path in sorted(project.glob(pattern))
    ]


def _scripts(project: Path) -> dict[str, object]:
    try:
        scripts = json.loads(_text(project / "package.json") or "{}").get("scripts", {})
    except (ValueError, AttributeError):
        return {}
    return scripts if isinstance(scripts, dict) else {}


def _text(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(_LOOKED_AT)
    except OSError:
        return ""
