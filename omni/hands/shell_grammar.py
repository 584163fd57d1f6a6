"""What a line for bash says: its simple commands, by tree-sitter's grammar, and everything that cannot be told from the line alone.

Nothing is guessed: what the grammar does not know, what it reads otherwise than bash (each such case was tried with both), and what
is filled in only when the line runs is *unclear*, and asked about. Every byte that is no part of what was read must be a blank.
"""

import re
from functools import cache
from itertools import pairwise, zip_longest
from typing import TYPE_CHECKING, Any, NamedTuple

from omni.core.features import require

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tree_sitter import Language, Node, Parser


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split(" "))


LONGEST = 10_000  # characters of a line; the worst one takes a second to read
_DEEPEST = 60  # things in each other
RESERVED = _names("if then elif else fi do done case esac while until for select function { } [[ ]] ! time coproc in")  # fmt: skip

_BLANK = re.compile(rb"(?:[ \t\n]|\\\n)*")
_STRANGE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")  # a carriage return is a letter to bash
_RUNS = re.compile(r"\$\(|`|\$\{")  # in a text that some builtin may read once more
_TEST = re.compile(r"[\w\s./\"'$=!~*?:,+%@^#-]*")  # of a test what holds no redirection and no subscript
_COMPARES = re.compile(r"(?<!\S)-(?:eq|ne|lt|gt|le|ge|v|R)(?!\S)")
# What `[` may be given that is filled in: elsewhere that could become `-v` and a subscript, which is evaluated.
_OPERAND = r"(\"[^\"]*\"|'[^']*'|\$[?#]|[\w./+-]+)"
_FILLED_TEST = re.compile(
    rf"\s*(!\s+)?(-[nzefdrwxs]\s+{_OPERAND}|{_OPERAND}\s+(=|==|!=|-eq|-ne|-lt|-gt|-le|-ge)\s+{_OPERAND})\s*"
)
_NUMBERS = frozenset((b"}", *(b"%d" % digit for digit in range(10))))  # what may name a stream
_METACHARACTERS = frozenset(b" \t\n;&|()<>")
_DIGITS = re.compile(r"\$\(\([0-9 +*/%()-]+\)\)")
_PATTERN = re.compile(r"[\w.*?/@:+,=-]+")  # of a case
_DELIMITER = re.compile(r"(['\"]?)(\w+)\1")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

Scopes = tuple[tuple[str, int], ...]


class Word(NamedTuple):
    """One word of a command. `text` is what bash makes of it, as far as that is `known`; `pattern` is that with what is quoted
    escaped, where bash looks for names of files, else "". `bare`: nothing of it is quoted."""

    text: str
    known: bool = True
    pattern: str = ""
    bare: bool = True


class Redirection(NamedTuple):
    """Where a stream of a command goes or comes from; `operator` is bash's, without the number."""

    operator: str
    target: Word


class SimpleCommand(NamedTuple):
    """A command with what is set for it and where its streams go. Each may be missing.

    `scopes` lists what it is in, from the outside: a `child` changes nothing of the shell around it, an `unsure` part may run or
    not, or again; `then` is what runs only if what stands before it succeeded.
    """

    words: tuple[Word, ...] = ()
    assignments: tuple[tuple[str, Word], ...] = ()
    redirections: tuple[Redirection, ...] = ()
    scopes: Scopes = ()


class Unclear(NamedTuple):
    """Something that cannot be judged, and why."""

    text: str
    reason: str


class ShellScript(NamedTuple):
    """All that a line runs, in the order in which it is written, and what is unclear of it."""

    commands: tuple[SimpleCommand, ...]
    unclear: tuple[Unclear, ...]


def read_script(line: str, *, scopes: Scopes = ()) -> ShellScript:
    """Read a line for bash, which itself stands inside `scopes`. Raises FeatureMissing where the grammar is not installed."""
    parser = _parser()
    if len(line) > LONGEST:
        return ShellScript((), (Unclear(_short(line), f"it is longer than {LONGEST:,} characters"),))
    if _STRANGE.search(line):
        return ShellScript((), (Unclear(_short(line), "it holds control characters"),))
    try:
        source = line.encode()
    except UnicodeEncodeError:
        return ShellScript((), (Unclear(_short(line), "it is no text in UTF-8"),))
    reader = _ScriptReader(source)
    root = parser.parse(source).root_node
    if root.has_error:
        reader.doubt(root, "its grammar is not understood")
        reader.salvage(root, scopes)
    else:
        reader.statements(root, root.children, scopes)
        reader.look_at_gaps(root)
    return ShellScript(tuple(reader.commands), tuple(dict.fromkeys(reader.unclear)))


def _parser() -> "Parser":
    """A new one: two threads must not share it."""
    require("code", "tree_sitter", "tree_sitter_bash")
    from tree_sitter import Parser

    return Parser(_language())


@cache
def _language() -> "Language":
    import tree_sitter_bash
    from tree_sitter import Language

    return Language(tree_sitter_bash.language())


class _TooDeep(Exception):
    """More in each other than anybody writes."""


class _ScriptReader:
    """Goes through a tree once and collects."""

    def __init__(self, source: bytes) -> None:
        self.commands: list[SimpleCommand] = []
        self.unclear: list[Unclear] = []
        self._source, self._count, self._depth = source, 0, 0
        self._comments: set[int] = set()  # where those begin that were met where comments are

    def doubt(self, node: "Node", reason: str) -> None:
        """This cannot be judged."""
        self.unclear.append(Unclear(_short(_text(node)), reason))

    def statements(self, parent: "Node", children: "list[Node]", scopes: Scopes) -> None:
        """What stands one after the other. Each is a child of the shell where an `&` follows."""
        for child, after in zip_longest(children, children[1:]):
            if child.is_named:
                self._statement(
                    child, self._within(scopes, "child") if after is not None and after.type == "&" else scopes
                )
            elif child.type not in _PUNCTUATION:
                self.doubt(parent, f"{child.type!r} is not understood here")

    def salvage(self, node: "Node", scopes: Scopes) -> None:
        """Commands in what is not understood: none of them can be allowed, and each may be denied."""
        stack = [node]
        while stack:
            one = stack.pop()
            stack += reversed(one.children)
            if one.type == "command":
                words = tuple(
                    self._word(each, self._within(scopes, "unsure"))
                    for child in one.children
                    for each in (child.children if child.type == "command_name" else [child])
                    if each.type in _WORDS
                )
                self.commands.append(SimpleCommand(words=words, scopes=self._within(scopes, "unsure")))

    def look_at_gaps(self, root: "Node") -> None:
        """Whatever lies between two things that were read is blank, so that nothing was passed over; and two words have something
        between them, so that they are not one."""
        at = 0
        for node, within_word in _leaves(root, False, 0):
            gap = self._source[at : node.start_byte]
            joined = b"\\\n" in gap and not gap.replace(b"\\\n", b"").strip(b"\n")
            touching = not gap and at > 0 and not within_word
            if (
                _BLANK.fullmatch(gap) is None
                or joined
                or node.start_byte < at
                or (not node.is_named and _text(node).strip() != node.type.strip())
                or (node.type == "file_descriptor" and not _text(node).isdecimal())
                or (node.type == "comment" and node.start_byte not in self._comments)
                or (touching and not _METACHARACTERS & {*self._source[at - 1 : at + 1]})
            ):
                self.doubt(root, "a part of it is not understood")
                return
            at = node.end_byte
        if _BLANK.fullmatch(self._source[at:]) is None or self._source.endswith(b"\\"):
            self.doubt(root, "its end is not understood")

    # --- statements

    def _statement(self, node: "Node", scopes: Scopes, redirections: tuple[Redirection, ...] = ()) -> None:
        self._depth += 1
        try:
            if self._depth > _DEEPEST:
                self.doubt(node, "too much of it is in each other")
                return
            handler = _STATEMENTS.get(node.type)
            if handler is None:
                self.doubt(node, f"`{node.type.replace('_', ' ')}` is not judged")
                self.salvage(node, scopes)
                return
            if redirections and node.type not in ("command", "list", "pipeline", "redirected_statement"):
                # Opened before what they are of runs, in the folder before it.
                self.commands.append(SimpleCommand(redirections=redirections, scopes=scopes))
                redirections = ()
            handler(self, node, scopes, redirections)
        finally:
            self._depth -= 1

    def _command(self, node: "Node", scopes: Scopes, redirections: tuple[Redirection, ...]) -> None:
        words: list[Word] = []
        assignments: list[tuple[str, Word]] = []
        own: list[Redirection] = []
        for child in node.children:
            if child.type == "command_name":
                words += [self._word(each, scopes) for each in child.children]
            elif child.type in _WORDS:
                words.append(self._word(child, scopes))
            elif child.type == "variable_assignment":
                assignments += self._assignment(child, scopes)
            elif child.type in _REDIRECTS:
                own += self._redirect(child, scopes)
            else:
                self.doubt(node, f"`{child.type}` is not understood here")
                self.salvage(child, scopes)
        self._on_one_line(node)
        if words and words[0].bare and words[0].text in RESERVED - {"time", "[["}:
            self.doubt(node, f"{words[0].text!r} is a word of the shell's own, and what it begins is not understood")
        self.commands.append(SimpleCommand(tuple(words), tuple(assignments), (*own, *redirections), scopes))

    def _declaration(self, node: "Node", scopes: Scopes, redirections: tuple[Redirection, ...]) -> None:
        words, assignments = [], []
        for child in node.children:
            if child.type == "variable_assignment":
                assignments += self._assignment(child, scopes)
            elif child.type == "variable_name" or not child.is_named:
                words.append(Word(_text(child).strip()))
            else:
                words.append(self._word(child, scopes))
        self._on_one_line(node)
        self.commands.append(SimpleCommand(tuple(words), tuple(assignments), redirections, scopes))

    def _assignments(self, node: "Node", scopes: Scopes, redirections: tuple[Redirection, ...]) -> None:
        self._on_one_line(node)
        nodes = [node] if node.type == "variable_assignment" else node.children
        assignments = [each for one in nodes for each in self._assignment(one, scopes)]
        self.commands.append(SimpleCommand((), tuple(assignments), redirections, scopes))

    def _redirected(self, node: "Node", scopes: Scopes, redirections: tuple[Redirection, ...]) -> None:
        body = node.child_by_field_name("body")
        own = [each for child in node.children if child.type in _REDIRECTS for each in self._redirect(child, scopes)]
        if body is None:
            self.commands.append(SimpleCommand(redirections=(*own, *redirections), scopes=scopes))
        else:
            self._statement(body, scopes, (*own, *redirections))
        self._on_one_line(node)
        self._rest(node, lambda child: child.type in _REDIRECTS or child == body)

    def _list(self, node: "Node", scopes: Scopes, redirections: tuple[Redirection, ...]) -> None:
        if len(node.children) != 3 or node.children[1].type not in ("&&", "||"):
            self.doubt(node, "its grammar is not understood")
            self.salvage(node, scopes)
            return
        left, operator, right = node.children
        chain = [right]
        while (
            operator.type == "&&" and left.type == "list" and len(left.children) == 3 and left.children[1].type == "&&"
        ):
            left, _, middle = left.children
            chain.insert(0, middle)
        self._statement(left, scopes)
        inner = self._within(scopes, "then" if operator.type == "&&" else "unsure")
        for each in chain[:-1]:
            self._statement(each, inner)
        # Redirections stand at the end, and are those of the last command.
        self._statement(right, inner, redirections)

    def _pipeline(self, node: "Node", scopes: Scopes, redirections: tuple[Redirection, ...]) -> None:
        elements = [child for child in node.children if child.is_named]
        for element in elements:
            last = element == elements[-1]
            self._statement(element, self._within(scopes, "child"), redirections if last else ())
        self._rest(node, lambda child: child.is_named or child.type in ("|", "|&"))

    def _transparent(self, node: "Node", scopes: Scopes, _: tuple[Redirection, ...]) -> None:
        if node.children and node.children[0].type == "((":
            self.doubt(node, "arithmetic is not judged")
        self.statements(node, node.children, scopes)

    def _subshell(self, node: "Node", scopes: Scopes, _: tuple[Redirection, ...]) -> None:
        self.statements(node, node.children, self._within(scopes, "child"))

    def _branches(self, node: "Node", scopes: Scopes, _: tuple[Redirection, ...]) -> None:
        self.statements(node, node.children, self._within(scopes, "unsure"))

    def _for(self, node: "Node", scopes: Scopes, _: tuple[Redirection, ...]) -> None:
        inner = self._within(scopes, "unsure")
        for child in node.children:
            if child.type in _WORDS:
                self._word(child, scopes)
            elif child.type == "do_group":
                self._branches(child, inner, ())
            elif child.type == "variable_name":
                self.commands.append(SimpleCommand((), ((_text(child), Word("", known=False)),), (), inner))
            elif child.is_named:
                self.doubt(node, f"`{child.type}` is not understood here")
                self.salvage(child, scopes)

    def _case(self, node: "Node", scopes: Scopes, _: tuple[Redirection, ...]) -> None:
        inner = self._within(scopes, "unsure")
        for child in node.children:
            if child.type in _WORDS:
                self._word(child, scopes)
            elif child.type == "case_item":
                inside = [
                    each for each in child.children if each.is_named and each.type not in ("extglob_pattern", "regex")
                ]
                for each in inside:
                    if each.type in _WORDS:
                        self._word(each, inner)
                    else:
                        self._statement(each, inner)
                patterns = [_text(each) for each in child.children if each.type in ("extglob_pattern", "regex")]
                if any(_PATTERN.fullmatch(pattern) is None for pattern in patterns):
                    self.doubt(child, "its pattern is not understood")

    def _test(self, node: "Node", scopes: Scopes, redirections: tuple[Redirection, ...]) -> None:
        begins = node.children[0].type
        inside = _text(node).removeprefix(begins)[: -len(begins)]
        if begins == "[":
            self._on_one_line(node, inside)
        safe = _TEST.fullmatch(inside) is not None and (
            not _COMPARES.search(inside) if begins == "[[" else "$" not in inside or _FILLED_TEST.fullmatch(inside)
        )
        if begins not in ("[", "[[") or not safe:
            self.doubt(node, "this test is not judged")
        self.salvage(node, scopes)
        self.commands.append(SimpleCommand((Word(begins),), (), redirections, scopes))

    def _function(self, node: "Node", scopes: Scopes, _: tuple[Redirection, ...]) -> None:
        self.doubt(node, "it defines a function, which may take the place of a program")
        for child in node.children:
            if child.is_named and child.type in _STATEMENTS:
                self._statement(child, self._within(scopes, "unsure"))

    def _comment(self, node: "Node", *_: Any) -> None:
        self._comments.add(node.start_byte)
        before = self._source[node.start_byte - 1 : node.start_byte]
        if before not in (b"", b" ", b"\t", b"\n", b";"):
            self.doubt(node, "it is no comment to bash")

    def _in_one_piece(self, node: "Node") -> None:
        """Nothing, and no blank either, lies between the parts of a word."""
        if any(before.end_byte != after.start_byte for before, after in pairwise(node.children)):
            self.doubt(node, "where this word ends is not understood")

    def _on_one_line(self, node: "Node", text: str = "") -> None:
        """A line break ends a command, but for one after a backslash. Looked for in the `text`, or between the children."""
        gaps = [self._source[before.end_byte : after.start_byte] for before, after in pairwise(node.children)]
        if any(b"\n" in gap.replace(b"\\\n", b"") for gap in ([text.encode()] if text else gaps)):
            self.doubt(node, "where it ends is not understood")

    def _rest(self, node: "Node", known: Any) -> None:
        for child in node.children:
            if not known(child):
                self.doubt(node, f"`{child.type}` is not understood here")

    # --- parts of commands

    def _assignment(self, node: "Node", scopes: Scopes) -> list[tuple[str, Word]]:
        self._in_one_piece(node)
        name, value = node.child_by_field_name("name"), node.child_by_field_name("value")
        if name is None or _NAME.fullmatch(_text(name).strip()) is None:
            self.doubt(node, "only plain variables are judged")
            self.salvage(node, scopes)
            return []
        if value is None:
            return [(_text(name).strip(), Word(""))]
        if value.type not in _WORDS:
            self.doubt(node, "only plain variables are judged")
            self.salvage(value, scopes)
            return []
        word = self._word(value, scopes)
        if word.known and _RUNS.search(word.text):
            self.doubt(node, "its value holds a command")
        return [(_text(name).strip(), word)]

    def _redirect(self, node: "Node", scopes: Scopes) -> list[Redirection]:
        if self._source[node.start_byte - 1 : node.start_byte] in _NUMBERS:
            self.doubt(node, "which stream goes elsewhere is not understood")
        if node.type == "heredoc_redirect":
            return self._heredoc(node, scopes)
        operator = next((child.type for child in node.children if not child.is_named), "")
        targets = [child for child in node.children if child.type in _WORDS]
        words = [self._word(each, scopes) for each in targets]
        if node.type == "herestring_redirect":
            return []
        if operator in (">&-", "<&-") and not words:
            return []
        if len(words) != 1 or operator not in _OPERATORS:
            self.doubt(node, "this redirection is not understood")
            return []
        return [Redirection(operator, words[0])]

    def _heredoc(self, node: "Node", scopes: Scopes) -> list[Redirection]:
        """A text in the line. Where it ends is looked up again, since what comes after it is run."""
        parts = {child.type: child for child in node.children}
        own: list[Redirection] = []
        for child in node.children:
            if child.type == "file_redirect":
                own += self._redirect(child, scopes)
            elif child.type not in ("<<", "<<-", "heredoc_start", "heredoc_body", "heredoc_end"):
                self.doubt(node, "what follows the beginning of the text in the same line is not judged")
                self.salvage(node, scopes)
                return own
        begin, end = parts.get("heredoc_start"), parts.get("heredoc_end")
        delimiter = _DELIMITER.fullmatch(_text(begin)) if begin is not None else None
        if begin is None or end is None or delimiter is None or self._source.count(b"<<") != 1:
            self.doubt(node, "where its text ends is not understood")
            return own
        tabs = b"\t" if "<<-" in parts else b""
        text_at = self._source.find(b"\n", begin.end_byte) + 1
        at = text_at
        for line in self._source[text_at:].splitlines(keepends=True):
            if line.lstrip(tabs).rstrip(b"\n") == delimiter[2].encode():
                break
            at += len(line)
        if not text_at or not at <= end.start_byte < at + len(line) or _text(end) != delimiter[2]:
            self.doubt(node, "where its text ends is not understood")
        elif not delimiter[1] and re.search(rb"\$[({\[]|`|\\", self._source[text_at:at]):
            self.doubt(node, "its text is not quoted, and holds commands")
            self._inside(node, scopes)
        return own

    # --- words

    def _word(self, node: "Node", scopes: Scopes) -> Word:
        parts = self._parts(node, scopes)
        text = "".join(part for part, _ in parts)
        bare = "".join(part if quoted is False else "\0" * len(part) for part, quoted in parts)
        known = all(quoted is not None for _, quoted in parts)
        if re.search(r"(?:^|[:=])~", bare) or "[" in bare or ("{" in bare and re.search(r",|\.\.", bare)):
            known = False
        pattern = ""
        if known and re.search(r"[*?]", bare):
            pattern = "".join(re.sub(r"([*?\[])", r"[\1]", part) if quoted else part for part, quoted in parts)
        return Word(text, known, pattern, all(quoted is False for _, quoted in parts))

    def _parts(self, node: "Node", scopes: Scopes) -> list[tuple[str, bool | None]]:
        """Pieces of text, and whether each is quoted; None where it is not known."""
        text = _text(node)
        match node.type:
            case "concatenation":
                self._in_one_piece(node)
                return [part for child in node.children for part in self._parts(child, scopes)]
            case "word" | "number" | "variable_name":
                return self._unescaped(node, text)
            case "raw_string":
                return [(text[1:-1], True)]
            case "string" if "\\\n" in text:  # bash joins what stands around it first: that may begin a command
                self.doubt(node, "a text that goes on after a backslash is not judged")
            case "string" if not _has_substitution(node):
                return [(re.sub(r"\\([$`\"\\])", r"\1", text[1:-1]), True)]
            case "arithmetic_expansion" if _DIGITS.fullmatch(text.strip()):
                return [(text, None)]
        self._inside(node, scopes)
        return [(text, None)]

    def _unescaped(self, node: "Node", text: str) -> list[tuple[str, bool | None]]:
        if re.search(r"\\(\n|\Z)", text) or re.search(r"[\s;&|()<>'\"`]", re.sub(r"\\.", "", text)):
            self.doubt(node, "where this word ends is not understood")
        pieces = re.finditer(r"\\(.)|([^\\]+)", text, re.DOTALL)
        return [(piece[2], False) if piece[1] is None else (piece[1], True) for piece in pieces]

    def _inside(self, node: "Node", scopes: Scopes) -> None:
        """Commands whose output becomes a part of a word, and what else is filled in."""
        text = _text(node).strip()
        match node.type:
            case "command_substitution" | "process_substitution":
                if text.startswith("`") and re.search(r"[#\\'\"$`]", text[1:-1]):
                    self.doubt(node, "commands between backticks are judged only where nothing is quoted in them")
                if text.startswith("$(("):
                    self.doubt(node, "arithmetic is not judged")
                self.statements(node, node.children, self._within(scopes, "child"))
            case "simple_expansion" if re.fullmatch(r"\$(\w+|[@*#?$!-])", text):
                pass
            case "ansi_c_string" | "string_content" | "brace_expression":
                pass
            case "expansion" if re.fullmatch(r"\$\{\w+\}", text):
                pass
            case "simple_expansion" | "arithmetic_expansion" | "expansion" | "translated_string":
                self.doubt(node, f"`{node.type.replace('_', ' ')}` is not judged")
                self.salvage(node, scopes)
            case "string" | "heredoc_redirect" | "heredoc_body" | "concatenation":
                for child in node.children:
                    if child.is_named:
                        self._inside(child, scopes)
            case _:
                if node.children or node.type not in _LEAVES:
                    self.doubt(node, f"`{node.type.replace('_', ' ')}` is not judged")
                    self.salvage(node, scopes)

    def _within(self, scopes: Scopes, kind: str) -> Scopes:
        self._count += 1
        return (*scopes, (kind, self._count))


_PUNCTUATION = _names("; ;; ;& ;;& & \n ( ) { } $( ` <( >( if then elif else fi do done while until ! |")  # fmt: skip
_WORDS = _names("word number string raw_string ansi_c_string translated_string concatenation simple_expansion expansion command_substitution process_substitution arithmetic_expansion brace_expression")  # fmt: skip
_LEAVES = _names("word number raw_string variable_name heredoc_start heredoc_end heredoc_content")  # fmt: skip
_QUOTED = frozenset(("string", "raw_string", "ansi_c_string"))  # blanks in them are theirs
_REDIRECTS = frozenset(("file_redirect", "herestring_redirect", "heredoc_redirect"))
_OPERATORS = frozenset((">", ">>", ">|", "&>", "&>>", ">&", "<", "<&"))
_STATEMENTS: dict[str, Any] = {
    "command": _ScriptReader._command,
    "declaration_command": _ScriptReader._declaration,
    "unset_command": _ScriptReader._declaration,
    "variable_assignment": _ScriptReader._assignments,
    "variable_assignments": _ScriptReader._assignments,
    "redirected_statement": _ScriptReader._redirected,
    "list": _ScriptReader._list,
    "pipeline": _ScriptReader._pipeline,
    "compound_statement": _ScriptReader._transparent,
    "negated_command": _ScriptReader._transparent,
    "subshell": _ScriptReader._subshell,
    "if_statement": _ScriptReader._branches,
    "elif_clause": _ScriptReader._branches,
    "else_clause": _ScriptReader._branches,
    "while_statement": _ScriptReader._branches,
    "do_group": _ScriptReader._branches,
    "for_statement": _ScriptReader._for,
    "case_statement": _ScriptReader._case,
    "test_command": _ScriptReader._test,
    "function_definition": _ScriptReader._function,
    "comment": _ScriptReader._comment,
}


def _leaves(node: "Node", within_word: bool, depth: int) -> "Iterator[tuple[Node, bool]]":
    """The smallest things that were read, and whether each goes on with the word before it. Texts are one."""
    text = node.type == "heredoc_body" or (node.type in _QUOTED and not _has_substitution(node))
    if not node.children or text or depth > _DEEPEST * 5:
        yield node, within_word
        return
    substitution = node.type in ("command_substitution", "process_substitution")
    unit = node.type in _WORDS or node.type == "variable_assignment"
    for at, child in enumerate(node.children):
        inside = within_word if at == 0 else unit and not (substitution and child.is_named)
        first = True
        for leaf, joined in _leaves(child, inside, depth + 1):
            yield leaf, joined or (first and substitution and at == 1)
            first = False


def _has_substitution(node: "Node") -> bool:
    return any(child.is_named and child.type not in ("string_content", "heredoc_content") for child in node.children)


def _text(node: "Node") -> str:
    return (node.text or b"").decode("utf-8", "replace")


def _short(text: str) -> str:
    """On one line, and no longer than a person reads."""
    line = " ".join(text.split())
    return line if len(line) <= 80 else line[:77] + "..."
