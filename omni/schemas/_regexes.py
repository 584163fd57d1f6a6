"""Languages written as the regular expressions of LLGuidance's Lark, of the texts themselves or as JSON writes them.

JSON can write one character in several ways; here each has one: as itself where it may stand so, else by its short
escape, else by `\\u` and lower-case digits. So a name cannot hide from a rule about it behind another spelling.
"""

from collections.abc import Iterator
from itertools import groupby
from typing import Literal

from omni.schemas import _characters as characters
from omni.schemas._characters import Characters
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
_NEARLY_ALL = 500_000  # which is all but a few: of fewer, somebody has told which
_NO_CHARACTER = r"[^\s\S]"
_ANYTHING = f"~/{_NO_CHARACTER}/"  # any bytes, even what is no text: where another part says that it is one

# Of a set of characters: those that somebody means (all where there are none); only ordinary ones; all.
_Meant = Literal["meant", "ordinary", "every"]


class Expressions:
    """Writes languages. `quoted`: as JSON writes them between its quotation marks.

    What several languages have in common is written so that an engine gets far with it. It follows each of them at once,
    and looks ahead for an end that all have: so one alone says which characters there are, the others end as soon as
    anything may follow, and all that is denied is denied together.
    """

    def __init__(self, *, quoted: bool) -> None:
        self._quoted = quoted
        self._known: dict[tuple[Language, _Meant], str] = {}

    def written(self, language: Language) -> str:
        """What stands for it in a terminal's definition."""
        return self._whole(language, _meant(language) if language.cut else "meant")

    def _whole(self, language: Language, meant: _Meant) -> str:
        """A language by itself."""
        if not language.cut:
            return f"/{self._plain(language, meant)}/"
        parts = language.parts
        match language.kind:
            case "every" | "other":
                return self._common(parts if language.kind == "every" else (language,), meant)
            case "either":
                return "(" + " | ".join(self._whole(part, meant) for part in parts) + ")"
            case "then":
                return "(" + " ".join(self._whole(part, meant) for part in parts) + ")"
            case _:
                most = "" if language.most is None else str(language.most)
                return f"({self._whole(parts[0], meant)}){{{language.least},{most}}}"

    def _common(self, parts: tuple[Language, ...], meant: _Meant) -> str:
        """What is in all of them."""
        asked = [part for part in parts if part.kind != "other"]
        telling = next((part for part in asked if _tells_all(part)), None)
        first = f"/{self._any_text(meant)}/" if telling is None else self._whole(telling, meant)
        operands = [first, *(self._within(part, meant) for part in asked if part is not telling)]
        if denied := [self._within(part.parts[0], meant) for part in parts if part.kind == "other"]:
            operands.append(f"~({' | '.join(denied)})")
        return f"({' & '.join(operands)})" if len(operands) > 1 else first

    def _within(self, language: Language, meant: _Meant) -> str:
        """A language of which only those texts count that another one admits, too."""
        parts = language.parts
        match language.kind:
            case "times" if _is_any_text(language):
                return _ANYTHING
            case "either" if not _tells_all(language):
                return "(" + " | ".join(self._within(part, meant) for part in parts) + ")"
            case "then" if not _tells_all(language):
                return "(" + " ".join([*self._before(parts[:-1], meant), self._within(parts[-1], meant)]) + ")"
            case "every":
                return "(" + " & ".join(self._within(part, meant) for part in parts) + ")"
            case "other":
                return f"~{self._within(parts[0], meant)}"
            case _:
                return self._whole(language, meant)

    def _before(self, parts: tuple[Language, ...], meant: _Meant) -> Iterator[str]:
        """Languages one after the other, those that are not cut in one piece."""
        for cut, group in groupby(parts, lambda part: part.cut):
            if cut:
                yield from (self._whole(part, meant) for part in group)
            else:
                yield "/" + "".join(self._plain(part, meant) for part in group) + "/"

    def _any_text(self, meant: _Meant) -> str:
        return self._repeat(self._one(characters.EVERY, meant), 0, None)

    def _plain(self, language: Language, meant: _Meant) -> str:
        key = language, meant
        if key not in self._known:
            self._known[key] = self._made(language, meant)
        return self._known[key]

    def _made(self, language: Language, meant: _Meant) -> str:
        match language.kind:
            case "one":
                return self._one(language.characters, meant)
            case "then":
                return "".join(self._plain(part, meant) for part in language.parts)
            case "either":
                return "(?:" + "|".join(self._plain(part, meant) for part in language.parts) + ")"
            case "times":
                return self._repeat(self._plain(language.parts[0], meant), language.least, language.most)
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

    def _one(self, some: Characters, meant: _Meant) -> str:
        if meant == "ordinary":
            some = characters.both(some, ORDINARY)
        elif meant == "meant" and _are_many(some):
            some = characters.both(some, ORDINARY) or some
        if not some:
            return _NO_CHARACTER
        if not self._quoted:
            return _class(some)
        alternatives = [_class(itself)] if (itself := characters.both(some, _ITSELF)) else []
        alternatives += [_literal(text) for sign, text in _SHORT.items() if characters.has(some, ord(sign))]
        hidden = [
            f"{point:02x}"
            for low, high in characters.both(some, _CONTROL)
            for point in range(low, high + 1)
            if chr(point) not in _SHORT
        ]
        if hidden:
            alternatives.append(f"\\\\u00(?:{'|'.join(hidden)})")
        return alternatives[0] if len(alternatives) == 1 else f"(?:{'|'.join(alternatives)})"


def _meant(language: Language) -> _Meant:
    """Which characters count in all parts of a language: ordinary ones, unless it asks for others."""
    ahead, seen = [language], {language}
    while ahead:
        here = ahead.pop()
        if here.kind == "one":
            ordinary = characters.both(here.characters, ORDINARY)
            if not ordinary or (ordinary != here.characters and characters.count(here.characters) < _NEARLY_ALL):
                return "every"
        for part in here.parts if here.kind != "other" else ():
            if part not in seen:
                seen.add(part)
                ahead.append(part)
    return "ordinary"


def _are_many(some: Characters) -> bool:
    return characters.count(some) > _MANY


def _is_any_text(language: Language) -> bool:
    if language.kind != "times" or (language.least, language.most) != (0, None):
        return False
    return language.parts[0].kind == "one" and language.parts[0].characters == characters.EVERY


def _tells_all(language: Language) -> bool:
    """Whether every part of it says which characters there are: no text may end with just anything."""
    if language.cut or _is_any_text(language):
        return False
    match language.kind:
        case "then":
            return _tells_all(language.parts[-1])
        case "either":
            return all(map(_tells_all, language.parts))
        case _:
            return True


def _class(some: Characters) -> str:
    """A class of characters, each by its number: nothing in it has a meaning of its own."""
    if len(some) == 1 and some[0][0] == some[0][1] and chr(some[0][0]).isalnum() and some[0][0] < 0x80:
        return chr(some[0][0])
    return "[" + "".join(f"\\x{{{low:x}}}" + (f"-\\x{{{high:x}}}" if high > low else "") for low, high in some) + "]"


def _literal(text: str) -> str:
    return "".join(f"\\x{{{ord(sign):x}}}" for sign in text)
