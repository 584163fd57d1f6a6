"""What compiling a schema may cost. Some schemas of a few kilobytes would keep a processor busy for hours, one small step
after the other: all steps of one compilation are counted here, so that the same schema ends the same on every machine."""

from omni.schemas._errors import TooMuch

MOST_STEPS = 4_000_000  # values and parts that are looked at, compared or made


class Costs:
    """Counts the steps of one compilation, or of one writing of what is compiled."""

    def __init__(self) -> None:
        self.steps = 0

    def count(self, steps: int = 1) -> None:
        """Count some. Raises SchemaRefused when they are too many."""
        self.steps += steps
        if self.steps > MOST_STEPS:
            raise TooMuch(
                f"takes more than {MOST_STEPS:,} steps to be compiled, each of its parts by each that it is joined with"
            ).refusal("#")

    def renew(self) -> None:
        """Begin anew."""
        self.steps = 0
