"""Languages written as the regular expressions of LLGuidance's Lark, of the texts themselves or as JSON writes them.

JSON can write one character in several ways; here each has one: as itself where it may stand so, else by its short
escape, else by `\\u` and lower-case digits. So a name cannot hide from a rule about it behind another spelling.
"""

from omni.schemas import characters
from omni.schemas.characters import Characters
from omni.schemas.languages import Language

_SHORT = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_CONTROL = characters.between(0, 0x1F)
_ESCAPED = characters.union(_CONTROL, characters.of('"\\'))
_ITSELF = characters.other(_ESCAPED)
_UNSEEN = characters.union(  # what nobody means who allows any character
    characters.between(0x7F, 0x9F),
    characters.between(0x200B, 0x200F),
    characters.between(0x2028, 0x202E),
    characters.between(0x2060, 0x206F),
    characters.between(0xE000, 0xF8FF),
    characters.between(0xFDD0, 0xFDEF),
    characters.between(0xFFF0, 0xFFFF),
    characters.of("\u00ad\ufeff"),
    characters.between(0x1FFFE, 0x10FFFF),
)
ORDINARY = characters.both(
    characters.other(_UNSEEN), characters.union(characters.of("\n\t"), characters.between(0x20, 0x10FFFF))
)
_MANY = 1000  # characters, of which nobody means each


class Expressions:
    """Writes languages. `quoted`: as JSON writes them between its quotation marks."""

    def __init__(self, *, quoted: bool) -> None:
        self._quoted = quoted
        self._known: dict[tuple[Language, bool], str] = {}
        every, ordinary = (self._one(characters.EVERY, exact=exact) for exact in (True, False))
        self._every_text, self._ordinary_text = (f"/{self._repeat(one, 0, None)}/" for one in (every, ordinary))

    def written(self, language: Language) -> str:
        """What stands for it in a terminal's definition."""
        return self._terminal(language, exact=False)

    def _terminal(self, language: Language, *, exact: bool) -> str:
        if not language.cut:
            return f"/{self._plain(language, exact=exact)}/"
        parts = language.parts
        match language.kind:
            case "every":
                return "(" + " & ".join(self._terminal(part, exact=exact) for part in parts) + ")"
            case "other":
                texts = self._every_text if exact else self._ordinary_text
                return f"({texts} & ~{self._terminal(parts[0], exact=True)})"
            case "either":
                return "(" + " | ".join(self._terminal(part, exact=exact) for part in parts) + ")"
            case "then":
                return "(" + " ".join(self._terminal(part, exact=exact) for part in parts) + ")"
            case _:
                most = "" if language.most is None else str(language.most)
                return f"({self._terminal(parts[0], exact=exact)}){{{language.least},{most}}}"

    def _plain(self, language: Language, *, exact: bool) -> str:
        key = language, exact
        if key not in self._known:
            self._known[key] = self._made(language, exact=exact)
        return self._known[key]

    def _made(self, language: Language, *, exact: bool) -> str:
        match language.kind:
            case "one":
                return self._one(language.characters, exact=exact)
            case "then":
                return "".join(self._plain(part, exact=exact) for part in language.parts)
            case "either":
                return "(?:" + "|".join(self._plain(part, exact=exact) for part in language.parts) + ")"
            case "times":
                return self._repeat(self._plain(language.parts[0], exact=exact), language.least, language.most)
            case _:
                return "(?:)"

    def _repeat(self, part: str, least: int, most: int | None) -> str:
        match least, most:
            case 0, None:
                return f"(?:{part})*"
            case 1, None:
                return f"(?:{part})+"
            case 0, 1:
                return f"(?:{part})?"
            case _:
                return f"(?:{part}){{{least},{'' if most is None else most}}}"

    def _one(self, some: Characters, *, exact: bool) -> str:
        if not exact and sum(high - low for low, high in some) > _MANY:
            some = characters.both(some, ORDINARY) or some
        if not self._quoted:
            return _class(some)
        found = [_class(itself)] if (itself := characters.both(some, _ITSELF)) else []
        found += [_literal(text) for sign, text in _SHORT.items() if characters.has(some, ord(sign))]
        hidden = [
            f"{point:02x}"
            for low, high in characters.both(some, _CONTROL)
            for point in range(low, high + 1)
            if chr(point) not in _SHORT
        ]
        if hidden:
            found.append(f"\\\\u00(?:{'|'.join(hidden)})")
        return found[0] if len(found) == 1 else f"(?:{'|'.join(found)})"


def _class(some: Characters) -> str:
    """A class of characters, each by its number: nothing in it has a meaning of its own."""
    if len(some) == 1 and some[0][0] == some[0][1] and chr(some[0][0]).isalnum() and some[0][0] < 0x80:
        return chr(some[0][0])
    return "[" + "".join(f"\\x{{{low:x}}}" + (f"-\\x{{{high:x}}}" if high > low else "") for low, high in some) + "]"


def _literal(text: str) -> str:
    return "".join(f"\\x{{{ord(sign):x}}}" for sign in text)
