"""Leaves out of an answer, while it comes, a property whose name its object has already.

No grammar remembers names that are free. Of two with one name some readers take the first, others the last, and a proof sees
one: so only the first is sent. It is held back from its comma on until its name is known, and all else passes at once.
"""

import json


class DuplicateNames:
    """Text of one answer in, text that may be sent out."""

    def __init__(self) -> None:
        self._levels: list[set[str] | None] = []  # of each object that is open its names, of each list None
        self._held: list[str] = []  # from a comma on, or from the beginning of an object
        self._text: list[str] | None = None  # of the text that is open
        self._escaped = False
        self._naming = False  # the next text is a name
        self._dropping = 0  # the depth of the object of which a property is left out; 0: none

    def feed(self, text: str) -> str:
        """What of it can be sent."""
        return "".join(map(self._take, text))

    def rest(self) -> str:
        """What was held back when the answer ended in the middle of it."""
        held, self._held = "".join(self._held), []
        return held

    def _take(self, sign: str) -> str:
        if self._text is not None:
            return self._in_text(sign)
        match sign:
            case '"':
                self._text, self._escaped = [], False
            case "{" | "[":
                self._levels.append(set() if sign == "{" else None)
                self._naming = sign == "{"
            case "}" | "]" if self._levels:
                if self._dropping == len(self._levels):
                    self._dropping = 0
                self._levels.pop()
                self._naming = False
                return self.rest() + self._sent(sign)
            case "," if self._levels and self._levels[-1] is not None:
                if self._dropping == len(self._levels):
                    self._dropping = 0
                self._naming = True
        if self._naming and not self._dropping:
            self._held.append(sign)
            return ""
        return self._sent(sign)

    def _in_text(self, sign: str) -> str:
        assert self._text is not None
        if self._escaped or sign != '"':
            self._escaped = sign == "\\" and not self._escaped
            self._text.append(sign)
        else:
            text, self._text = "".join(self._text), None
            if self._naming:
                self._naming = False
                return self._named(text, sign)
        if self._naming and not self._dropping:
            self._held.append(sign)
            return ""
        return self._sent(sign)

    def _named(self, text: str, sign: str) -> str:
        """The name of a property is known."""
        names = self._levels[-1]
        if names is None or self._dropping:
            return self._sent(sign)
        try:
            name = json.loads(f'"{text}"')
        except ValueError:
            name = text  # it is no JSON, which the proof will see
        if name in names:
            self._dropping = len(self._levels)
            self._held.clear()
            return ""
        names.add(name)
        return self.rest() + sign

    def _sent(self, sign: str) -> str:
        return "" if self._dropping else sign
