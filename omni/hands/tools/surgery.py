"""Tools that edit code by the names of what stands in it; see `omni.hands.surgeon`."""

import asyncio
from typing import Annotated

from msgspec import Meta, Struct

from omni.core.errors import UsageError
from omni.hands.surgeon.edits import Action, SymbolEdit, edited
from omni.hands.surgeon.languages import language_of
from omni.hands.surgeon.symbols import outline
from omni.hands.tool import HandTool, Progress, ToolPlan, ToolResult
from omni.hands.tools.writing import changing
from omni.hands.workplace import Workplace, decoded


class OutlineFile(Struct, frozen=True, kw_only=True):
    """Arguments of `outline_file`."""

    path: Annotated[str, Meta(description="The file, from the folder of work.", min_length=1)]


class EditSymbol(Struct, frozen=True, kw_only=True):
    """Arguments of `edit_symbol`."""

    path: Annotated[str, Meta(description="The file, from the folder of work.", min_length=1)]
    symbol: Annotated[str, Meta(description="A function, class or method in it, such as Class.method.")] = ""
    action: Annotated[Action, Meta(description="What is done with it.")] = "replace"
    text: Annotated[str, Meta(description="The whole new code of the symbol, or what is added.")] = ""


def _outline_file(arguments: OutlineFile, place: Workplace) -> ToolPlan:
    where = place.locate(arguments.path)

    def listed() -> str:
        name = place.named(where)
        content, _ = decoded(name, place.held(where), place.folder)
        symbols = outline(content, _language(name, content))
        lines = [f"{one.first_line}-{one.last_line}: {one.kind} {one.name}" for one in symbols]
        return "\n".join(lines) or "[nothing is defined in it]"

    async def run() -> Progress:
        yield ToolResult(text=await asyncio.to_thread(listed), outcome="read")

    return ToolPlan(
        act=place.act("outline_file", "read", path=where.real), line=f"outline {place.named(where)}", run=run
    )


def _edit_symbol(arguments: EditSymbol, place: Workplace) -> ToolPlan:
    where, before, _ = place.text(arguments.path, "edit_symbol")
    edit = SymbolEdit(action=arguments.action, symbol=arguments.symbol, text=arguments.text)
    after = edited(before, _language(place.named(where), before), edit)
    return changing("edit_symbol", place, where, before, after)


def _language(name: str, content: bytes) -> str:
    language = language_of(name, content)
    if language is None:
        raise UsageError(f"The language of {name} is not known.", hint="edit_file and write_file edit any text.")
    return language


OUTLINE_FILE = HandTool(
    name="outline_file",
    about="List the functions, classes and methods of a source file with their lines.",
    parameters=OutlineFile,
    touches=("read",),
    plan=_outline_file,
)
EDIT_SYMBOL = HandTool(
    name="edit_symbol",
    about="Replace a function, class or method of a source file by new code, or add code beside it.",
    parameters=EditSymbol,
    touches=("write",),
    plan=_edit_symbol,
)
