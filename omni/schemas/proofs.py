"""The proof that a value follows a schema, by a validator that had no part in making it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from omni.schemas._errors import SchemaRefused
from omni.schemas.dialects import no_schema, pointer, shorten
from omni.schemas.documents import DATA, Document
from omni.schemas.expressions import BadPattern, Unkept
from omni.schemas.languages import Languages
from omni.schemas.patterns import matching

if TYPE_CHECKING:
    from jsonschema_rs import Validator


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """Where a value does not follow its schema: by which keyword, at which place of the schema and of the value."""

    keyword: str
    place: str
    at: str
    message: str


NO_JSON = Fault(keyword="", place="#", at="#", message="it is no JSON")
TOO_LARGE = Fault(keyword="", place="#", at="#", message="it takes too long to prove that")  # it may follow or not


class Proof:
    """Proves values against a document; formats count, nothing is fetched. Raises SchemaRefused where nobody can."""

    def __init__(self, document: Document) -> None:
        self._validator = _validator(document)

    def fault(self, value: Any) -> Fault | None:
        """The first fault of a value; None when it has none."""
        error = next(iter(self._validator.iter_errors(value)), None)
        if error is None:
            return None
        path = [str(part) for part in error.schema_path]
        return Fault(
            keyword=path[-1] if path else "",
            place=pointer(path[:-1]),
            at=pointer(list(error.instance_path)),
            message=shorten(error.message),
        )


def _validator(document: Document) -> "Validator":
    from jsonschema_rs import ValidationError, validator_for

    schema = document.root
    if not isinstance(schema, bool):
        schema = {**schema, "$schema": document.address}
    plainer = _Plainer()
    for made in (lambda: schema, lambda: plainer.made(schema)):
        try:
            return validator_for(made(), formats=plainer.formats, validate_formats=True, offline=True)
        except (ValidationError, ValueError) as error:
            failed = error
    if isinstance(failed, ValidationError):
        raise no_schema(failed, document.address) from failed
    raise SchemaRefused(
        f"The schema cannot be kept: nobody can prove that an answer follows it ({shorten(str(failed))}).",
        keyword="",
        place="#",
        hint="Send a simpler schema.",
    ) from failed


class _Plainer:
    """Makes a schema one whose patterns the validator's own dialect of regular expressions need not read: each that it
    refuses becomes a format, which is looked at here."""

    def __init__(self) -> None:
        self.formats: dict[str, Callable[[Any], bool]] = {}
        self._languages = Languages()

    def made(self, value: Any) -> Any:
        """The same schema, said otherwise."""
        if isinstance(value, list):
            return [self.made(part) for part in value]
        if not isinstance(value, dict):
            return value
        plainer: dict[str, Any] = {}
        for key, part in value.items():
            if key in DATA:
                plainer[key] = part
            elif key == "pattern" and isinstance(part, str) and (name := self._format(part)) is not None:
                plainer["allOf"] = [*value.get("allOf", ()), {"format": name}]
            elif key != "allOf" or "allOf" not in plainer:
                plainer[key] = self.made(part)
        return plainer

    def _format(self, pattern: str) -> str | None:
        """The name of the format that stands for a pattern; None where it can stay."""
        from jsonschema_rs import ValidationError, validator_for

        try:
            validator_for({"pattern": pattern}, offline=True)
            return None
        except (ValidationError, ValueError):
            pass
        try:
            language = matching(self._languages, pattern)
        except (BadPattern, Unkept):
            return None
        name = f"like {pattern}"
        self.formats[name] = lambda text: self._languages.accepts(language, text)
        return name
