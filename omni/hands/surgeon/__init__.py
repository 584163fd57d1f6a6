"""Structural edits: source code is changed by the names of what stands in it. Pure functions over bytes; no file is touched.

languages  what is known of each language      syntax     its grammar (tree-sitter), and what does not parse
symbols    what a source defines               edits      one edit: every byte outside of it stays
snippets   code as brains send it              renaming, parameters, imports   what some edits need
"""

from omni.core.lazy import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from omni.hands.surgeon.edits import ACTIONS, SymbolEdit, edited
    from omni.hands.surgeon.languages import language_of
    from omni.hands.surgeon.symbols import Symbol, outline
    from omni.hands.surgeon.syntax import EditRefused, problem_of

__getattr__, __dir__ = lazy(
    __name__,
    edits="ACTIONS SymbolEdit edited",
    languages="language_of",
    symbols="Symbol outline",
    syntax="EditRefused problem_of",
)
