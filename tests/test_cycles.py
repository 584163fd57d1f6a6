"""No module imports one that imports it, by whatever way: neither inside a function nor for its types alone."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def modules() -> dict[str, Path]:
    paths = {}
    for path in (ROOT / "omni").rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        paths[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return paths


def imports(tree: ast.AST) -> Iterator[tuple[str, str, str]]:
    """What is imported anywhere: a module, the name that is taken from it, and the name that this gets here."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.module, name.name, name.asname or name.name) for name in node.names)
        elif isinstance(node, ast.Import):
            yield from ((name.name, "", "") for name in node.names)


def test_no_two_modules_import_each_other() -> None:
    known = modules()
    imported = {name: list(imports(ast.parse(path.read_text("utf-8")))) for name, path in known.items()}
    tables = {  # what a package offers, and where it is made
        name: {here: (module, there) for module, there, here in imported[name]}
        for name, path in known.items()
        if path.name == "__init__.py"
    }

    def origin(module: str, name: str) -> str:
        if f"{module}.{name}" in known:
            return f"{module}.{name}"
        return origin(*tables[module][name]) if name in tables.get(module, {}) else module

    graph = {
        name: {origin(module, taken) for module, taken, _ in imported[name]} & known.keys() - {name} for name in known
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        circle = " imports\n  ".join(reversed(error.args[1]))
        raise AssertionError(f"These modules import each other:\n  {circle}") from None
