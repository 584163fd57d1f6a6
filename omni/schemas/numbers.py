"""Numbers between bounds as languages of the texts that JSON writes them with."""

from collections.abc import Callable
from decimal import Decimal
from typing import NamedTuple

from omni.schemas import _characters as characters
from omni.schemas.languages import Language, Languages

DIGITS = 15  # of a whole number without bounds: what every reader keeps exactly
_FAR = Decimal(10) ** 40
_FINEST = 30  # digits after the point
PLACES = 6  # after the point, where a bound does not need more


class Bounds(NamedTuple):
    """From `least` to `most`; `above`, `below`: without these themselves. None: no bound."""

    least: Decimal | None = None
    most: Decimal | None = None
    above: bool = False
    below: bool = False

    def both(self, other: "Bounds") -> "Bounds":
        """What is within both."""
        least, above = max(
            [(one.least, one.above) for one in (self, other) if one.least is not None], default=(None, False)
        )
        most, below = min(
            [(one.most, not one.below) for one in (self, other) if one.most is not None], default=(None, True)
        )
        return Bounds(least, most, above, not below)

    def tame(self) -> "Bounds | None":
        """The same without ends that nobody writes out: beyond those, all are alike; None where nothing is left."""
        least, most = self.least, self.most
        if (least is not None and least > _FAR) or (most is not None and most < -_FAR):
            return None
        least = None if least is None else max(least, -_FAR)
        most = None if most is None else min(most, _FAR)
        above, below = self.above, self.below
        if least is not None and _places(least) > _FINEST:
            least, above = least.quantize(Decimal(1).scaleb(-_FINEST), "ROUND_CEILING"), False
        if most is not None and _places(most) > _FINEST:
            most, below = most.quantize(Decimal(1).scaleb(-_FINEST), "ROUND_FLOOR"), False
        return Bounds(least, most, above, below)

    def said(self) -> str:
        """In words; nothing where there are none."""
        least = "" if self.least is None else f"{'above' if self.above else 'from'} {plain(self.least)}"
        most = "" if self.most is None else f"{'below' if self.below else 'to'} {plain(self.most)}"
        return " ".join(
            part for part in (least, most if least or self.below else most.replace("to", "up to", 1)) if part
        )

    def multiples(self, step: Decimal) -> "Bounds | None":
        """The same with multiples of `step` as its ends, which are within; None where there is no multiple."""
        least, most = self.least, self.most
        if least is not None:
            up = (least / step).to_integral_value("ROUND_CEILING") * step
            least = up + step if self.above and up == least else up
        if most is not None:
            down = (most / step).to_integral_value("ROUND_FLOOR") * step
            most = down - step if self.below and down == most else down
        return None if least is not None and most is not None and least > most else Bounds(least, most)

    def readable(self, step: Decimal) -> "Bounds":
        """The same with ends where there are none: beyond them, a reader of JSON knows no multiple of `step` exactly."""
        far = Decimal(10) ** max(0, DIGITS - _places(step))
        least = -far if self.least is None and (self.most is None or self.most > -far) else self.least
        most = far if self.most is None and (self.least is None or self.least < far) else self.most
        return self._replace(least=least, most=most)

    def hold(self, value: Decimal) -> bool:
        """Whether a value is within."""
        return self.both(Bounds(value, value)) == Bounds(value, value)

    def nearest(self) -> Decimal:
        """What is next to 0, where the ends are within."""
        lower = max(Decimal(0) if self.least is None else self.least, Decimal(0))
        return lower if self.most is None else min(lower, self.most)

    def mirrored(self) -> "Bounds":
        """The opposites of what is within."""
        least = None if self.most is None else -self.most
        most = None if self.least is None else -self.least
        return Bounds(least, most, self.below, self.above)

    def whole(self) -> "Bounds":
        """The same for whole numbers, whose ends are always within."""
        least, most = self.least, self.most
        if least is not None:
            up = least.to_integral_value("ROUND_CEILING")
            least = up + 1 if self.above and up == least else up
        if most is not None:
            down = most.to_integral_value("ROUND_FLOOR")
            most = down - 1 if self.below and down == most else down
        return Bounds(least, most)


UNBOUNDED = Bounds()


class Numbers:
    """Makes languages of numbers."""

    def __init__(self, languages: Languages) -> None:
        self._make = languages
        self._digit = languages.one(characters.DIGITS)
        self._more = languages.one(characters.between("1", "9"))  # any digit but 0
        self._zero, self._point = languages.text("0"), languages.text(".")

    def integers(self, bounds: Bounds) -> Language:
        """Whole numbers."""
        bounds = bounds.whole()
        return self._signed(bounds, self._whole_between)

    def fractions(self, bounds: Bounds, *, only: bool = False, places: int | None = None) -> Language:
        """Numbers, whole or not; `only`: those that are not whole; with at most `places` digits after the point."""
        make = self._make
        if bounds == UNBOUNDED and not only and places is None:
            return make.then(self._signed(bounds, self._between), self._exponent())
        numbers = self._signed(bounds, lambda low, high: self._between(low, high, places=places))
        if only:
            some = make.then(make.times(self._digit), self._more, make.times(self._digit))
            numbers = make.every(numbers, make.then(make.any_text, self._point, some))
        return numbers

    def same(self, value: Decimal) -> Language:
        """All texts of one number."""
        make, sign = self._make, "-" if value < 0 else ""
        whole, _, part = plain(abs(value)).partition(".")
        zeros = make.times(self._zero)
        if part:
            return make.then(make.text(f"{sign}{whole}.{part}"), zeros)
        after = make.then(self._point, make.times(self._zero, 1))
        return make.then(make.text(sign + whole), make.either(make.empty, after))

    def _exponent(self) -> Language:
        make = self._make
        sign = make.either(make.empty, make.one(characters.of("+-")))
        exponent = make.then(make.one(characters.of("eE")), sign, make.times(self._digit, 1, 2))
        return make.either(make.empty, exponent)

    def _signed(self, bounds: Bounds, between: Callable[["_RangeEnd", "_RangeEnd | None"], Language]) -> Language:
        """Those below zero after a minus, as their opposites, and the others."""
        make = self._make
        least, most, above, below = bounds
        language = make.nothing
        if most is None or most > 0 or (most == 0 and not below):
            low = (
                _RangeEnd(max(least, Decimal(0)), above and least >= 0)
                if least is not None
                else _RangeEnd(Decimal(0), open=False)
            )
            language = between(low, None if most is None else _RangeEnd(most, below))
        if least is None or least < 0:
            low = _RangeEnd(-most, below) if most is not None and most < 0 else _RangeEnd(Decimal(0), open=True)
            opposite = between(low, None if least is None else _RangeEnd(-least, above))
            language = make.either(language, make.then(make.text("-"), opposite))
        return language

    def _whole_between(self, low: "_RangeEnd", high: "_RangeEnd | None") -> Language:
        least = int(low.value) + (low.open and low.value == int(low.value))
        return self._integers(least, None if high is None else int(high.value))

    def _integers(self, least: int, most: int | None) -> Language:
        """Whole numbers from 0 up, without leading zeros."""
        make = self._make
        digits = max(DIGITS, len(str(least)))
        if most is not None:
            if most < least:
                return make.nothing
            digits = len(str(most))
        longer = [
            make.then(self._more, make.times(self._digit, len(str(least)), digits - 1))
            if digits > len(str(least))
            else make.nothing
        ]
        from_least = make.either(self._digits(str(least), larger=True), *longer)
        if most is None:
            return from_least
        shorter = (
            self._zero
            if digits == 1
            else make.either(self._zero, make.then(self._more, make.times(self._digit, 0, digits - 2)))
        )
        if digits == 1:
            return make.one(characters.between(str(least), str(most)))
        return make.every(from_least, make.either(shorter, self._digits(str(most), larger=False)))

    def _digits(self, digits: str, *, larger: bool) -> Language:
        """As many digits, not less (or not more) than these; the first is no 0 where there are more than one."""
        make = self._make
        language = make.empty
        for at in range(len(digits) - 1, -1, -1):
            digit, rest = digits[at], len(digits) - at - 1
            lowest = "1" if at == 0 and len(digits) > 1 else "0"
            beyond = (
                characters.between(chr(ord(digit) + 1), "9")
                if larger
                else characters.between(lowest, chr(ord(digit) - 1))
            )
            others = make.then(make.one(beyond), make.times(self._digit, rest, rest)) if beyond else make.nothing
            language = make.either(make.then(make.text(digit), language), others)
        return language

    def _between(self, low: "_RangeEnd", high: "_RangeEnd | None", *, places: int | None = None) -> Language:
        make = self._make
        if places is None:
            places = max(PLACES, *(_places(end.value) + 1 for end in (low, high) if end is not None), 0)
        if places == 0:
            most = None if high is None else high.value.to_integral_value("ROUND_FLOOR")
            whole = Bounds(low.value, most, low.open, high is not None and high.open).whole()
            return self._integers(int(whole.least or 0), None if whole.most is None else int(whole.most))
        language = self._not_less(low, places)
        if high is not None:
            language = make.every(language, self._not_more(high, places))
        return language

    def _not_less(self, low: "_RangeEnd", places: int) -> Language:
        make, (whole, part) = self._make, _split(low.value)
        any_part = make.either(make.empty, make.then(self._point, make.times(self._digit, 1, places)))
        rest = make.times(self._digit, 0, max(0, places - len(part)))
        some = make.every(make.then(make.times(self._digit), self._more, make.times(self._digit)), rest)
        if not part:
            equal = make.then(self._point, some) if low.open else any_part
        else:
            fraction = some if low.open else rest
            for at in range(len(part) - 1, -1, -1):
                left = make.times(self._digit, 0, max(0, places - at - 1))
                fraction = make.either(
                    make.then(make.text(part[at]), fraction), make.then(self._past(part[at], larger=True), left)
                )
            equal = make.then(self._point, fraction)
        return make.either(
            make.then(make.text(str(whole)), equal), make.then(self._integers(whole + 1, None), any_part)
        )

    def _not_more(self, high: "_RangeEnd", places: int) -> Language:
        make, (whole, part) = self._make, _split(high.value)
        any_part = make.either(make.empty, make.then(self._point, make.times(self._digit, 1, places)))
        zeros = make.times(self._zero, 0, max(0, places - len(part)))
        if not part:
            equal = make.nothing if high.open else make.either(make.empty, make.then(self._point, self._zero, zeros))
        else:
            fraction = make.nothing if high.open else zeros
            for at in range(len(part) - 1, -1, -1):
                left = make.times(self._digit, 0, max(0, places - at - 1))
                here = make.either(
                    make.then(make.text(part[at]), fraction), make.then(self._past(part[at], larger=False), left)
                )
                fraction = make.either(here, make.empty) if at else here
            equal = make.either(make.empty, make.then(self._point, fraction))
        lower = make.then(self._integers(0, whole - 1), any_part) if whole else make.nothing
        return make.either(make.then(make.text(str(whole)), equal), lower)

    def _past(self, digit: str, *, larger: bool) -> Language:
        """One digit that is larger (or smaller)."""
        some = characters.between(chr(ord(digit) + 1), "9") if larger else characters.between("0", chr(ord(digit) - 1))
        return self._make.one(some)


class _RangeEnd(NamedTuple):
    """One end of a range, from 0 up; `open`: without itself."""

    value: Decimal
    open: bool


def plain(value: Decimal) -> str:
    """A number without an exponent, and without zeros that say nothing."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _places(value: Decimal) -> int:
    return len(plain(abs(value)).partition(".")[2])


def _split(value: Decimal) -> tuple[int, str]:
    whole, _, part = plain(value).partition(".")
    return int(whole), part
