"""Names say what something is: one class name means one thing, and no variable is called after the search for it."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def places(*folders: str) -> Iterator[tuple[str, ast.AST]]:
    """All that stands in the modules of these folders, each with its place."""
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if "node_modules" in path.parts:  # other people's, below the sources of the web interface
                continue
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                yield f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}", node


def bound(node: ast.AST) -> str | None:
    """The name of the variable or parameter that a part of a module gives a value."""
    match node:
        case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name):
            return name
        case ast.MatchAs(name=name) | ast.MatchStar(name=name) | ast.ExceptHandler(name=name):
            return name
        case ast.MatchMapping(rest=name):
            return name
        case _:
            return None


def test_a_class_name_means_one_thing() -> None:
    classes: dict[str, list[str]] = defaultdict(list)
    for place, node in places("omni"):
        if isinstance(node, ast.ClassDef):
            classes[node.name.lstrip("_")].append(place)
    assert len(classes) > 500
    assert {name: where for name, where in classes.items() if len(where) > 1} == {}


def test_nothing_is_named_after_having_been_found() -> None:
    names = [(place, name) for place, node in places("omni", "tests") if (name := bound(node)) is not None]
    assert len(names) > 5000
    assert [place for place, name in names if name == "found"] == []
