"""The located loader: JSON, TOML and YAML mean what they say, every value has its place, and nothing hostile costs much."""

import io
import json
import re
import string
import tomllib
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal

import msgspec
import pytest
import tomlkit
from hypothesis import assume, given, reject, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from omni.core.errors import BadFile, UsageError
from omni.core.located.conversion import convert
from omni.core.located.json_reader import read_json
from omni.core.located.toml_reader import read_toml
from omni.core.located.tree import FileSource, Limits, Located
from omni.core.located.yaml_reader import read_yaml

Read = Callable[[str | bytes, FileSource], Located]
SOURCE = FileSource("a.file")
ALL = pytest.mark.parametrize("read", [read_json, read_toml, read_yaml])


def refused(read: Read, data: str | bytes, limits: Limits = SOURCE.limits) -> str:
    with pytest.raises(UsageError) as caught:
        read(data, FileSource("a.file", limits=limits))
    return caught.value.message.removeprefix("a.file, ")


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    if isinstance(value, dict | list):
        for key, inside in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(inside, (*path, key))
    else:
        yield path, value


def offset(located: Located, text: str, path: tuple[str | int, ...], *, key: bool = False) -> int:
    """Where `place` says that it stands."""
    _, line, column = located.place(path, key=key).split(", ")
    lines = text.split("\n")
    return sum(len(each) + 1 for each in lines[: int(line.split()[1]) - 1]) + int(column.split()[1]) - 1


texts = st.text(st.characters(codec="utf-8", exclude_characters="\x7f"), max_size=8)
scalars = (
    st.none() | st.booleans() | st.integers(-(2**90), 2**90) | st.floats(allow_nan=False, allow_infinity=False) | texts
)
documents = st.recursive(
    scalars, lambda inside: st.lists(inside, max_size=4) | st.dictionaries(texts, inside, max_size=4), max_leaves=20
)
keys = st.text(string.ascii_letters + ' ."é', min_size=1, max_size=5)
words = st.text(string.printable.replace("\r", "").replace("\x0b", "").replace("\x0c", "") + "é", max_size=8)
toml_scalars = st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False) | words
toml_tables = st.dictionaries(
    keys,
    st.recursive(
        toml_scalars,
        lambda inside: st.lists(inside, max_size=3) | st.dictionaries(keys, inside, max_size=3),
        max_leaves=9,
    ),
    max_size=4,
)


@given(documents, st.sampled_from([None, 1, "\t"]), st.booleans())
def test_json_is_what_the_standard_library_reads_and_every_place_begins_its_value(
    value: Any, indent: Any, ascii_only: bool
) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    located = read_json(text, SOURCE)
    assert located.value == json.loads(text)
    for path, leaf in leaves(located.value):
        begins = offset(located, text, path)
        assert json.JSONDecoder().raw_decode(text, begins)[0] == leaf
        if path and isinstance(path[-1], str):
            assert json.JSONDecoder().raw_decode(text, offset(located, text, path, key=True))[0] == path[-1]


@given(st.text(alphabet='[]{}:,"\\ute1.-+0 \n\t', max_size=14))
def test_any_text_is_json_for_both_or_for_none(text: str) -> None:
    try:
        expected = json.loads(text, object_pairs_hook=once)
    except ValueError:
        assert refused(read_json, text).startswith("line ")
    else:
        assert read_json(text, SOURCE).value == expected


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(table := dict(pairs)) < len(pairs):
        raise ValueError("a key comes twice")
    return table


@settings(deadline=None)
@given(toml_tables)
def test_toml_is_what_the_standard_library_reads_and_every_place_begins_its_value(value: dict[str, Any]) -> None:
    text = tomlkit.dumps(value)
    try:
        expected = tomllib.loads(text)
    except tomllib.TOMLDecodeError:  # what tomlkit writes of lists that mix tables and others
        assume(False)
    located = read_toml(text, SOURCE)
    assert located.value == expected
    for path, leaf in leaves(expected):
        begins = offset(located, text, path)
        ends = (at for at in range(begins + 1, len(text) + 1))
        assert any(_reads(text[begins:end], leaf) for end in ends), (path, text)


def _reads(text: str, value: Any) -> bool:
    try:
        return tomllib.loads(f"x = {text}") == {"x": value}
    except tomllib.TOMLDecodeError:
        return False


@settings(deadline=None)
@given(documents, st.booleans(), st.integers(2, 4))
def test_yaml_is_what_its_own_loader_reads_and_every_place_begins_its_value(
    value: Any, flow: bool, indent: int
) -> None:
    writer = YAML(typ="safe", pure=True)
    writer.default_flow_style, writer.indent, writer.allow_unicode = flow, indent, True
    writer.width = 100_000  # what it writes of a key over two lines is no YAML
    stream = io.StringIO()
    writer.dump(value, stream)
    text = stream.getvalue()
    try:
        read = YAML(typ="safe", pure=True).load(text)
    except YAMLError:  # not all that it writes can be read again, a key of signs in braces for one
        reject()
    assume(not re.search(r"[\[{,:] ?\?[^ ]", text))  # it reads such a text otherwise than it was, and ours refuses it
    located = read_yaml(text, SOURCE)
    assert located.value == read
    for path, leaf in leaves(located.value):
        begins = offset(located, text, path)
        if isinstance(leaf, str):
            assert text[begins] in "'\"|>?" or text[begins] == leaf[0], (path, text)
        elif leaf is not None:
            assert YAML(typ="safe", pure=True).load(text[begins:].split()[0].rstrip(",]}")) == leaf


@given(documents)
def test_json_is_yaml_with_the_same_places(value: Any) -> None:
    text = json.dumps(value)
    first, second = read_json(text, SOURCE), read_yaml(text, SOURCE)
    assert first.value == second.value
    for path, _ in leaves(value):
        assert first.place(path) == second.place(path)
        assert first.place(path, key=True) == second.place(path, key=True)


@pytest.mark.parametrize("read", [read_json, read_yaml])
def test_two_halves_of_a_surrogate_pair_are_one_character(read: Read) -> None:
    assert read('["\\ud83d\\ude00"]', SOURCE).value == ["\U0001f600"]


def test_toml_has_places_in_every_spelling() -> None:
    text = (
        "top = 1\n[a.b]\n'c d' . \"e\\u0066\" = [ # first\n  {x = '''\ny''', z.w = 1979-05-27 07:32:00}, 2 ]\n"
        "[[list]]\nn = 1\n[[list]]\nn = 2\n[list.below]\nm = 3\n[[list.below.more]]\n"
    )
    located = read_toml(text, SOURCE)
    where = {
        ("top",): "line 1, column 7",
        ("a",): "line 2, column 1",
        ("a", "b", "c d", "ef"): "line 3, column 21",
        ("a", "b", "c d", "ef", 0, "x"): "line 4, column 8",
        ("a", "b", "c d", "ef", 0, "z", "w"): "line 5, column 13",
        ("a", "b", "c d", "ef", 1): "line 5, column 35",
        ("list", 1): "line 8, column 1",
        ("list", 1, "n"): "line 9, column 5",
        ("list", 1, "below", "m"): "line 11, column 5",
        ("list", 1, "below", "more", 0): "line 12, column 1",
        ("list", 7): "line 6, column 1",
    }
    assert {path: located.place(path).removeprefix("a.file, ") for path in where} == where


def test_yaml_is_of_version_1_2() -> None:
    text = (
        "a: no\nb: on\nc: 010\nd: 0o10\ne: 0x1F\nf: 2020-01-01\ng: 1_000\nh: 1e3\ni: ~\nj:\nk: 12:30\n1: True\nno: .5\n"
    )
    assert read_yaml(text, SOURCE).value == {
        "a": "no",
        "b": "on",
        "c": 10,
        "d": 8,
        "e": 31,
        "f": "2020-01-01",
        "g": "1_000",
        "h": 1000.0,
        "i": None,
        "j": None,
        "k": "12:30",
        "1": True,
        "no": 0.5,
    }
    assert read_yaml("", SOURCE).value is read_yaml("# nothing\n", SOURCE).value is None


def test_an_empty_value_stands_where_its_key_does() -> None:
    located = read_yaml("a: 1\nb:\nc: 2\n", SOURCE)
    assert [located.place([key]) for key in "abc"] == [
        f"a.file, line {at}" for at in ("1, column 4", "2, column 1", "3, column 4")
    ]


def test_integers_are_kept_however_large() -> None:
    number = 3**500
    for read, text in ((read_json, '{"a": %d}'), (read_yaml, "a: %d"), (read_toml, "a = %d")):
        assert read(text % number, SOURCE).value == {"a": number}


@pytest.mark.parametrize(
    ("read", "text", "says"),
    [
        (read_json, '{"a": 1,\n "a": 2}', "line 2, column 2: the key 'a' is here a second time"),
        (read_json, "[NaN]", "line 1, column 2: expected a value, found 'NaN'"),
        (read_json, "[1e999]", "line 1, column 2: expected a finite number"),
        (read_json, '["\\ud800"]', "line 1, column 2: expected text, found half of a surrogate pair"),
        (read_json, "[1,]", "line 1, column 4: expected a value, found ']'"),
        (read_json, "{} {}", "line 1, column 4: expected the end of the text"),
        (read_json, "", "line 1, column 1: expected a value, found the end of the text"),
        (read_json, b'{\n"\xc3\xa9": "\xff"}', "line 2, column 7: expected text in UTF-8, found the byte 0xff"),
        (read_json, "[" + "9" * 5000 + "]", "line 1, column 2: expected a number of fewer digits"),
        (read_toml, "a = 1\na = 2", "line 2, column 6: cannot overwrite a value"),
        (read_toml, "a = " + "9" * 5000, "line 1, column 5: expected a number of fewer digits"),
        (read_toml, "a = ", "line 1, column 5: invalid value"),
        (read_yaml, "a: 1\na: 2", "line 2, column 1: the key 'a' is here a second time"),
        (read_yaml, "a: 1\nb: {<<: {c: 1}}", "line 2, column 5: expected a key, found '<<'"),
        (read_yaml, "a: !!python/object x", "line 1, column 4: expected a value without a tag"),
        (read_yaml, "a: 1\n---\nb: 1", "line 2, column 1: expected one document"),
        (read_yaml, "%YAML 1.1\n---\na: no", "expected YAML 1.2"),
        (read_yaml, "a:\n\t- 1", "line 2, column 1: found character '\\t'"),
        (read_yaml, "a: .inf", "line 1, column 4: expected a finite number"),
        (read_yaml, "a: [1,", "line 1, column 7: "),
        (read_yaml, "a: \x00", "line 1, column 4: unacceptable character"),
        (read_yaml, "? [a]\n: 1", "line 1, column 3: expected a text as the key"),
        (read_yaml, "a: [b, ?c]", "line 1, column 8: expected quotes around a text that begins with '?'"),
        (read_yaml, "a: {?c: 1}", "line 1, column 5: expected quotes"),
        (read_yaml, "a: *b", "line 1, column 4: the alias 'b' repeats nothing"),
        (read_yaml, "&a [*a]", "line 1, column 5: the alias 'a' repeats nothing"),
        (read_yaml, '"\\ud800"', "line 1, column 1: expected text, found half of a surrogate pair"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(read: Read, text: str | bytes, says: str) -> None:
    assert says in refused(read, text)


def test_an_alias_repeats_a_value_whose_places_are_where_it_is_written() -> None:
    located = read_yaml("a: &x\n  b: [1, 2]\nc: *x\nd: [*x]\n", SOURCE)
    assert located.value == {"a": {"b": [1, 2]}, "c": {"b": [1, 2]}, "d": [{"b": [1, 2]}]}
    assert located.place(["c"]) == "a.file, line 3, column 4"
    assert located.place(["d", 0, "b", 1]) == "a.file, line 2, column 10"


def test_a_few_aliases_cannot_make_millions_of_values() -> None:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    lines += [
        f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]"
        for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    ]
    assert "expected at most 20,000 values" in refused(read_yaml, "\n".join(lines))
    nested = ["a: &a [1]"] + [f"b{n}: &b{n} [*{'a' if not n else f'b{n - 1}'}]" for n in range(70)]
    assert "expected at most 64 lists and tables" in refused(read_yaml, "\n".join(nested))


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (read_json, "[" * 100_000),
        (read_json, '{"a":' * 100_000),
        (read_toml, "a = " + "[" * 100_000),
        (read_toml, "a." * 500_000 + "a = 1"),
        (read_toml, "[" + "a." * 500_000 + "a]"),
        (read_toml, "a = " + "{a = " * 100_000),
        (read_yaml, "[" * 100_000),
        (read_yaml, "[a," * 50_000),
        (read_yaml, "- " * 100_000),
        (read_yaml, "? " * 100_000),
    ],
)
def test_what_is_nested_too_deeply_is_refused(read: Read, text: str) -> None:
    says = refused(read, text)
    assert "lists and tables in each other" in says or "as the key" in says


@pytest.mark.parametrize(
    ("read", "text"), [(read_json, "[1, 2, 3, 4]"), (read_toml, "a = [1, 2, 3]"), (read_yaml, "[1, 2, 3, 4]")]
)
def test_size_and_number_of_values_are_bounded(read: Read, text: str) -> None:
    assert "expected at most 3 values" in refused(read, text, Limits(values=3))
    assert "expected at most 5 bytes, found 1" in refused(read, text, Limits(size=5))
    read(text, FileSource("a.file", limits=Limits(size=len(text), depth=2, values=5)))


@ALL
@given(st.binary(max_size=40) | st.text("[]{}:,=\"'&*!|>-#%@ \n\ta1.", max_size=20).map(str.encode))
def test_any_bytes_are_a_value_or_an_error_of_ours(read: Read, data: bytes) -> None:
    try:
        located = read(data, SOURCE)
    except UsageError:
        return
    assert located.place().startswith("a.file, line ")


class Url(msgspec.Struct, tag="url", tag_field="source", forbid_unknown_fields=True):
    url: Annotated[str, msgspec.Meta(pattern="^https:")]


class Local(msgspec.Struct, tag="file", tag_field="source", forbid_unknown_fields=True):
    path: str
    sizes: dict[str, list[int]] = {}


class Thing(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    base: Url | Local
    mode: Literal["fast", "small"] = "fast"
    count: int | None = None


@pytest.mark.parametrize(
    ("text", "says", "hint"),
    [
        ("name: a\nbase: {source: url, url: http}", "line 2, column 26: base.url: expected a text matching regex '^https:', found a text of 4 characters.", ""),
        ("name: a\nbase: {source: url, ulr: x}", "line 2, column 21: there is no key 'base.ulr'.", "Did you mean 'url'?"),
        ("name: a\nbase: {source: file, path: x, zzz: 1}", "line 2, column 31: there is no key 'base.zzz'.", "Known here: source, path, sizes."),
        ("name: a\nbase: {source: file}", "line 2, column 7: needs the key 'base.path'.", ""),
        ("name: a\nbase: {source: fil}", "line 2, column 16: base.source: expected one of 'url', 'file', found 'fil'.", ""),
        ("name: a\nmode: slow\nbase: {source: url, url: 'https:'}", "line 2, column 7: mode: expected one of 'fast', 'small', found 'slow'.", ""),
        ("name: 3\nbase: {source: url, url: 'https:'}", "line 1, column 7: name: expected a text, found 3.", ""),
        ("name: a\nbase: {source: url, url: 'https:'}\ncount: true", "line 3, column 8: count: expected a whole number or nothing, found true.", ""),
        ("name: a\nbase:\n  source: file\n  path: x\n  sizes: {a: [1], b: [2, x, 3], c: [y]}", "line 5, column 26: base.sizes.b[1]: expected a whole number, found a text of 1 character.", ""),
        ("- a", "line 1, column 1: expected a table, found a list.", ""),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said_with_its_place_what_was_expected_and_what_found(
    text: str, says: str, hint: str
) -> None:
    with pytest.raises(BadFile) as caught:
        convert(read_yaml(text, FileSource("a.yaml", wrong=BadFile)), Thing)
    assert caught.value.message == f"a.yaml, {says}"
    assert caught.value.hint == hint


numbers = st.lists(
    st.dictionaries(keys, st.lists(st.integers(), min_size=1, max_size=3), min_size=1, max_size=4), min_size=1
)


@given(numbers, st.data(), st.sampled_from([None, 2]))
def test_the_one_value_that_does_not_fit_is_the_one_that_is_named(
    value: list[dict[str, list[Any]]], data: st.DataObject, indent: int | None
) -> None:
    row = data.draw(st.sampled_from(range(len(value))))
    key = data.draw(st.sampled_from(sorted(value[row])))
    at = data.draw(st.sampled_from(range(len(value[row][key]))))
    value[row][key][at] = True
    located = read_json(json.dumps(value, indent=indent), SOURCE)
    with pytest.raises(UsageError) as caught:
        convert(located, list[dict[str, list[int]]])
    assert caught.value.message.startswith(
        f"{located.place([row, key, at])}: [{row}].{key}[{at}]: expected a whole number"
    )


def test_a_text_that_does_not_fit_is_not_said_since_it_may_be_secret() -> None:
    with pytest.raises(UsageError) as caught:
        convert(read_json('{"name": "a", "base": {}, "count": "hunter2"}', SOURCE), Thing)
    assert "hunter2" not in caught.value.message
