"""Completion of `@`: near files first, by parts of their names, within a bounded look."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omni.chat import complete_path, completion


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    for name in (
        "README.md",
        "src/app.py",
        "src/chat/store.py",
        "src/chat/service.py",
        "build/out.js",
        "src/build/kept.py",
        "keep.log",
        "noise.log",
        ".hidden/file",
        ".env",
        "node_modules/x/index.js",
        ".git/config",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("")
    (root / ".gitignore").write_text("# made\n/build/\n*.log\n!keep.log\n")
    return root


def test_nothing_typed_offers_what_is_near(project: Path) -> None:
    found = complete_path("", project)
    assert set(found[:3]) == {"src/", "README.md", "keep.log"}
    assert found.index("src/app.py") < found.index("src/chat/store.py")


@pytest.mark.parametrize(
    ("typed", "first"),
    [
        ("READ", "README.md"),
        ("read", "README.md"),
        ("src/a", "src/app.py"),
        ("store", "src/chat/store.py"),
        ("s/c/st", "src/chat/store.py"),
        ("scsto", "src/chat/store.py"),
        ("./src/app", "src/app.py"),
        ("kept", "src/build/kept.py"),
        (".en", ".env"),
        (".hidden/f", ".hidden/file"),
    ],
)
def test_parts_of_a_name_find_it(project: Path, typed: str, first: str) -> None:
    assert complete_path(typed, project)[0] == first


def test_what_git_ignores_is_not_offered(project: Path) -> None:
    everything = complete_path("", project, limit=100) + complete_path(".", project, limit=100)
    assert "keep.log" in everything
    for hidden in ("noise.log", "build/", "build/out.js", "node_modules/", ".git/", ".git/config"):
        assert hidden not in everything
    assert ".env" not in complete_path("", project, limit=100)


def test_links_that_lead_away_are_not_offered(project: Path) -> None:
    (project.parent / "secret").write_text("")
    (project / "away").symlink_to("../secret")
    (project / "up").symlink_to("..")
    (project / "inside").symlink_to("README.md")
    found = complete_path("", project, limit=100)
    assert "inside" in found
    assert not {"away", "up", "up/"} & set(found)


def test_the_look_is_bounded(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completion, "MOST_ENTRIES", 40)
    for number in range(100):
        (project / "src" / "chat" / f"z{number}").write_text("")
    found = complete_path("", project, limit=1000)
    assert "README.md" in found  # near folders come first
    assert len(found) <= 40


def test_a_missing_folder_offers_nothing(tmp_path: Path) -> None:
    assert complete_path("x", tmp_path / "missing") == []


def test_names_that_do_not_print_are_not_offered(project: Path) -> None:
    (project / "a\nb").write_text("")
    assert not any("\n" in path for path in complete_path("a", project))


@given(st.text(max_size=10), st.text(max_size=30))
def test_any_prefix_and_any_gitignore_do(prefix: str, rules: str) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "file").write_text("")
        (Path(folder) / ".gitignore").write_bytes(rules.encode("utf-8", "replace"))
        assert set(complete_path(prefix, Path(folder))) <= {"file", ".gitignore"}
