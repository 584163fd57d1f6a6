"""What stands beside an answer about how it came."""

import pytest

from omni.core.events import Usage
from omni.shell.panes.chat_entries import usage_facts


@pytest.mark.parametrize(
    ("accepted", "facts"),
    [
        (0, ["10 s", "200 tokens", "20.0 tok/s"]),
        (4, ["10 s", "200 tokens", "20.0 tok/s"]),
        (122, ["10 s", "200 tokens", "20.0 tok/s", "61% drafted"]),
    ],
)
def test_an_answer_tells_how_much_of_it_was_drafted_where_that_is_worth_a_word(accepted: int, facts: list[str]) -> None:
    usage = Usage(completion_tokens=200, completion_seconds=10.0, drafted_tokens=140, accepted_tokens=accepted)
    assert usage_facts(10.0, usage) == facts


def test_an_answer_without_a_token_was_not_drafted() -> None:
    assert Usage().drafted == 0.0
