"""A new name for a symbol within its file, where every place can be told that means it."""

import re
from typing import TYPE_CHECKING

from omni.hands.surgeon.symbols import Defined
from omni.hands.surgeon.syntax import EditRefused, Syntax, nodes

if TYPE_CHECKING:
    from tree_sitter import Node

_NEW = re.compile(r"[^\W\d]\w*")
_IDENTIFIERS = frozenset(("identifier", "type_identifier", "field_identifier", "property_identifier", "shorthand_property_identifier", "shorthand_property_identifier_pattern", "namespace_identifier"))  # fmt: skip
_ATTRIBUTES = frozenset(("attribute", "member_expression", "field_expression", "selector_expression", "field_access", "method_invocation", "scoped_identifier", "qualified_identifier", "scoped_type_identifier", "qualified_type"))  # fmt: skip
_IMPLICIT = frozenset(("java", "cpp"))
_SELF = frozenset((b"self", b"cls", b"this"))
# From a name upwards: what makes it one that is given, and what makes it one that is used.
_GIVING = frozenset(("left", "pattern", "alias", "parameter", "parameters", "name", "declarator"))
_USING = frozenset(("value", "right", "type", "return_type", "function", "arguments", "body", "condition", "object", "operand", "superclasses", "argument", "default_value", "return", "index", "consequence", "alternative", "constructor", "operator", "trait", "path"))  # fmt: skip


def renamed(syntax: Syntax, one: Defined, new: str) -> list[tuple[int, int, bytes]]:
    """The cuts that give a symbol a new name. Raises EditRefused where that cannot be told apart from something else."""
    if not syntax.language.renames:
        raise EditRefused(f"Names in {syntax.language.name} are used by other files, too.", hint="Replace the symbol.")
    old = one.last_name
    if not _NEW.fullmatch(new):
        raise EditRefused(f"{new!r} is no name.")
    places = [node for node, _ in nodes(syntax.root) if node.type in _IDENTIFIERS and node.child_count == 0]
    if any(_text(syntax, node) == new.encode() for node in places):
        raise EditRefused(f"The name {new!r} is used in it already.", hint="Choose another one.")
    same = [node for node in places if _text(syntax, node) == old.encode()]
    member = "." in one.name
    meant, other = [], []
    for node in same:
        if one.inner.start_byte <= node.start_byte < one.inner.end_byte and _is_own(one, node):
            meant.append(node)
        elif _is_attribute(node):
            if member and _of_self(syntax, node, one):
                meant.append(node)
            elif member:
                other.append(node)
        elif _is_keyword(node):
            continue  # a parameter of what is called there
        elif member:
            if syntax.language.name in _IMPLICIT:
                other.append(node)  # there a plain name may be a part of the class
        elif _is_given(node):
            other.append(node)
        else:
            meant.append(node)
    seen = {node.start_byte for node in same}
    unread = [at for at in _words(syntax, old) if at not in seen and not _is_plain_text(syntax, at)]
    if other or unread:
        rows = {node.start_point.row + 1 for node in other} | {syntax.text.count(b"\n", 0, at) + 1 for at in unread}
        lines = ", ".join(map(str, sorted(rows)[:10]))
        raise EditRefused(
            f"{old!r} may mean something else in line {lines}, so that nobody can tell which is meant.",
            hint="Rename it by editing those lines.",
        )
    exported = [
        node
        for node, _ in nodes(syntax.root)
        if node.type == "string_content" and not member and _text(syntax, node) == old.encode() and _is_exported(node)
    ]
    return [_cut(node, old, new) for node in (*meant, *exported)]


def _words(syntax: Syntax, old: str) -> list[int]:
    """Where a name stands as a word, whatever the grammar makes of it there."""
    word = rb"(?<![\w$])" + re.escape(old.encode()) + rb"(?![\w$])"
    return [match.start() for match in re.finditer(word, syntax.text)]


def _is_plain_text(syntax: Syntax, at: int) -> bool:
    """Whether a place is in a comment, or in a text that is no annotation."""
    node = syntax.root.descendant_for_byte_range(at, at + 1)
    is_text = False
    while node is not None:
        if "comment" in node.type:
            return True
        is_text = is_text or "string" in node.type or node.type in ("char_literal", "regex", "jsx_text")
        if node.type in ("type", "type_annotation", "return_type"):
            return False
        node = node.parent
    return is_text


def _is_keyword(node: "Node") -> bool:
    """Whether a name is that of a parameter where something is called: `f(name=1)`."""
    parent = node.parent
    if parent is None or parent.type != "keyword_argument":
        return False
    name = parent.child_by_field_name("name")
    return name is not None and name.id == node.id


def _cut(node: "Node", old: str, new: str) -> tuple[int, int, bytes]:
    text = f"{old}: {new}" if node.type.startswith("shorthand_property") else new
    return node.start_byte, node.end_byte, text.encode()


def _text(syntax: Syntax, node: "Node") -> bytes:
    return syntax.text[node.start_byte : node.end_byte]


def _is_own(one: Defined, node: "Node") -> bool:
    """Whether this is where the symbol gets its name."""
    name = one.inner
    for _ in range(20):
        below = next(
            (each for field in ("name", "declarator", "left") if (each := name.child_by_field_name(field))), None
        )
        if below is None:
            break
        name = below
    return bool(name.start_byte == node.start_byte)


def _is_attribute(node: "Node") -> bool:
    """Whether a name is one of something: `x.name`."""
    parent = node.parent
    if parent is None or parent.type not in _ATTRIBUTES:
        return False
    return node.end_byte == parent.end_byte or (
        parent.type == "method_invocation" and parent.child_by_field_name("object") is not None
    )


def _of_self(syntax: Syntax, node: "Node", one: Defined) -> bool:
    """Whether it is one of the object itself, or of its class by its name."""
    parent = node.parent
    assert parent is not None
    whose = parent.named_children[0]
    text = _text(syntax, whose)
    holder = one.name.rpartition(".")[0]
    if text == holder.rpartition(".")[2].encode():
        return True
    if text not in _SELF:
        return False
    above: Node | None = node
    while above is not None and above.id != (one.outer.parent.id if one.outer.parent is not None else 0):
        above = above.parent
    return above is not None


def _is_given(node: "Node") -> bool:
    """Whether a name is given to something here: a parameter, a variable, another definition, what is imported."""
    below, above = node, node.parent
    while above is not None:
        field = next(
            (above.field_name_for_child(at) for at, child in enumerate(above.children) if child.id == below.id), None
        )
        if "import" in above.type or above.type in (
            "global_statement",
            "nonlocal_statement",
            "as_pattern_target",
            "use_declaration",
            "case_pattern",
        ):
            return True
        if above.type in ("parameters", "formal_parameters", "lambda_parameters", "parameter_list") or field in _GIVING:
            return True
        if field in _USING:
            return False
        below, above = above, above.parent
    return False


def _is_exported(node: "Node") -> bool:
    """Whether a text stands in `__all__`."""
    above = node.parent
    while above is not None and above.type != "assignment":
        above = above.parent
    left = above.child_by_field_name("left") if above is not None else None
    return left is not None and left.text == b"__all__"
