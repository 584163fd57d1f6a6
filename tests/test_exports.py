"""Each domain is a table of names: every one loads, is described, and is known to type checkers."""

import ast
import importlib
import inspect
from pathlib import Path

import pytest

OMNI = Path(__file__).resolve().parents[1] / "omni"
NOT_DOMAINS = {"core", "cli", "shell", "server"}  # modules of core are imported one by one; nobody imports a front end
PACKAGES = sorted(
    f"omni.{folder.name}"
    for folder in OMNI.iterdir()
    if (folder / "__init__.py").is_file() and folder.name not in NOT_DOMAINS
)


def typed_names(package: str) -> set[str]:
    """What the package imports for type checkers."""
    tree = ast.parse((OMNI / package.removeprefix("omni.") / "__init__.py").read_text("utf-8"))
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            for line in node.body:
                if isinstance(line, ast.ImportFrom):
                    names |= {alias.asname or alias.name for alias in line.names} - {"Any"}
    return names


@pytest.mark.parametrize("package", PACKAGES)
def test_a_table_has_names_and_no_twins(package: str) -> None:
    names = dir(importlib.import_module(package))
    assert len(names) == len(set(names)) > 0


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_there_and_described(package: str) -> None:
    module = importlib.import_module(package)
    for name in dir(module):
        value = getattr(module, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert value.__module__.startswith("omni."), name
            assert value.__doc__, f"{package}.{name} has no docstring"


@pytest.mark.parametrize("package", PACKAGES)
def test_type_checkers_see_the_same_names(package: str) -> None:
    assert typed_names(package) == set(dir(importlib.import_module(package)))


@pytest.mark.parametrize("package", PACKAGES)
def test_a_name_that_is_not_there_is_an_attribute_error(package: str) -> None:
    with pytest.raises(AttributeError, match="nothing_of_that_name"):
        importlib.import_module(package).nothing_of_that_name  # noqa: B018 - to ask for it is the test
