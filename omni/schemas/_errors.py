"""What a schema is refused with: always the keyword and where it stands, what was found there, and what would do."""

from omni.core.errors import UsageError

FALSE = "is false, which allows nothing"


class SchemaRefused(UsageError):
    """A schema cannot be kept. `keyword` is what cannot, `place` where the part stands that has it, as in `#/properties/a`."""

    def __init__(self, message: str, *, keyword: str, place: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.keyword, self.place = keyword, place


class Impossible(Exception):
    """No value can be so: `keyword` at `place` stands in the way, and `why` goes on from there."""

    begin = "Nothing can be as the schema says"
    hint = "Change it, or what stands against it."

    def __init__(self, why: str, keyword: str = "", place: str = "") -> None:
        super().__init__(why)
        self.why, self.keyword, self.place = why, keyword, place

    def refusal(self, place: str) -> SchemaRefused:
        """What is said of the whole schema; `place` is where it is, unless that is known better."""
        place = self.place or place
        what = f"`{self.keyword}` at {place}" if self.keyword else f"the part at {place}"
        return SchemaRefused(f"{self.begin}: {what} {self.why}.", keyword=self.keyword, place=place, hint=self.hint)


class Endless(Impossible):
    """Every value would hold another."""

    hint = "Let what holds itself be left out, or be null."


class TooMuch(Impossible):
    """Values may be so, but none that is worth trying to write."""

    begin = "The schema cannot be kept"
    hint = "Ask for less there."


class Wrong(Impossible):
    """It means nothing."""

    begin = "It is no JSON Schema"
    hint = "Correct it there."
