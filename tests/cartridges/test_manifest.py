"""Manifests: the shipped ones hold what they promise, and a wrong one is explained."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from omni.cartridges import Library, Manifest, manifest_files, manifest_schema, parse_manifest
from omni.cartridges.manifest import CartridgeBase, HubBase, PackageBase
from omni.core.errors import OmniError, UsageError
from omni.core.paths import resources

GOOD = """
name = "@me/notes"
version = "1.0.0"
title = "Notes"
summary = "A test."
licence = "MIT"

[base]
source = "url"
url = "https://example.org/notes.gguf"

[sampling]
temperature = 0.5
"""


@pytest.fixture(scope="module")
def shipped() -> dict[str, Manifest]:
    return {name: manifest for name, (_, manifest) in manifest_files(resources("cartridges")).items()}


def test_there_is_a_brain_for_every_memory_class(shipped: dict[str, Manifest]) -> None:
    manifests = shipped.values()
    classes = {each.memory_class for each in manifests if not each.starter and not isinstance(each.base, CartridgeBase)}
    assert classes == {4, 8, 16, 32, 64}


def test_all_licences_allow_it(shipped: dict[str, Manifest]) -> None:
    terms = {each.name: each.licence for each in shipped.values() if each.licence not in ("Apache-2.0", "MIT")}
    assert terms == {"@omni/lfm2.5-1.2b": "LFM Open License v1.0"}  # listed with its licence, proposed to nobody


def test_what_it_is_for_and_whether_it_was_tried_is_said(shipped: dict[str, Manifest]) -> None:
    assert {name for name, each in shipped.items() if each.tried} == {"@omni/smollm2", "@omni/coder"}
    assert {name: each.makes for name, each in shipped.items() if each.makes != "answers"} == {
        "@omni/nomic-embed": "vectors",
        "@omni/qwen3-embedding-0.6b": "vectors",
        "@omni/qwen3-reranker-0.6b": "ranks",
    }
    for each in shipped.values():
        if isinstance(each.base, HubBase):
            assert ("vision" in each.features) is bool(each.base.projector), each.name
            assert each.good_for
            assert each.memory_class


def test_where_its_facts_are_from_stands_in_each_new_one() -> None:
    texts = {path.parent.name: path.read_text("utf-8") for path in resources("cartridges").glob("*/cartridge.toml")}
    known = {"coder", "devstral-24b", "gpt-oss-20b", "granite-8b", "smollm2"}
    without = {name for name, text in texts.items() if "# Sources: " not in text}
    assert {name for name in without if not name.startswith(("roe-", "qwen3-"))} == known


def test_only_what_was_checked_has_a_hash(shipped: dict[str, Manifest]) -> None:
    for manifest in shipped.values():
        if isinstance(manifest.base, PackageBase):
            assert manifest.base.sha256
            assert manifest.base.size
        if isinstance(manifest.base, HubBase):
            assert manifest.base.sha256 is None
            assert manifest.base.size is None
            assert manifest.base.about_bytes


def test_the_starter_is_called_one_and_roles_stand_on_any_base(shipped: dict[str, Manifest]) -> None:
    assert [name for name, each in shipped.items() if each.starter] == ["@omni/smollm2"]
    roles = {name: each for name, each in shipped.items() if name.startswith("@roe/")}
    assert set(roles) == {"@roe/architect", "@roe/backend", "@roe/frontend"}
    for role in roles.values():
        assert role.base == CartridgeBase(name="any", prefer=["@omni/coder"])
        assert 300 < len(role.prompt) < 1200  # said in full, yet short enough for a small brain


def test_folders_are_named_after_their_cartridge() -> None:
    for path in resources("cartridges").glob("*/cartridge.toml"):
        name = parse_manifest(path.read_text(), str(path)).name
        assert path.parent.name in (name.partition("/")[2], name.removeprefix("@").replace("/", "-"))


@pytest.mark.parametrize(
    ("change", "message", "hint"),
    [
        (("licence =", "licens ="), "line 6, column 1: there is no key 'licens'", "licence"),
        (("url =", "ulr ="), "line 10, column 1: there is no key 'base.ulr'", "url"),
        (("[sampling]", "[samplin]"), "line 12, column 2: there is no key 'samplin'", "sampling"),
        (("temperature", "temprature"), "line 13, column 1: there is no key 'sampling.temprature'", "temperature"),
        (("0.5", "9.5"), "line 13, column 15: sampling.temperature: expected a number <= 5.0, found 9.5", ""),
        (('"url"', '"ur"'), "line 9, column 10: base.source: expected one of .* found 'ur'", ""),
        (('licence = "MIT"\n', ""), "line 1, column 1: needs the key 'licence'", ""),
        (('url = "https://example.org/notes.gguf"\n', ""), "line 8, column 1: needs the key 'base.url'", ""),
        (("https://", "http://"), "line 10, column 7: base.url: expected a text matching regex", ""),
        (("@me/notes", "me/notes"), "line 2, column 8: name: expected a text matching regex", ""),
        (("[base]", "[base"), "line 8", "TOML"),
    ],
)
def test_a_wrong_manifest_is_explained(change: tuple[str, str], message: str, hint: str) -> None:
    with pytest.raises(UsageError, match=f"x.toml.*{message}") as caught:
        parse_manifest(GOOD.replace(*change, 1), "x.toml")
    assert hint in caught.value.hint


def test_two_cartridges_with_one_name_are_refused(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "cartridge.toml").write_text(GOOD)
    with pytest.raises(UsageError, match="another cartridge is named '@me/notes'"):
        manifest_files(tmp_path)
    assert manifest_files(tmp_path / "none") == {}


def test_a_manifest_that_cannot_be_read_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "cartridge.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(OmniError, match="expected text in UTF-8"):
        manifest_files(tmp_path)


def test_the_schema_describes_every_kind_of_base() -> None:
    schema = manifest_schema()
    assert {"PackageBase", "UrlBase", "HubBase", "CartridgeBase"} <= set(schema["$defs"])
    assert schema["$defs"]["Manifest"]["additionalProperties"] is False


async def test_own_cartridges_join_the_shipped_ones(
    home: object, open_library: Callable[..., Library], tmp_path: Path
) -> None:
    folder = tmp_path / "home" / "cartridges" / "own" / "notes"
    folder.mkdir(parents=True)
    (folder / "cartridge.toml").write_text(GOOD)
    library = open_library()
    brain = await library.get("@me/notes")
    assert (brain.state, brain.sampling) == ("available", {"temperature": 0.5})


def test_no_manifest_names_a_package_index() -> None:
    for path in resources("cartridges").glob("*/cartridge.toml"):
        assert not re.search(r"pypi|simple/", path.read_text())
