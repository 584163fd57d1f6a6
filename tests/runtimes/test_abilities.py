"""What the papers say that each kind of engine can do is what the code goes by."""

from typing import get_args

from omni.runtimes import ABILITIES, Ability, RuntimeKind
from tests.runtime_tools import ROOT


def test_the_table_of_the_papers_is_that_of_the_code() -> None:
    text = (ROOT / "docs" / "engines.md").read_text("utf-8")
    table = text.partition("## What each kind can do\n\n")[2].partition("\n\n")[0]
    head, _, *rows = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in table.splitlines()]
    told = {kind: {name for name, cell in zip(head[1:], cells, strict=True) if cell == "yes"} for kind, *cells in rows}
    assert head[1:] == list(get_args(Ability))
    assert told == {kind: set(abilities) for kind, abilities in ABILITIES.items()}
    assert set(told) == set(get_args(RuntimeKind))
