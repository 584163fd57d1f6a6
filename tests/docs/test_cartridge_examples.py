"""docs/cartridges.md: its cartridges are brains as soon as they lie where the page puts them."""

from pathlib import Path

from omni.cartridges import Library, manifest_schema
from omni.core.paths import Home
from omni.core.settings import Settings
from tests.docs.examples import DOCS, write


async def test_the_examples_are_in_the_list_of_brains(home: Home, tmp_path: Path) -> None:
    assert len(write("cartridges.md", home.root)) == 2
    library = Library(home, Settings(), environment={}, user=tmp_path)
    reviewer, tiny = await library.get("@me/reviewer"), await library.get("tiny")
    await library.close()
    assert reviewer.title == "Reviewer"
    assert reviewer.prompt.lstrip().startswith("You review changes")
    assert reviewer.sampling == {"temperature": 0.2, "max_tokens": 800}
    assert not reviewer.usable  # nothing is installed here that it could stand on
    assert (tiny.name, tiny.state, tiny.size, tiny.context_max) == ("@me/tiny", "available", 397807936, 32768)


def test_every_field_of_the_schema_is_explained() -> None:
    page = (DOCS / "cartridges.md").read_text("utf-8")
    fields = {name for table in manifest_schema()["$defs"].values() for name in table.get("properties", ())}
    assert {name for name in fields if f"`{name}`" not in page} == set()
