"""Completion of `@`: near files first, by parts of their names, within a bounded look."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omni.chat import complete_path, completion
from tests.ordinary import ordinary_user


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
    paths = complete_path("", project)
    assert set(paths[:3]) == {"src/", "README.md", "keep.log"}
    assert paths.index("src/app.py") < paths.index("src/chat/store.py")


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
    paths = complete_path("", project, limit=100)
    assert "inside" in paths
    assert not {"away", "up", "up/"} & set(paths)


def test_the_look_is_bounded(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completion, "MOST_ENTRIES", 40)
    for number in range(100):
        (project / "src" / "chat" / f"z{number}").write_text("")
    paths = complete_path("", project, limit=1000)
    assert "README.md" in paths  # near folders come first
    assert len(paths) <= 40


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


def test_what_cannot_be_read_is_left_out_and_nothing_else(project: Path) -> None:
    """Folders closed to us, folders that may be listed and not entered, and links into both."""
    for name, mode in (("closed", 0o000), ("listed", 0o444)):
        folder = project / name
        folder.mkdir()
        (folder / "inside.txt").write_text("")
        (folder / "self").symlink_to("inside.txt")
        (project / f"to {name}").symlink_to(f"{name}/inside.txt")
        folder.chmod(mode)
    (project / "src" / ".gitignore").write_text("*.py")
    (project / "src" / ".gitignore").chmod(0)
    with ordinary_user():
        paths = complete_path("", project, limit=100)
    for name in ("closed", "listed"):
        (project / name).chmod(0o755)
    assert {"closed/", "listed/", "README.md", "src/app.py"} <= set(paths)
    assert not {"closed/inside.txt", "listed/self", "to closed", "to listed"} & set(paths)


def test_what_vanishes_in_the_middle_is_left_out(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that does not tell kinds asks each entry, and the entry, or its folder, is gone by then."""
    whole = os.scandir

    class Entry:
        def __init__(self, entry: "os.DirEntry[str]") -> None:
            self.name, self.path, self._entry = entry.name, entry.path, entry

        def _ask(self) -> None:
            if self.name in ("app.py", "noise.log"):
                raise PermissionError(13, "gone", self.path)

        def is_dir(self, *, follow_symlinks: bool) -> bool:
            self._ask()
            return self._entry.is_dir(follow_symlinks=follow_symlinks)

        def is_file(self, *, follow_symlinks: bool) -> bool:
            return self._entry.is_file(follow_symlinks=follow_symlinks)

    @contextmanager
    def scandir(folder: Path) -> Iterator[Iterator[Entry]]:
        def entries() -> Iterator[Entry]:
            with whole(folder) as listing:
                for number, entry in enumerate(sorted(listing, key=lambda one: one.name)):
                    if folder.name == "chat" and number == 1:
                        raise OSError(116, "Stale file handle", str(folder))
                    yield Entry(entry)

        yield entries()

    monkeypatch.setattr(os, "scandir", scandir)
    paths = complete_path("", project, limit=100)
    assert {"README.md", "src/", "src/chat/", "src/chat/service.py", "src/build/kept.py"} <= set(paths)
    assert not {"src/app.py", "src/chat/store.py"} & set(paths)


def test_pipes_circles_and_names_that_are_no_text_are_not_offered(project: Path) -> None:
    os.mkfifo(project / "pipe")
    (project / "circle").symlink_to("circle")
    (project / "one").symlink_to("other")
    (project / "other").symlink_to("one")
    (project / os.fsdecode(b"raw\xff")).write_text("")
    paths = complete_path("", project, limit=100)
    assert "README.md" in paths
    assert not {"pipe", "circle", "one", "other"} & set(paths)
    assert all(path.isprintable() for path in paths)


def test_a_gitignore_that_is_no_file_is_none(project: Path) -> None:
    (project / ".gitignore").unlink()
    os.mkfifo(project / ".gitignore")  # nobody will ever write into it
    assert "noise.log" in complete_path("", project, limit=100)
    (project / ".gitignore").unlink()
    (project / ".gitignore").mkdir()
    assert "noise.log" in complete_path("", project, limit=100)


def test_one_huge_folder_does_not_hide_the_others(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completion, "MOST_IN_A_FOLDER", 20)
    (project / "flat").mkdir()
    for number in range(200):
        (project / "flat" / f"f{number}").write_text("")
    assert "src/chat/store.py" in complete_path("", project, limit=1000)


def test_it_takes_no_longer_than_somebody_waits(project: Path) -> None:
    assert complete_path("", project, seconds=0) == []


@pytest.mark.parametrize("prefix", ["\ud800", "a\0b", "\udcff/", "../..", "/", "~", "*[", "\\"])
def test_a_prefix_that_is_no_path_offers_nothing_or_what_is_there(project: Path, prefix: str) -> None:
    assert all((project / path).exists() for path in complete_path(prefix, project))
