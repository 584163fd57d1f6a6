"""Whether a chat template is Jinja that llama.cpp can read. It is only read here, never executed.

llama.cpp has a Jinja of its own, and does not load a model whose template it cannot read. It knows fewer statements than
Python's (no `do`, `include`, `raw`, `with`) and asks for fewer commas; what it accepts is accepted here.
"""

import re
from collections.abc import Generator, Iterator
from typing import NamedTuple, NoReturn

DEEPEST = 100  # things inside each other; templates in use have about 12
LONGEST = 1 << 18  # letters; the longest in use have 60,000

_OPENING = re.compile(r"\{[{%#]")
_SIGNS = re.compile(r"-?[%}]\}|\{[{%]-{0,2}|[<>=!]=|[-+~*/%<>=(){}\[\],.:|]")
_TEXT = re.compile(r"'(?:[^'\\]|\\[ntrbfv\\'\"])*'|\"(?:[^\"\\]|\\[ntrbfv\\'\"])*\"")
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_NAME = re.compile(r"[A-Za-z0-9_]+")
_SPACE = re.compile(r"[ \t\n\r\f\v]*")

_BINARY = frozenset(("+", "-", "~", "*", "/", "%", "<", ">", "<=", ">=", "==", "!="))
_VALUES = ("name", "number", "text")  # kinds of tokens after which a sign is one between two operands
_NO_ARGUMENT = ("and", "or", "else")  # names after a test that are not what it tests with


class _TemplateSyntaxError(Exception):
    """Why it cannot be read; `at` is a place in the text."""

    def __init__(self, what: str, at: int) -> None:
        super().__init__(what)
        self.what, self.at = what, at


class _TemplateToken(NamedTuple):
    """`kind`: words (outside of braces), open, close, name, number, text, sign, unary; `text` is what stands there."""

    kind: str
    text: str
    at: int


def fault_of(template: str) -> str:
    """What is wrong with a template and in which line; "" when it can be read."""
    if len(template) > LONGEST:
        return f"it has {len(template):,} letters, more than {LONGEST:,}"
    source = template.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n")
    try:
        _TemplateParser(list(_tokens(source)), len(source)).read()
    except _TemplateSyntaxError as fault:
        return f"line {source.count(chr(10), 0, fault.at) + 1}: {fault.what}"
    return ""


def _tokens(source: str) -> Iterator[_TemplateToken]:
    """Everything but comments and white space."""
    at = 0
    while at < len(source):
        opening = _OPENING.search(source, at)
        if opening is None or opening.end() == len(source):  # braces at the very end are text
            yield _TemplateToken("words", source[at:], at)
            return
        if opening.start() > at:
            yield _TemplateToken("words", "", at)
        if opening[0] == "{#":
            end = source.find("#}", opening.end())
            if end < 0:
                raise _TemplateSyntaxError("a comment has no end", opening.start())
            at = end + 2
        else:
            at = yield from _block(source, opening.start())


def _block(source: str, at: int) -> Generator[_TemplateToken, None, int]:
    """The tokens from an opening brace to its closing one; returns where that ends."""
    depth, last = 0, _TemplateToken("", "", at)
    while (at := _past_space(source, at)) < len(source):
        last = _token(source, at, last, depth)
        at += len(last.text)
        if last.kind == "unary" and (number := _NUMBER.match(source, at)):
            last = _TemplateToken("number", last.text + number[0], last.at)
            at = number.end()
        depth += (last.text == "{") - (last.text == "}")
        yield last
        if last.kind == "close":
            return at
    return at


def _past_space(source: str, at: int) -> int:
    space = _SPACE.match(source, at)
    return space.end() if space else at


def _token(source: str, at: int, last: _TemplateToken, depth: int) -> _TemplateToken:
    """The next one. Inside of a dictionary `}}` closes two of them and not the block."""
    if match := _TEXT.match(source, at):
        return _TemplateToken("text", match[0], at)
    if match := _NUMBER.match(source, at):
        return _TemplateToken("number", match[0], at)
    if match := _NAME.match(source, at):
        return _TemplateToken("name", match[0], at)
    match = _SIGNS.match(source, at)
    if match is None:
        raise _TemplateSyntaxError(f"there is {source[at]!r} where an expression is expected", at)
    sign = match[0]
    if sign[:2] in ("{{", "{%"):
        return _TemplateToken("open", sign, at)
    if sign.endswith("}}") and depth > 0:
        sign = sign[0]
    elif len(sign) > 1 and sign.endswith("}"):
        return _TemplateToken("close", sign, at)
    if sign in ("-", "+") and last.kind not in _VALUES and last.text not in (")", "]"):
        return _TemplateToken("unary", sign, at)
    return _TemplateToken("sign", sign, at)


class _TemplateParser:
    """Reads statements and expressions. What they mean does not matter, so that operators need no order."""

    def __init__(self, tokens: list[_TemplateToken], end: int) -> None:
        self._tokens, self._at, self._depth = tokens, 0, 0
        self._end = _TemplateToken("end", "", end)

    def read(self) -> None:
        """All of it. Raises _TemplateSyntaxError."""
        while self._at < len(self._tokens):
            self._piece()

    # -- tokens

    @property
    def _next(self) -> _TemplateToken:
        return self._tokens[self._at] if self._at < len(self._tokens) else self._end

    def _take(self) -> _TemplateToken:
        token = self._next
        if token is self._end:
            self._fail("it ends in the middle of a block")
        self._at += 1
        return token

    def _is(self, text: str, kind: str = "sign") -> bool:
        token = self._next
        return token.kind == kind and token.text == text

    def _accept(self, text: str, kind: str = "sign") -> bool:
        if accepted := self._is(text, kind):
            self._at += 1
        return accepted

    def _expect(self, text: str, kind: str = "sign") -> None:
        if not self._accept(text, kind):
            self._fail(f"expected {text}")

    def _close(self, sign: str) -> None:
        if self._next.kind != "close" or not self._next.text.endswith(sign):
            self._fail(f"expected {sign}")
        self._at += 1

    def _fail(self, what: str) -> NoReturn:
        token = self._next
        actual = "the end" if token is self._end else token.text or "text"
        raise _TemplateSyntaxError(what if token is self._end else f"{what}, found {actual}", token.at)

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > DEEPEST:
            self._fail("it is nested too deeply")

    # -- statements

    def _piece(self) -> None:
        """Text, an expression, or a statement with all that it encloses."""
        token = self._take()
        if token.kind == "words":
            return
        if token.kind != "open":
            self._at -= 1
            self._fail("expected a block")
        self._deeper()
        if token.text.startswith("{{"):
            self._expression()
            self._close("}}")
        else:
            self._statement()
        self._depth -= 1

    def _statement(self) -> None:
        name = self._next
        if name.kind != "name":
            self._fail("expected a statement")
        self._at += 1
        match name.text:
            case "set":
                self._sequence()
                if self._accept("="):
                    self._sequence()
                    self._close("%}")
                else:
                    self._body("set")
            case "if":
                self._expression()
                self._branches("if", ("elif", "else"))
            case "for":
                self._primary()
                while self._accept(","):
                    self._primary()
                self._expect("in", "name")
                self._expression()
                self._branches("for", ("else",))
            case "macro":
                self._primary()
                self._arguments()
                self._body("macro")
            case "call":
                if self._is("("):
                    self._arguments()
                self._primary()
                self._arguments()
                self._body("call")
            case "filter":
                self._filter()
                self._body("filter")
            case "break" | "continue":
                self._close("%}")
            case "generation" | "endgeneration":
                self._take()
            case _:
                raise _TemplateSyntaxError(f"this engine knows no statement {name.text!r}", name.at)

    def _body(self, name: str) -> None:
        self._branches(name, ())

    def _branches(self, name: str, others: tuple[str, ...]) -> None:
        """From the end of the opening tag to that of the closing one."""
        self._close("%}")
        while not self._at_tag(f"end{name}"):
            other = next((each for each in others if self._at_tag(each)), None)
            if self._next is self._end:
                self._fail(f"an {{% {name} %}} has no end")
            if other is None:
                self._piece()
                continue
            self._at += 2
            if other == "elif":
                self._expression()
            else:
                others = ()
            self._close("%}")
        self._at += 2
        self._close("%}")

    def _at_tag(self, name: str) -> bool:
        """Whether `{% name` comes next."""
        if self._at + 1 >= len(self._tokens):
            return False
        opening, word = self._tokens[self._at], self._tokens[self._at + 1]
        return opening.text.startswith("{%") and opening.kind == "open" and (word.kind, word.text) == ("name", name)

    # -- expressions

    def _sequence(self) -> None:
        self._expression()
        while self._accept(","):
            self._expression()

    def _expression(self) -> None:
        """One, with its `if` and `else`."""
        self._deeper()
        self._condition()
        while self._accept("if", "name"):
            self._condition()
            if not self._accept("else", "name"):
                break
            self._condition()
        self._depth -= 1

    def _condition(self) -> None:
        """Operands and what stands between them."""
        negatable = True
        while True:
            while negatable and self._accept("not", "name"):
                pass
            self._operand()
            token = self._next
            if token.kind == "name" and token.text in ("and", "or"):
                negatable = True
            elif token.kind == "name" and token.text == "not":
                self._at += 1
                if not self._is("in", "name"):
                    self._fail("expected in")
                negatable = False
            elif (token.kind == "name" and token.text == "in") or (token.kind == "sign" and token.text in _BINARY):
                negatable = False
            else:
                return
            self._at += 1

    def _operand(self) -> None:
        while self._next.kind == "unary":
            self._at += 1
        self._primary()
        self._rest()
        while self._accept("|"):
            self._filter()
        while self._accept("is", "name"):
            self._accept("not", "name")
            self._primary()
            token = self._next
            if self._is("("):
                self._rest()
            elif (
                token.kind in ("number", "text")
                or (token.kind == "sign" and token.text in ("{", "["))
                or (token.kind == "name" and token.text not in _NO_ARGUMENT)
            ):
                self._primary()
                self._rest()

    def _filter(self) -> None:
        self._primary()
        if self._is("("):
            self._rest()

    def _rest(self) -> None:
        """Members, items and calls of what was read before."""
        while True:
            if self._accept("."):
                self._primary()
            elif self._accept("["):
                while not self._accept("]"):
                    if not self._accept(":"):
                        self._expression()
            elif self._is("("):
                self._arguments()
            else:
                return

    def _arguments(self) -> None:
        self._expect("(")
        while not self._accept(")"):
            self._accept("*")
            self._expression()
            if self._accept("="):
                self._expression()
            self._accept(",")

    def _primary(self) -> None:
        token = self._take()
        match token.kind, token.text:
            case "text", _:
                while self._next.kind == "text":
                    self._at += 1
            case (("name" | "number"), _):
                pass
            case "sign", "(":
                self._sequence()
                self._expect(")")
            case "sign", "[":
                while not self._accept("]"):
                    self._expression()
                    self._accept(",")
            case "sign", "{":
                while not self._accept("}"):
                    self._expression()
                    self._expect(":")
                    self._expression()
                    self._accept(",")
            case _:
                self._at -= 1
                self._fail("expected a value")
