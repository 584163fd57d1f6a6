"""Every path that Omni names is of a known kind, and nothing else is."""

from pathlib import Path

import pytest

from omni.core.at_rest import KINDS, kind_of, what
from omni.core.paths import Home

FOLDERS = (
    "venvs",
    "bin",
    "logs",
    "engines",
    "changes",
    "artifacts",
    "engine_builds",
    "quantised",
    "cartridges",
    "blobs",
    "audit",
    "features",
    "plugin_sets",
    "prefixes",
    "run",
    "sockets",
)


def test_every_path_that_a_home_names_is_known(tmp_path: Path) -> None:
    home = Home(tmp_path)
    named = {name: getattr(home, name) for name, kind in vars(Home).items() if isinstance(kind, property)}
    below = {name: path.relative_to(tmp_path) for name, path in named.items() if path.is_relative_to(tmp_path)}
    assert {name for name in named if name not in below or kind_of(str(below[name])) is None} == set(FOLDERS)
    assert kind_of(home.copied().name) is not None


@pytest.mark.parametrize(
    ("path", "row"),
    [
        ("chat/omni.db-wal", "chat/omni.db*"),
        ("chat/omni.db.before-branches", "chat/omni.db*"),
        ("cartridges/blobs/sha256-00/model-00001-of-00002.gguf", "cartridges/blobs/**"),
        (".config.toml.0a1b2c3d", "config.toml"),
        ("run/.worker-1-3.json.4711", "run/*.json"),
        ("audit/airlock-000001.jsonl", "audit/airlock-*.jsonl"),
        ("audit/airlock.3.jsonl", "audit/airlock*.jsonl"),
    ],
)
def test_a_file_is_of_the_first_kind_that_fits(path: str, row: str) -> None:
    kind = kind_of(path)
    assert kind is not None
    assert kind.path == row


@pytest.mark.parametrize(
    "path",
    ["x", "config.toml/x", "chat/other.db", "cartridges/blobs", "run/x", "audit/new/airlock.head", ".config.toml"],
)
def test_what_is_of_no_kind_is_unknown(path: str) -> None:
    assert kind_of(path) is None


def test_no_row_hides_behind_another() -> None:
    for kind in KINDS:
        example = kind.path.replace("**", "any").replace("*", "x")
        assert kind_of(example) == kind


def test_a_name_is_said_in_words() -> None:
    assert (what("chat"), what("config.toml"), what("other")) == ("conversations", "settings", "state")
