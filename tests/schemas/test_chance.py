"""Schemas put together by chance of what goes wrong together: what their grammars admit follows them."""

import json
import random
from typing import Any

import pytest
from jsonschema_rs import validator_for

from omni.schemas import Compiled, SchemaRefused, compile_schema
from tests.schemas.walking import grammar_of, walk

NAMES = ["a", "b", "c", "x1"]
VALUES: list[Any] = [0, 1, -1, 2.5, "a", "ab", "foo", "", None, True, [], [1], [1, 1], {}, {"a": 1}, "2020-01-01"]
PATTERNS = ["^a", "b$", "^[a-c]+$", r"\d+", "^(?!foo).*$", r"^\w+$", "^[^x]*$", "(?=.*a)", r"^(.)\1$"]
FORMATS = ["date", "email", "ipv4", "uri", "unknown"]


class Chance:
    """Makes schemas; the same ones for the same seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def schema(self, deep: int = 2) -> Any:
        """A schema of so many levels."""
        chance = self.random
        if chance.random() < 0.04:
            return chance.choice([True, False])
        if chance.random() < 0.1:
            return {"$ref": f"#/$defs/{chance.choice('pq')}"}
        kinds = ["string", "number", "integer", "listed"] + ["object", "object", "array", "logic", "any"] * (deep > 0)
        kind = chance.choice(kinds)
        keywords: dict[str, Any] = {} if kind in ("listed", "logic", "any") else {"type": kind}
        if kind == "listed":
            return {"enum": chance.sample(VALUES, 3)} | (self.some(self.texts(), 0.2) if chance.random() < 0.4 else {})
        if kind in ("string", "any"):
            keywords |= self.some(self.texts(), 0.3)
        if kind in ("number", "integer", "any"):
            keywords |= self.some(self.numbers(), 0.3)
        if kind in ("object", "any"):
            keywords |= self.some(self.objects(deep - 1), 0.4)
        if kind in ("array", "any"):
            keywords |= self.some(self.lists(deep - 1), 0.3)
        if deep and (kind == "logic" or chance.random() < 0.3):
            keywords |= self.some(self.logic(deep - 1), 0.4)
        return keywords

    def some(self, keywords: dict[str, Any], share: float) -> dict[str, Any]:
        """Some of these keywords."""
        return {keyword: value for keyword, value in keywords.items() if self.random.random() < share}

    def texts(self) -> dict[str, Any]:
        """Keywords of texts."""
        pick = self.random.choice
        return {
            "pattern": pick(PATTERNS),
            "minLength": pick([1, 3]),
            "maxLength": pick([3, 6]),
            "format": pick(FORMATS),
        }

    def numbers(self) -> dict[str, Any]:
        """Keywords of numbers."""
        pick = self.random.choice
        return {
            "minimum": pick([-5, 0, 1.5, -0.25]),
            "exclusiveMaximum": pick([0, -1, 7, 4.5]),
            "multipleOf": pick([1, 3, 0.5, 0.01, 7, 0.3333, 86400]),
        }

    def objects(self, deep: int) -> dict[str, Any]:
        """Keywords of objects."""
        chance = self.random
        return {
            "properties": {name: self.schema(deep) for name in chance.sample(NAMES, 2)},
            "required": chance.sample(NAMES, chance.randint(1, 2)),
            "additionalProperties": chance.choice([False, {"type": "integer"}]),
            "patternProperties": {chance.choice(PATTERNS): self.schema(0)},
            "minProperties": chance.randint(0, 2),
            "maxProperties": chance.randint(1, 3),
            "propertyNames": chance.choice(
                [{"pattern": chance.choice(PATTERNS)}, {"maxLength": 3}, {"enum": NAMES[:3]}]
            ),
            "dependentRequired": {"a": ["b"]},
            "dependentSchemas": {"b": self.schema(deep)},
            "unevaluatedProperties": False,
        }

    def lists(self, deep: int) -> dict[str, Any]:
        """Keywords of lists."""
        chance = self.random
        return {
            "items": self.schema(deep),
            "prefixItems": [self.schema(deep) for _ in range(2)],
            "minItems": chance.randint(0, 2),
            "maxItems": chance.randint(1, 3),
            "uniqueItems": True,
            "contains": self.schema(deep),
            "unevaluatedItems": False,
        }

    def logic(self, deep: int) -> dict[str, Any]:
        """Keywords that join others."""
        return {
            "anyOf": [self.schema(deep) for _ in range(2)],
            "oneOf": [self.schema(deep) for _ in range(2)],
            "allOf": [self.schema(deep) for _ in range(2)],
            "not": self.schema(deep),
            "if": self.schema(deep),
            "then": self.schema(deep),
            "else": self.schema(deep),
        }


def prove(compiled: Compiled, chance: random.Random, schema: Any) -> None:
    """What the grammar admits is JSON, and follows the schema as far as grammars keep it."""
    grammar = grammar_of(compiled)
    for _ in range(3):
        text, sieve = walk(grammar, chance, longest=300), compiled.sieve()
        if text is None:
            continue
        text = text if sieve is None else sieve.feed(text) + sieve.rest()
        json.loads(text)
        fault = compiled.fault_of(text)
        assert fault is None or compiled.loose, f"{json.dumps(schema)} admits {text}: {fault}"


@pytest.mark.parametrize("seed", range(8))
def test_what_is_put_together_by_chance_is_kept_or_truly_refused(seed: int) -> None:
    chance = Chance(seed)
    kept = 0
    for _ in range(40):
        schema = {"allOf": [chance.schema()], "$defs": {name: chance.schema(1) for name in "pq"}}
        try:
            compiled = compile_schema(schema)
        except SchemaRefused as refused:
            said = refused.message
        else:
            kept += 1
            prove(compiled, chance.random, schema)
            continue
        valid = validator_for(schema, validate_formats=True).is_valid
        counterexamples = [value for value in VALUES if said.startswith("Nothing") and valid(value)]
        assert not counterexamples, f"{json.dumps(schema)}: {said}"
    assert kept > 10
