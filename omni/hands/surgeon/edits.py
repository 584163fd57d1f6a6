"""One edit of a source by the name of a symbol. The source is cut in two places, and all that lies outside of them stays."""

from typing import TYPE_CHECKING, Annotated, Literal, get_args

from msgspec import Meta, Struct
from msgspec.structs import replace

from omni.hands.surgeon.imports import import_place
from omni.hands.surgeon.parameters import parameter_cut
from omni.hands.surgeon.renaming import renamed
from omni.hands.surgeon.snippets import CodePlace, indentation_of, laid_out, newline_near, read_snippet, step_of
from omni.hands.surgeon.symbols import Defined, defined, one_named
from omni.hands.surgeon.syntax import EditRefused, Syntax, must_still_parse, parse

if TYPE_CHECKING:
    from tree_sitter import Node

Action = Literal["replace", "replace_body", "insert_before", "insert_after", "append", "delete", "add_import", "rename", "add_parameter"]  # fmt: skip
ACTIONS: tuple[Action, ...] = get_args(Action)
Cut = tuple[int, int, bytes]  # from, to, and what stands there instead
_CLASSES = frozenset(("class", "struct", "union", "interface", "record", "trait", "impl", "annotation", "enum"))


class SymbolEdit(Struct, frozen=True, kw_only=True):
    """What is to be done. `symbol` is a name as `outline` has it, "" for the whole file where something is appended or imported; `text`
    is the code, or the new name of what is renamed."""

    action: Action
    symbol: str = ""
    text: Annotated[str, Meta(max_length=500_000)] = ""


def edited(source: bytes, language: str, edit: SymbolEdit) -> bytes:
    """The source with the edit. Raises EditRefused, which says why it cannot be done, and what would work."""
    syntax = parse(source, language)
    edit = replace(edit, text=edit.text.encode("utf-8", "replace").decode())  # half a character is none
    cuts = (
        renamed(syntax, one_named(syntax, edit.symbol), edit.text.strip())
        if edit.action == "rename"
        else [_cut(syntax, edit)]
    )
    done, at = [source[: syntax.offset]], 0
    for start, end, text in sorted(cuts):
        done += [syntax.text[at:start], text]
        at = end
    after = b"".join([*done, syntax.text[at:]])
    if after == source:
        raise EditRefused("Nothing would change.", hint="It is like that already.")
    must_still_parse(source, after, language)
    return after


def _cut(syntax: Syntax, edit: SymbolEdit) -> Cut:
    match edit.action:
        case "add_import":
            return import_place(syntax, read_snippet(edit.text))
        case "append" if not edit.symbol:
            return _at_the_end(syntax, read_snippet(edit.text))
    one = one_named(syntax, edit.symbol)
    match edit.action:
        case "replace":
            return _replace(syntax, one, read_snippet(edit.text))
        case "replace_body":
            return _replace_body(syntax, one, read_snippet(edit.text))
        case "insert_before":
            return _insert(syntax, one, read_snippet(edit.text), before=True)
        case "insert_after":
            return _insert(syntax, one, read_snippet(edit.text), before=False)
        case "append":
            return _append(syntax, one, read_snippet(edit.text))
        case "delete":
            return _delete(syntax, one)
        case _:
            return parameter_cut(syntax, one, edit.text)


def _replace(syntax: Syntax, one: Defined, snippet: str) -> Cut:
    """The whole symbol; decorators, `export` and attributes stay where the new one brings none."""
    given = _given(syntax, snippet, one)
    if given is None:
        raise EditRefused(
            f"The code does not define {one.last_name!r}.", hint=f"Send all of {one.last_name}, with its first line."
        )
    start = (
        one.start if given.start < given.inner.start_byte or given.outer.id != given.inner.id else one.inner.start_byte
    )
    if start == one.inner.start_byte:  # the outer part stays, and so does what ends it
        end = one.end if one.outer.end_byte == one.inner.end_byte else one.inner.end_byte
    else:
        end = one.end
    if syntax.text[start:end].endswith(b";") and not snippet.endswith(";") and syntax.language.braces:
        end -= 1
    place = _place(syntax, start)._replace(step=step_of(syntax.text[start:end], step_of(syntax.text)))
    return start, end, laid_out(snippet, syntax.language, place).removeprefix(place.indentation).encode()


def _replace_body(syntax: Syntax, one: Defined, snippet: str) -> Cut:
    body = one.body
    if body is None:
        raise EditRefused(f"{one.name!r} has no body.", hint="Replace it as a whole.")
    given = _given(syntax, snippet, one)
    if given is not None and given.body is not None:  # all of it was sent
        wrapped = _wrapped(syntax, snippet, one)
        snippet = wrapped.encode()[given.body.start_byte : given.body.end_byte].decode()
        column = given.body.start_point.column if not syntax.language.braces else 0
        snippet = " " * column + snippet
    place = _place(syntax, body.start_byte if syntax.language.braces else one.start)
    if syntax.language.braces:
        return _braced(syntax, one, body, snippet)
    inner = place._replace(indentation=place.indentation + place.step)
    if (blank := indentation_of(syntax.text, body.start_byte)) is not None:  # it begins on a line of its own
        inner = place._replace(indentation=blank)
        return body.start_byte, body.end_byte, laid_out(snippet, syntax.language, inner).removeprefix(blank).encode()
    start = len(syntax.text[: body.start_byte].rstrip(b" \t"))
    return start, body.end_byte, (place.newline + laid_out(snippet, syntax.language, inner)).encode()


def _braced(syntax: Syntax, one: Defined, body: "Node", snippet: str) -> Cut:
    text = snippet.strip()
    if text.startswith("{") and text.endswith("}"):
        text = text[1:-1].strip("\n")
    start = syntax.text[body.start_byte : body.end_byte]
    if not start.startswith(b"{"):
        raise EditRefused(f"The body of {one.name!r} is no block.", hint="Replace it as a whole.")
    outer = _place(syntax, one.start)
    inner = outer._replace(indentation=outer.indentation + outer.step)
    lines = laid_out(text, syntax.language, inner) if text.strip() else ""
    between = f"{outer.newline}{lines}{outer.newline}{outer.indentation}" if lines else ""
    return body.start_byte, body.end_byte, f"{{{between}}}".encode()


def _insert(syntax: Syntax, one: Defined, snippet: str, *, before: bool) -> Cut:
    _must_be_alone(syntax, one)
    place = _place(syntax, one.start)
    text = laid_out(snippet, syntax.language, place)
    blanks = place.newline * (_apart(syntax, one) + 1)
    if before:
        begin = one.start - len(place.indentation.encode())
        return begin, begin, (text + blanks).encode()
    end = _line_end(syntax.text, one.end)
    return end, end, (blanks + text).encode()


def _append(syntax: Syntax, one: Defined, snippet: str) -> Cut:
    """At the end of what a class or the like holds."""
    body = one.body
    if body is None:
        raise EditRefused(f"{one.name!r} holds nothing that could be added to.")
    outer = _place(syntax, one.start)
    held = [each for each in defined(syntax) if each.name.startswith(f"{one.name}.") and each.end <= body.end_byte]
    blank = indentation_of(syntax.text, body.named_children[0].start_byte) if body.named_children else None
    inner = outer._replace(indentation=blank if blank is not None else outer.indentation + outer.step)
    text = laid_out(snippet, syntax.language, inner)
    apart = outer.newline * (2 if held and held[-1].kind not in ("constant", "field") else 1)
    if not syntax.language.braces:
        end = _line_end(syntax.text, body.end_byte)
        return end, end, (apart + text).encode()
    close = body.end_byte - 1
    before = len(syntax.text[:close].rstrip())
    if indentation_of(syntax.text, close) is None:  # `{}` or all in one line
        return close, close, f"{outer.newline}{text}{outer.newline}{outer.indentation}".encode()
    return before, before, (apart + text).encode()


def _at_the_end(syntax: Syntax, snippet: str) -> Cut:
    text = syntax.text
    newline = newline_near(text, len(text))
    end = len(text.rstrip())
    place = CodePlace("", step_of(text), newline)
    apart = newline * (syntax.language.apart + 1) if end else ""
    last = "" if text[end:].strip(b" \t\f") else newline
    return end, end, (apart + laid_out(snippet, syntax.language, place) + last).encode()


def _delete(syntax: Syntax, one: Defined) -> Cut:
    """The lines of a symbol, with the blank lines before it; where it is the first, those behind it."""
    _must_be_alone(syntax, one)
    text, parent = syntax.text, one.outer.parent
    end = _line_end(text, one.end)
    others = [each for each in parent.named_children if each.id != one.outer.id] if parent is not None else []
    if syntax.language.name == "python" and parent is not None and parent.type == "block" and not others:
        return one.start, one.end, b"pass"
    before = len(text[: one.start].rstrip())
    if any(each.start_byte < one.start for each in others):
        return before, end, b""
    begin = one.start - len(_place(syntax, one.start).indentation.encode())
    after = end + len(text[end:]) - len(text[end:].lstrip())
    after = max(text.rfind(b"\n", end, after) + 1, end)  # the indentation of what follows stays
    return begin, after, b""


def _given(syntax: Syntax, snippet: str, one: Defined) -> Defined | None:
    """What a snippet defines under the name of the symbol that it is for."""
    wrapped = _wrapped(syntax, snippet, one)
    inside = parse(wrapped.encode(), syntax.language.name)
    return next((each for each in defined(inside) if each.last_name == one.last_name), None)


def _wrapped(syntax: Syntax, snippet: str, one: Defined) -> str:
    """A snippet as it can be read alone: a part of a class inside of one."""
    lines = snippet.split("\n")
    blank = lines[0][: len(lines[0]) - len(lines[0].lstrip())]
    if not syntax.language.braces:
        return "\n".join(line.removeprefix(blank) for line in lines)
    return syntax.language.member.format(snippet) if one.holder in _CLASSES else snippet


def _place(syntax: Syntax, at: int) -> CodePlace:
    text = syntax.text
    begin = max(text.rfind(b"\n", 0, at), text.rfind(b"\r", 0, at), text.rfind(b"\f", 0, at)) + 1
    line = text[begin:at].decode()
    return CodePlace(line[: len(line) - len(line.lstrip(" \t"))], step_of(text), newline_near(text, at))


def _apart(syntax: Syntax, one: Defined) -> int:
    """Blank lines between this and what is put beside it."""
    if one.kind in ("constant", "field", "variable", "macro", "element"):
        return 0
    return 1 if one.holder else syntax.language.apart


def _must_be_alone(syntax: Syntax, one: Defined) -> None:
    text = syntax.text
    after = text[one.end : _line_end(text, one.end)].strip(b" \t\f;,")
    comment = after.startswith((b"#", b"//", b"/*", b"--", b"<!--"))
    if indentation_of(text, one.start) is None or (after and not comment):
        raise EditRefused(
            f"{one.name!r} shares its line with other code.",
            hint="Replace what it stands in as a whole, or edit the lines.",
        )


def _line_end(text: bytes, at: int) -> int:
    """Where the line ends that a place is in: before its newline."""
    end = text.find(b"\n", at)
    end = len(text) if end < 0 else end
    return end - 1 if end > at and text[end - 1 : end] == b"\r" else end
