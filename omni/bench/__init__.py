"""Omni beside other programs that run brains here: the same file, the same prompts, in turns.

Importing this package imports none of its modules; a name is loaded when it is first used.
"""

from omni.core.lazy import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from omni.bench.llama_server import LlamaServer
    from omni.bench.ollama import Ollama, Outside, not_asked
    from omni.bench.ours import Ours
    from omni.bench.rounds import Absent, BenchResult, Contestant, MeasuredAnswer, compete

__getattr__, __dir__ = lazy(
    __name__,
    llama_server="LlamaServer",
    ollama="Ollama Outside not_asked",
    ours="Ours",
    rounds="Absent BenchResult Contestant MeasuredAnswer compete",
)
