"""A parameter more for a function, in the manner of those that it has."""

import re
from typing import TYPE_CHECKING

from omni.hands.surgeon.symbols import Defined
from omni.hands.surgeon.syntax import EditRefused, Syntax

if TYPE_CHECKING:
    from tree_sitter import Node

_LAST = (
    "dictionary_splat_pattern",
    "rest_pattern",
    "variadic_parameter",
    "spread_parameter",
)  # nothing may follow these
_NAME = re.compile(r"[^\W\d]\w*")


def parameter_cut(syntax: Syntax, one: Defined, text: str) -> tuple[int, int, bytes]:
    """The cut that adds a parameter at the end of a list. Raises EditRefused where there is no list, or the parameter is there."""
    text = " ".join(text.split()).strip(", ")
    parameters = _parameters(one.inner)
    if parameters is None:
        raise EditRefused(f"{one.name!r} takes no parameters.")
    if not (name := _NAME.search(text)):
        raise EditRefused(f"{text!r} is no parameter.", hint="Send one as it would stand in the list.")
    words = _NAME.findall(syntax.text[parameters.start_byte : parameters.end_byte].decode())
    if name[0] in words and syntax.language.name not in ("go", "java", "c", "cpp"):
        raise EditRefused(f"{one.name!r} has a parameter {name[0]!r} already.")
    listed = [each for each in parameters.named_children if "comment" not in each.type]
    if not listed or syntax.text[parameters.start_byte + 1 : parameters.end_byte - 1].strip() == b"void":
        return parameters.start_byte + 1, parameters.end_byte - 1, text.encode()
    last = listed[-1]
    if last.type in _LAST or _is_rest(last):
        return last.start_byte, last.start_byte, f"{text}, ".encode()
    return last.end_byte, last.end_byte, (_between(syntax, listed) + text).encode()


def _parameters(node: "Node") -> "Node | None":
    """The list of parameters of a function, below the declarators of C or the value of a constant."""
    for _ in range(8):
        if (parameters := node.child_by_field_name("parameters")) is not None:
            return parameters if syntax_is_list(parameters) else None
        below = next((one for field in ("declarator", "value") if (one := node.child_by_field_name(field))), None)
        if below is None:
            return None
        node = below
    return None


def syntax_is_list(node: "Node") -> bool:
    """Whether a node begins and ends with brackets."""
    return node.child_count >= 2 and node.children[0].type == "(" and node.children[-1].type == ")"


def _is_rest(node: "Node") -> bool:
    return any(child.type in _LAST for child in node.named_children)


def _between(syntax: Syntax, listed: "list[Node]") -> str:
    """What stands between two parameters: a comma with a blank, or with a newline where each has a line of its own."""
    last = listed[-1]
    if len(listed) > 1 and listed[-2].end_point.row < last.start_point.row:
        gap = syntax.text[listed[-2].end_byte : last.start_byte].decode()
        if gap.strip() == ",":
            return gap
    return ", "
