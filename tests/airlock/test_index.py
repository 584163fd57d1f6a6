"""Index pages, honest and hostile, and where to ask."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omni.airlock import IndexFile, NetSettings, Page, files, find, normalise, pages
from omni.airlock.index import belongs, local_files
from omni.core.errors import BadFile, NetworkBlocked, NotFound, OmniError, SetupError

BASE = "https://index.invalid/simple/some-brain/"
SHA = "ab" * 32
JSON = "application/vnd.pypi.simple.v1+json"


def html(body: str, base: str = BASE, kind: str = "text/html") -> list[IndexFile]:
    return files("some-brain", body.encode(), kind, base)


def test_a_json_page_gives_names_hashes_and_sizes() -> None:
    page = {
        "meta": {"api-version": "1.3"},
        "name": "some-brain",
        "files": [
            {
                "filename": "some_brain-1-py3-none-any.whl",
                "url": "../../files/some_brain-1-py3-none-any.whl",
                "hashes": {"sha256": SHA, "md5": "1"},
                "size": 7,
                "requires-python": ">=3.8",
                "yanked": "broken",
                "core-metadata": True,
            },
            {"filename": "some-brain-1.tar.gz", "url": "https://elsewhere.invalid/x?y=1", "hashes": {}},
        ],
    }
    assert files("some-brain", json.dumps(page).encode(), f"{JSON}; charset=utf-8", BASE) == [
        IndexFile(
            "some_brain-1-py3-none-any.whl",
            "https://index.invalid/files/some_brain-1-py3-none-any.whl",
            SHA,
            7,
            ">=3.8",
            True,
        ),
        IndexFile("some-brain-1.tar.gz", "https://elsewhere.invalid/x?y=1"),
    ]


def test_an_html_page_gives_the_same() -> None:
    body = f"""<!DOCTYPE html><html><head><meta name="pypi:repository-version" content="1.0"><base href="/files/">
    <title>Links</title></head><body><h1>Links</h1><!-- <a href="commented-1.whl">no</a> -->
    <A data-requires-python="&gt;=3.8" HREF='some_brain-1-py3-none-any.whl#sha256={SHA.upper()}'>one</A><br/>
    <a href="https://elsewhere.invalid/some_brain-2-py3-none-any.whl#md5=00" data-requires-python=">=3.9" data-yanked>two</a>
    <a href="some_brain-1-py3-none-any.whl#sha256={SHA}">again</a> <a name="x">no link</a> <a href="notes.html">no file</a>
    <area href="not-1.whl"><a href="javascript:alert(1).whl"> <a href="file:///etc/some_brain-1.whl">
    <a href="some%20brain-1.whl"> <a href="//other.invalid/some_brain-3%2Blocal-py3-none-any.whl">"""
    assert html(body) == [
        IndexFile(
            "some_brain-1-py3-none-any.whl",
            "https://index.invalid/files/some_brain-1-py3-none-any.whl",
            SHA,
            None,
            ">=3.8",
        ),
        IndexFile(
            "some_brain-2-py3-none-any.whl",
            "https://elsewhere.invalid/some_brain-2-py3-none-any.whl",
            "",
            None,
            ">=3.9",
            True,
        ),
        IndexFile("some_brain-3+local-py3-none-any.whl", "https://other.invalid/some_brain-3%2Blocal-py3-none-any.whl"),
    ]


def test_a_later_protocol_is_refused() -> None:
    with pytest.raises(BadFile, match=r"version '2\.0'"):
        html('<meta name="pypi:repository-version" content="2.0">')
    with pytest.raises(BadFile, match="version"):
        files("x", b'{"meta": {"api-version": "2.0"}, "files": []}', JSON, BASE)


@pytest.mark.parametrize("page", [b"", b"[]", b"{}", b'{"files": {}}', b"\xff", b"[" * 100_000, b'{"files": '])
def test_json_that_is_no_page_is_refused(page: bytes) -> None:
    with pytest.raises(BadFile):
        files("x", page, JSON, BASE)


@pytest.mark.parametrize(
    "piece",
    ["<a ", '<a href="', "<!--", "<a href='x", "<", "<a/", "<base ", "<a b=\"'", "</a", "<a href=x-1.whl>", "&#x"],
)
def test_hostile_html_takes_linear_time(piece: str) -> None:
    body = piece * ((1 << 18) // len(piece))
    start = time.process_time()
    html(body)
    assert time.process_time() - start < 5  # a part of a second; quadratic would be minutes


def test_a_page_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadFile, match="larger"):
        files("x", b" " * ((64 << 20) + 1), "text/html", BASE)
    monkeypatch.setattr("omni.airlock.index._MAX_FILES", 100)
    many = b"".join(b"<a href=x-%d.whl>" % number for number in range(101))
    with pytest.raises(BadFile, match="more than"):
        files("x", many, "text/html", BASE)


def is_safe(listed: list[IndexFile]) -> bool:
    return all(
        file.url.startswith(("https://", "http://"))
        and "/" not in file.name
        and file.name.isascii()
        and len(file.sha256) in (0, 64)
        and "\n" not in file.url
        for file in listed
    )


@given(st.binary(max_size=2000), st.sampled_from(["text/html", "text/html; charset=utf-16", "text/html; charset=no"]))
def test_any_bytes_are_some_html(page: bytes, kind: str) -> None:
    assert is_safe(files("x", page, kind, BASE))


@given(
    st.lists(
        st.sampled_from(["<a", "<base", "<meta", " href=", "'", '"', ">", "x-1.whl", "#sha256=", SHA, "//[", "\n", "<!--", "-->", "&gt;", "data-yanked", "file:", "http:", " "])
    )
)  # fmt: skip
def test_any_pieces_of_html_give_safe_files(pieces: list[str]) -> None:
    assert is_safe(html("".join(pieces)))


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=20)
    | st.sampled_from(["x-1.whl", SHA, "//x", "file:///x-1.whl"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["filename", "url", "hashes", "size", "requires-python", "yanked"]), JSON_VALUES
        ),
        max_size=4,
    ),
    JSON_VALUES,
)
def test_any_json_gives_safe_files_or_an_error(entries: list[Any], meta: Any) -> None:
    try:
        listed = files("x", json.dumps({"meta": meta, "files": entries}).encode(), JSON, BASE)
    except BadFile:
        return
    assert is_safe(listed)


@given(st.binary(max_size=500))
def test_any_bytes_as_json_are_a_page_or_an_error(page: bytes) -> None:
    try:
        files("x", page, JSON, BASE)
    except BadFile:
        pass


def test_names_are_spelled_in_one_way() -> None:
    assert normalise("Some._-Brain") == "some-brain"
    assert belongs("Some_Brain-1.0-py3-none-any.whl", "some.brain")
    assert belongs("some-brain-1.0.tar.gz", "some-brain")
    assert not belongs("some-1.0.tar.gz", "some-brain")
    assert not belongs("some_brain-1.0.exe", "some-brain")


def test_pages_are_pips_indexes_with_the_local_ones_first(tmp_path: Path) -> None:
    net = NetSettings(
        index_url="https://one.invalid/simple/",
        extra_index_urls=("https://two.invalid", "file:///mirror/simple"),
        find_links=("https://links.invalid/all.html", "file:///wheels"),
    )
    assert pages("Some_Brain", net) == [
        "file:///wheels",
        "file:///mirror/simple/some-brain/",
        "https://links.invalid/all.html",
        "https://one.invalid/simple/some-brain/",
        "https://two.invalid/some-brain/",
    ]
    assert pages("x", net._replace(no_index=True)) == ["file:///wheels", "https://links.invalid/all.html"]


def no_default() -> str:
    raise SetupError("no pip")


def test_without_an_index_pips_default_is_asked() -> None:
    assert pages("x", NetSettings(), default=lambda: "https://default.invalid/simple") == [
        "https://default.invalid/simple/x/"
    ]
    assert pages("x", NetSettings(find_links=("file:///w",)), default=no_default) == ["file:///w"]
    with pytest.raises(SetupError):
        pages("x", NetSettings(), default=no_default)


@pytest.mark.parametrize("name", ["", "../x", "a/b", "a b", "%2e", "-x"])
def test_what_is_no_name_is_never_put_into_an_address(name: str) -> None:
    with pytest.raises(NotFound):
        pages(name, NetSettings(index_url="https://one.invalid"))


def test_folders_and_local_pages_are_read_directly(tmp_path: Path) -> None:
    for name in ("some_brain-1-py3-none-any.whl", "other-1-py3-none-any.whl", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    expected = [IndexFile("some_brain-1-py3-none-any.whl", (tmp_path / "some_brain-1-py3-none-any.whl").as_uri())]
    assert local_files("some-brain", tmp_path.as_uri()) == expected
    assert local_files("some-brain", str(tmp_path)) == expected
    page = tmp_path / "simple" / "some-brain" / "index.html"
    page.parent.mkdir(parents=True)
    page.write_text(f'<a href="../../some_brain-1-py3-none-any.whl#sha256={SHA}">x</a>')
    assert local_files("some-brain", f"{(tmp_path / 'simple').as_uri()}/some-brain/") == [
        expected[0]._replace(sha256=SHA)
    ]
    assert local_files("some-brain", "file:///nowhere/at/all") == []


NET = NetSettings(index_url="https://one.invalid", extra_index_urls=("https://two.invalid",))


def asks(answers: dict[str, str | OmniError]) -> Any:
    def get(url: str) -> Page:
        answer = answers[url.split("/")[2]]
        if isinstance(answer, OmniError):
            raise answer
        return Page(answer.encode(), "text/html", url)

    return get


def test_the_next_index_is_asked_when_one_fails_or_has_not_the_file() -> None:
    two = "<a href=x-2-py3-none-any.whl>"
    for one in (NotFound("absent"), NetworkBlocked("down"), BadFile("odd"), "<a href=x-1-py3-none-any.whl>"):
        wheels = find("x", NET, asks({"one.invalid": one, "two.invalid": two}), lambda file: "-2-" in file.name)
        assert [file.url for file in wheels] == ["https://two.invalid/x/x-2-py3-none-any.whl"]


def test_later_indexes_are_left_alone_when_the_first_has_the_file() -> None:
    wheels = find("x", NET, asks({"one.invalid": "<a href=x-1-py3-none-any.whl>"}))
    assert [file.name for file in wheels] == ["x-1-py3-none-any.whl"]


def test_the_failure_that_says_most_is_raised() -> None:
    with pytest.raises(NetworkBlocked, match="down"):
        find("x", NET, asks({"one.invalid": NotFound("absent"), "two.invalid": NetworkBlocked("down")}))
    with pytest.raises(NotFound, match="None of your package indexes"):
        find("x", NET, asks({"one.invalid": NotFound("absent"), "two.invalid": ""}))
