"""Grammars in LLGuidance's Lark: rules and terminals, gathered until they are written down as one text."""

import json
from collections.abc import Iterable

HEAD = "%llguidance {}\n"
# Where brains put white space: one blank, or a line's end and what a line is usually indented by. More of it only fills an
# answer up to its limit; where lines are indented deeper than that, they begin further left.
BLANKS, TABS = 16, 8
_SPACE = rf"( |\n( {{0,{BLANKS}}}|\t{{1,{TABS}}}))?"


class TooLarge(Exception):
    """A grammar has more symbols than it may have."""


class Grammar:
    """Rules and terminals of one grammar; equal terminals have one name. Raises TooLarge beyond `most` symbols."""

    def __init__(self, *, most: int | None = None) -> None:
        self._most = most
        self._rules: dict[str, str] = {}
        self._terminals: dict[str, str] = {}
        self.size = 0  # symbols in all rules, about

    def terminal(self, expression: str) -> str:
        """The name of what matches an expression."""
        if expression not in self._terminals:
            self._terminals[expression] = f"T{len(self._terminals)}"
            self.size += 1
        return self._terminals[expression]

    def literal(self, text: str) -> str:
        """The name of what is this text."""
        return self.terminal(json.dumps(text, ensure_ascii=False))

    def lazy(self, expression: str) -> str:
        """The name of a rule that ends as soon as it can."""
        name = f"lazy{len(self._rules)}"
        self._rules[f"{name}[lazy]"] = expression
        return name

    def reserve(self) -> str:
        """The name of a rule whose alternatives are told later."""
        name = f"r{len(self._rules)}"
        self._rules[name] = ""
        return name

    def define(self, name: str, alternatives: Iterable[str]) -> None:
        """Tell the alternatives of a reserved rule, one at least; an empty one is the empty text."""
        each = [alternative or '""' for alternative in dict.fromkeys(alternatives)]
        if not each:  # which an engine reads as the empty text, too
            raise ValueError(f"the rule {name} has no alternative")
        self._rules[name] = " | ".join(each)
        self.size += sum(1 + alternative.count(" ") for alternative in each)
        if self._most is not None and self.size > self._most:
            raise TooLarge

    def rule(self, alternatives: Iterable[str]) -> str:
        """The name of a rule with these alternatives."""
        name = self.reserve()
        self.define(name, alternatives)
        return name

    def text(self, start: str) -> str:
        """The whole grammar, which begins with `start`."""
        lines = [f"start: {start}"]
        lines += [f"{name}: {body}" for name, body in self._rules.items()]
        lines += [f"{name}: {expression}" for expression, name in self._terminals.items()]
        return HEAD + "\n".join(lines) + "\n"

    # -- punctuation of JSON, with the white space that belongs to it

    def opening(self, sign: str) -> str:
        """An opening bracket."""
        return self.terminal(rf"/\{sign}{_SPACE}/")

    def closing(self, sign: str) -> str:
        """A closing bracket."""
        return self.terminal(rf"/{_SPACE}\{sign}/")

    def comma(self) -> str:
        """What stands between two parts."""
        return self.terminal(f"/,{_SPACE}/")

    def name(self, quoted: str) -> str:
        """The name of a property, given as an expression, and its colon."""
        return self.terminal(f"{quoted} /: ?/")
