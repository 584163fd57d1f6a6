"""Packages that are tables of names: importing one imports none of its modules, and a name is loaded when it is used.

The table is written twice, here for Python and below `TYPE_CHECKING` for type checkers; `tests/test_exports.py` compares
the two. Nothing is imported for it, since every start passes here.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def lazy(package: str, **modules: str) -> "tuple[Callable[[str], Any], Callable[[], list[str]]]":
    """`__getattr__` and `__dir__` of a package; of each of its modules the public names, parted by spaces."""
    places = {name: module for module, names in modules.items() for name in names.split()}

    def load(name: str) -> "Any":
        if name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        from importlib import import_module

        return getattr(import_module(f"{package}.{places[name]}"), name)

    return load, lambda: sorted(places)
