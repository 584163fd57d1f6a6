"""The tools of brains, one module for each thing they do. Importing this package imports none of its modules."""

from omni.core.lazy import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from omni.hands.tools.asking import ASK_PERSON
    from omni.hands.tools.looking import LIST_FILES, READ_FILE, SEARCH
    from omni.hands.tools.running import RUN_COMMAND, RUN_PYTHON
    from omni.hands.tools.surgery import EDIT_SYMBOL, OUTLINE_FILE
    from omni.hands.tools.writing import EDIT_FILE, WRITE_FILE

__getattr__, __dir__ = lazy(
    __name__,
    asking="ASK_PERSON",
    looking="LIST_FILES READ_FILE SEARCH",
    running="RUN_COMMAND RUN_PYTHON",
    surgery="EDIT_SYMBOL OUTLINE_FILE",
    writing="EDIT_FILE WRITE_FILE",
)
