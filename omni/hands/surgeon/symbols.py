"""The symbols of a source: what is defined where, each with its name and its span."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from omni.core.errors import nearest
from omni.hands.surgeon.syntax import EditRefused, Syntax, parse

if TYPE_CHECKING:
    from tree_sitter import Node

_BODIES = ("body", "value")
_DECLARATORS = ("declarator", "name")
_ID = re.compile(rb"""["']?([^"']+)["']?""")


class Symbol(Struct, frozen=True, kw_only=True):
    """Something that is defined: `name` with what it stands in (`Class.method`; of those that share a name `#2` is the second), lines from 1, and
    bytes from `start` to before `end`, what belongs to it included (decorators, `export`)."""

    name: str
    kind: str
    first_line: int
    last_line: int
    start: int
    end: int


class Defined(NamedTuple):
    """A symbol with its nodes: `inner` is the definition alone, `outer` and `start` take in what belongs to it."""

    name: str
    last_name: str  # without what it stands in
    plain: str  # without the number of one that is there more than once
    kind: str
    holder: str  # what kind of thing it stands in, "" for none
    inner: "Node"
    outer: "Node"
    start: int
    end: int

    @property
    def body(self) -> "Node | None":
        """What it does or holds."""
        node = self.inner
        for _ in range(4):  # a type that is named after its definition, a function that is the value of a constant
            if (body := node.child_by_field_name("body")) is not None:
                return body
            below = next((one for field in ("value", "type") if (one := node.child_by_field_name(field))), None)
            if below is None:
                break
            node = below
        blocks = [one for one in self.inner.named_children if one.type in ("block", "keyframe_block_list")]
        return blocks[0] if blocks else None


def outline(source: bytes, language: str) -> tuple[Symbol, ...]:
    """The symbols of a source in their order. Raises EditRefused, see `parse`."""
    syntax = parse(source, language)
    return tuple(
        Symbol(
            name=one.name,
            kind=one.kind,
            first_line=syntax.text.count(b"\n", 0, one.start) + 1,
            last_line=syntax.text.count(b"\n", 0, one.end) + 1,
            start=one.start + syntax.offset,
            end=one.end + syntax.offset,
        )
        for one in defined(syntax)
    )


def defined(syntax: Syntax) -> list[Defined]:
    """The symbols with their nodes. Bodies of functions are not looked into."""
    every = list(_below(syntax))
    times = Counter(one.plain for one in every)
    seen: Counter[str] = Counter()
    numbered = []
    for one in every:
        seen[one.plain] += 1
        numbered.append(one._replace(name=f"{one.plain}#{seen[one.plain]}") if times[one.plain] > 1 else one)
    return numbered


def one_named(syntax: Syntax, name: str) -> Defined:
    """The symbol of that name. Raises EditRefused where there is none, or more than one that it could be."""
    every = defined(syntax)
    wanted = name.replace("::", ".").strip()
    same = [one for one in every if wanted in (one.name, one.plain)]
    if not same:  # a part of a class by its name alone, where there is one such
        same = [one for one in every if one.last_name == wanted]
    if not same:
        names = [one.name for one in every]
        hint = nearest(wanted, names) or (f"There is: {', '.join(names[:30])}." if names else "It defines nothing.")
        raise EditRefused(f"There is no {name!r} in it.", hint=hint)
    if len(same) > 1:
        lines = ", ".join(f"{one.name} in line {one.inner.start_point.row + 1}" for one in same)
        raise EditRefused(f"{name!r} is defined {len(same)} times: {lines}.", hint="Name one of them, as in NAME#2.")
    return same[0]


def _below(syntax: Syntax) -> Iterator[Defined]:
    facts = syntax.language
    waiting = [(syntax.root, "", "")]
    while waiting:
        node, within, holder = waiting.pop()
        one = _definition(syntax, node, within, holder)
        if one is None:
            waiting += [(child, within, holder) for child in reversed(node.named_children) if not _is_code(child)]
            continue
        yield one
        inside = one.name if one.kind != "impl" else one.name.removeprefix("impl ").partition(" for ")[0]
        if one.kind in _CONTAINERS and (body := one.body if facts.name != "html" else one.inner) is not None:
            waiting += [(child, inside, one.kind) for child in reversed(body.named_children)]


_CONTAINERS = frozenset(("class", "struct", "union", "enum", "interface", "record", "trait", "impl", "module", "namespace", "element", "rule", "annotation"))  # fmt: skip
_CODE = frozenset(("block", "statement_block", "compound_statement", "constructor_body", "arguments", "parameters", "formal_parameters", "parameter_list", "lambda", "arrow_function"))  # fmt: skip


def _is_code(node: "Node") -> bool:
    """Whether a node is the inside of something that is done, where nothing is defined for others."""
    parent = node.parent
    if node.type == "block" and parent is not None and parent.type in ("if_statement", "try_statement", "else_clause", "except_clause", "finally_clause", "with_statement", "elif_clause"):  # fmt: skip
        return False
    return node.type in _CODE


def _definition(syntax: Syntax, node: "Node", within: str, holder: str) -> Defined | None:
    inner = _inner(syntax, node)
    if inner is None or (name := _name_of(syntax, inner)) is None:
        return None
    kind = syntax.language.definitions[inner.type]
    if kind == "function" and within and syntax.language.name == "python":
        kind = "method"
    start = node.start_byte
    before = node.prev_sibling
    while before is not None and before.type in syntax.language.attached:
        start, before = before.start_byte, before.prev_sibling
    end = node.end_byte
    if (after := node.next_sibling) is not None and after.type == ";" and after.start_byte == end:
        end = after.end_byte
    end -= len(syntax.text[start:end]) - len(syntax.text[start:end].rstrip())
    whole = f"{within}.{name}" if within else name
    return Defined(
        whole, name.rpartition(".")[2] if kind == "method" else name, whole, kind, holder, inner, node, start, end
    )


def _inner(syntax: Syntax, node: "Node") -> "Node | None":
    """The definition in a node: itself, or the one that it is wrapped around."""
    facts = syntax.language
    for _ in range(4):
        if node.type in facts.definitions:
            if facts.definitions[node.type] in ("struct", "union", "enum", "class") and node.type.endswith(
                "_specifier"
            ):
                return node if node.child_by_field_name("body") is not None else None
            return node if node.type != "assignment" or _is_constant(node) else None
        if node.type not in facts.wrappers:
            return None
        below = [one for one in node.named_children if one.type in (*facts.definitions, *facts.wrappers)]
        if len(below) != 1:
            return None
        node = below[0]
    return None


def _is_constant(node: "Node") -> bool:
    left, statement = node.child_by_field_name("left"), node.parent
    place = statement.parent if statement is not None else None
    return left is not None and left.type == "identifier" and place is not None and place.type in ("module", "block")


def _name_of(syntax: Syntax, node: "Node") -> str | None:
    """What a definition is called here."""
    language = syntax.language.name
    if language == "css":
        selector = syntax.text[node.start_byte : node.end_byte].partition(b"{")[0]
        return " ".join(selector.decode().split())
    if language == "html":
        return _html_id(syntax, node)
    if node.type == "impl_item":
        kind, trait = node.child_by_field_name("type"), node.child_by_field_name("trait")
        of = _plain(syntax, kind)
        return f"impl {_plain(syntax, trait)} for {of}" if trait is not None else f"impl {of}"
    if language == "sql":
        reference = next((one for one in node.named_children if one.type in ("object_reference", "identifier")), None)
        return _plain(syntax, reference) if reference is not None else None
    if node.type == "assignment":
        return _plain(syntax, node.child_by_field_name("left"))
    name = _declared(node)
    if name is None:
        return None
    text = _plain(syntax, name)
    if node.type == "method_declaration" and (receiver := node.child_by_field_name("receiver")) is not None:
        names = [one for one in _leaves(receiver) if one.type == "type_identifier"]
        return f"{_plain(syntax, names[0])}.{text}" if names else text
    return text.replace("::", ".")


def _declared(node: "Node") -> "Node | None":
    """The node of a name, below the declarators of C or the field of others."""
    for _ in range(20):
        below = next((one for field in _DECLARATORS if (one := node.child_by_field_name(field)) is not None), None)
        if below is None:
            return node if node.child_count == 0 or node.type in _NAMES else None
        if below.type in _NAMES or below.child_count == 0:
            return below
        node = below
    return None


_NAMES = ("qualified_identifier", "destructor_name", "operator_name", "computed_property_name", "private_property_identifier", "template_function", "string")  # fmt: skip


def _leaves(node: "Node") -> Iterator["Node"]:
    waiting = [node]
    while waiting:
        one = waiting.pop()
        if one.child_count == 0:
            yield one
        waiting += reversed(one.children)


def _html_id(syntax: Syntax, node: "Node") -> str | None:
    tag = next((one for one in node.named_children if one.type in ("start_tag", "self_closing_tag")), None)
    for attribute in tag.named_children if tag is not None else ():
        if attribute.type == "attribute" and len(attribute.named_children) == 2:
            key, value = (syntax.text[one.start_byte : one.end_byte] for one in attribute.named_children)
            if key.lower() == b"id" and (match := _ID.fullmatch(value)):
                return match[1].decode()
    return None


def _plain(syntax: Syntax, node: "Node | None") -> str:
    if node is None:
        return ""
    if node.type == "generic_type" and (kind := node.child_by_field_name("type")) is not None:
        node = kind
    return " ".join(syntax.text[node.start_byte : node.end_byte].decode().split())
