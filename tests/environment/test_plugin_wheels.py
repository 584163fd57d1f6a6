"""A folder becomes a wheel without running anything of it, and says what is missing where that is not enough."""

import os
from pathlib import Path

import pytest

from omni.core.errors import BadFile, NotFound
from omni.environment.plugin_wheels import make_wheel, read_wheel

PROJECT = """
[project]
name = "Omni.Share"
version = "1.2"
dependencies = ["Tiny_A >= 1 ; python_version > '3'", "click"]
[project.entry-points.omni]
share = "omni_share:plugin"
"""


def project(folder: Path, text: str = PROJECT) -> Path:
    folder.mkdir()
    (folder / "pyproject.toml").write_text(text)
    (folder / "omni_share.py").write_text("raise SystemExit('nobody may run this')\n")
    return folder


def test_a_project_table_says_everything(tmp_path: Path) -> None:
    wheel = make_wheel(project(tmp_path / "share"), tmp_path)
    assert wheel.name == "omni_share-1.2-py3-none-any.whl"
    facts = read_wheel(wheel)
    assert (facts.package, facts.version) == ("omni-share", "1.2")
    assert facts.needs == ("tiny-a", "click")
    assert facts.plugins == {"share": "omni_share:plugin"}


def test_the_same_folder_makes_the_same_bytes(tmp_path: Path) -> None:
    folder = project(tmp_path / "share")
    first = make_wheel(folder, tmp_path).read_bytes()
    os.utime(folder / "omni_share.py", (1, 1))
    assert make_wheel(folder, tmp_path).read_bytes() == first


def test_one_module_alone_is_a_plug_in_of_its_name(tmp_path: Path) -> None:
    (tmp_path / "any").mkdir()
    (tmp_path / "any" / "omni_hello.py").touch()
    (tmp_path / "any" / "test_hello.py").touch()
    assert read_wheel(make_wheel(tmp_path / "any", tmp_path)).plugins == {"hello": "omni_hello"}


def test_a_package_brings_its_data_and_no_link_out_of_it(tmp_path: Path) -> None:
    from zipfile import ZipFile

    package = tmp_path / "omni_words"
    (package / "data").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "data" / "words.txt").write_text("a b")
    (package / "secret").symlink_to("/etc/hostname")
    names = ZipFile(make_wheel(package, tmp_path)).namelist()
    assert "omni_words/data/words.txt" in names
    assert "omni_words/secret" not in names


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[project]\nname = "a"\ndynamic = ["version"]', "line 1, column 1: needs the key 'project.version'"),
        ('[project]\nname = "a"\nversion = "1"', "names no plug-in"),
        (PROJECT.replace("omni_share:plugin", "elsewhere"), "no module 'elsewhere'"),
        (PROJECT.replace('"1.2"', '"../../1"'), "not the name and the version"),
        (PROJECT.replace('"click"', '"click\\nName: other"'), "more than one line"),
        ("[project", "line 1, column 9: expected ']'"),
        ("project = 3", "line 1, column 11: expected a table for project"),
        (PROJECT.replace('"1.2"', "1.2"), r"line \d+, column \d+: expected a text for project.version"),
    ],
)
def test_what_is_missing_is_said(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(BadFile, match=said):
        make_wheel(project(tmp_path / "share", text), tmp_path)


def test_two_modules_without_a_project_are_too_many(tmp_path: Path) -> None:
    (tmp_path / "any").mkdir()
    for name in ("one.py", "two.py"):
        (tmp_path / "any" / name).touch()
    with pytest.raises(BadFile, match=r"one\.py, two\.py"):
        make_wheel(tmp_path / "any", tmp_path)


def test_what_is_no_wheel_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.whl").write_bytes(b"no zip")
    with pytest.raises(BadFile, match="is no wheel"):
        read_wheel(tmp_path / "a.whl")
    with pytest.raises(NotFound):
        read_wheel(tmp_path / "b.whl")
