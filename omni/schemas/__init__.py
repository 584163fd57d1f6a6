"""What a JSON Schema means: whether anything can be as it says, a grammar that keeps it, the proof that an answer does."""

from omni.core.lazy import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from omni.schemas._errors import SchemaRefused
    from omni.schemas._sieves import Sieve
    from omni.schemas.compiled import Compiled, compile_schema
    from omni.schemas.facts import Loose
    from omni.schemas.keeping import LruCache
    from omni.schemas.lark import Grammar
    from omni.schemas.proofs import TOO_LARGE, Fault
    from omni.schemas.threads import apart
    from omni.schemas.tools import expected, parameters_of, proved_arguments

__getattr__, __dir__ = lazy(
    __name__,
    _errors="SchemaRefused",
    _sieves="Sieve",
    compiled="Compiled compile_schema",
    facts="Loose",
    keeping="LruCache",
    lark="Grammar",
    proofs="Fault TOO_LARGE",
    threads="apart",
    tools="expected parameters_of proved_arguments",
)
