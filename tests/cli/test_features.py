"""`omni environment features|add|rm`: what is said before anything is fetched, and what is said instead."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from omni.core.features import FEATURES, Features
from omni.core.paths import Home
from omni.core.words import size_words
from omni.environment import FeaturePart, FeaturePlan
from tests.cli.conftest import Call


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A feature that is not here, and an installation that only asks; what was agreed to."""
    agreed: list[str] = []

    def add(
        known: Features, name: str, display: Any, *, agree: Callable[[FeaturePlan], None], wheels: Path | None
    ) -> bool:
        parts = (FeaturePart(name="one", version="1.0", size=600_000), FeaturePart(name="two", version="2", size=None))
        agree(FeaturePlan(feature=known.get(name), parts=parts))
        agreed.append(name)
        return True

    monkeypatch.setattr("omni.environment.features.add_feature", add)
    monkeypatch.setattr(Features, "state", lambda self, name: "absent")
    return agreed


def test_they_are_listed_with_what_they_do(call: Call) -> None:
    said = call("environment", "features")
    assert said.out.splitlines()[0].split() == ["feature", "state", "disk", "what", "it", "does"]
    for feature in FEATURES.values():
        assert feature.about in said.out
    (row, *_) = call("environment", "features", "--json").json
    assert (row["name"], row["state"], row["size"]) == ("code", "built in", 0)


def test_what_would_be_fetched_is_said_before_the_question(call: Call, offered: list[str]) -> None:
    said = call("environment", "add", "code")
    assert said.code == 2
    assert "tree-sitter" not in said.err  # what the plan says counts
    for words in (
        "one 1.0, 600 kB",
        "two 2, the index does not say how large",
        f"about {size_words(FEATURES['code'].download)} to fetch",
        f"about {size_words(FEATURES['code'].size)} on",
    ):
        assert words in said.err
    assert "Add --yes to agree beforehand." in said.err
    assert offered == []
    assert (
        call("environment", "add", "code", "--yes").out == "The feature code is here. What is open finds it at once.\n"
    )
    assert offered == ["code"]


def test_what_the_environment_has_itself_is_not_added(call: Call, home: Home) -> None:
    said = call("environment", "add", "code")
    assert (said.code, "part of the environment that runs" in said.out) == (0, True)
    assert not home.features.exists()


@pytest.mark.parametrize("command", [("add", "cod"), ("rm", "cod", "--yes"), ("rm", "cod")])
def test_a_name_that_nothing_has_is_said(call: Call, command: tuple[str, ...]) -> None:
    said = call("environment", *command)
    assert said.code == 3
    assert "Did you mean 'code'?" in said.err


def test_removing_one_asks(call: Call) -> None:
    assert "Remove the feature code?" in call("environment", "rm", "code").err
