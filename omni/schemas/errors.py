"""What a schema is refused with: always the keyword and where it stands."""

from omni.core.errors import UsageError


class SchemaRefused(UsageError):
    """A schema cannot be kept. `keyword` is what cannot, `place` where it stands in the schema, as in `#/properties/a`."""

    def __init__(self, message: str, *, keyword: str, place: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.keyword, self.place = keyword, place
