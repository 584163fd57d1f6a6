"""What a JSON Schema means: whether anything can be as it says, a grammar that keeps it, the proof that an answer does.

Importing this package imports none of its modules; a name is loaded when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omni.schemas.compiled import Compiled as Compiled
    from omni.schemas.compiled import compile_schema as compile_schema
    from omni.schemas.errors import SchemaRefused as SchemaRefused
    from omni.schemas.facts import Loose as Loose
    from omni.schemas.keeping import LruCache as LruCache
    from omni.schemas.lark import Grammar as Grammar
    from omni.schemas.proofs import TOO_LARGE as TOO_LARGE
    from omni.schemas.proofs import Fault as Fault
    from omni.schemas.sieves import Sieve as Sieve
    from omni.schemas.threads import apart as apart
    from omni.schemas.tools import expected as expected
    from omni.schemas.tools import parameters_of as parameters_of
    from omni.schemas.tools import proved_arguments as proved_arguments

_NAMES = {
    "LruCache": "keeping",
    "TOO_LARGE": "proofs",
    "Compiled": "compiled",
    "Fault": "proofs",
    "Grammar": "lark",
    "Loose": "facts",
    "SchemaRefused": "errors",
    "Sieve": "sieves",
    "apart": "threads",
    "compile_schema": "compiled",
    "expected": "tools",
    "parameters_of": "tools",
    "proved_arguments": "tools",
}

__all__ = [
    "TOO_LARGE",
    "Compiled",
    "Fault",
    "Grammar",
    "Loose",
    "LruCache",
    "SchemaRefused",
    "Sieve",
    "apart",
    "compile_schema",
    "expected",
    "parameters_of",
    "proved_arguments",
]


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_NAMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
