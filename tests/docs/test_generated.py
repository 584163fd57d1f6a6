"""What `make docs` writes is what stands there; the shipped files say which schema describes them, and it does."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from docs import generate

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = sorted([*ROOT.glob("cartridges/*/cartridge.toml"), *ROOT.glob("themes/*.toml")])


@pytest.mark.parametrize("path", generate.files(), ids=lambda path: path.name)
def test_it_is_fresh(path: Path) -> None:
    assert path.read_text("utf-8") == generate.files()[path], "run `make docs`"


def test_the_example_of_the_settings_is_understood(tmp_path: Path) -> None:
    from omni.core.settings import Settings
    from tests.docs.examples import write

    (path,) = write("settings.md", tmp_path)
    assert Settings.load(path).engine.context == 32768


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_shipped_file_names_its_schema_and_fits_it(path: Path) -> None:
    first, _, rest = path.read_text("utf-8").partition("\n")
    assert first.startswith("#:schema ")
    schema_path = (path.parent / first.removeprefix("#:schema ")).resolve()
    assert schema_path.parent == ROOT / "docs" / "schemas"
    schema = json.loads(schema_path.read_text("utf-8"))
    fits(tomllib.loads(rest), schema, schema["$defs"])


def fits(value: Any, schema: dict[str, Any], known: dict[str, Any]) -> None:
    """What an editor checks first: keys that are known, and those that are needed."""
    if "$ref" in schema:
        schema = known[schema["$ref"].rpartition("/")[2]]
    if "discriminator" in schema:
        kind = schema["discriminator"]
        schema = known[kind["mapping"][value[kind["propertyName"]]].rpartition("/")[2]]
    if "anyOf" in schema:
        assert any(_type(value) == each.get("type") or "$ref" in each for each in schema["anyOf"]), (value, schema)
        return
    if "type" in schema:
        assert schema["type"] in (_type(value), "number"), (value, schema)
    if isinstance(value, dict):
        assert set(schema["required"]) <= set(value) <= set(schema["properties"])
        assert schema["additionalProperties"] is False
        for key, each in value.items():
            fits(each, schema["properties"][key], known)


def _type(value: Any) -> str:
    names = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array", dict: "object"}
    return names[type(value)]
