"""Settings: typed, refused with file, line and nearest name, changed without losing a comment."""

import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omni.core.errors import UsageError
from omni.core.settings import Section, Settings, change, described, overridden, parse

KEYS = sorted(described())


class Almanac(Section, frozen=True):
    """What a plug-in takes."""

    most: int = 5


def test_a_plug_in_with_dots_in_its_name_has_one_table(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    settings = change(path, "plugins.my.almanac.most", "9", {"my.almanac": Almanac})
    assert settings.of("my.almanac", Almanac).most == 9
    assert Settings.load(path).plugins == {"my.almanac": {"most": 9}}


def test_no_file_means_the_defaults(tmp_path: Path) -> None:
    assert Settings.load(tmp_path / "config.toml") == Settings()
    assert parse("") == Settings()


@pytest.mark.parametrize(
    ("text", "says", "hint"),
    [
        ("[chat]\n\nbrian = 'x'", "line 3, column 1: there is no key 'chat.brian'", "'brain'"),
        ("[caht]\nbrain = 'x'", "line 1, column 2: there is no key 'caht'", "'chat'"),
        (
            "[engine]\nslots = 'four'",
            "line 2, column 9: engine.slots: expected a whole number, found a text of 4 characters",
            "omni config show",
        ),
        (
            "[engine]\nslots = 0",
            "line 2, column 9: engine.slots: expected a whole number >= 1, found 0",
            "omni config show",
        ),
        (
            "[ui]\nglyphs = 'emoji'",
            "line 2, column 10: ui.glyphs: expected one of 'ascii', 'auto', 'unicode', found 'emoji'",
            "omni config show",
        ),
        ("[ui.keys]\na = 'b'\nc = 3\nd = 'e'", "line 3, column 5: ui.keys.c: expected a text, found 3", "TOML"),
        ("[chat]\nanswer_tokens = 3", "line 2, column 17: chat.max_completion_tokens", "TOML"),
        ("[chat]\nbrain = \n", "line 2", "TOML"),
        ("[chat\n", "line 1", "TOML"),
        ("brain = ", "line 1, column 9: invalid value", "TOML"),
        ("chat = 3", "line 1", "omni config show"),
        ("[engine]\nzzzzzz = 1", "engine.zzzzzz", "Known here: use, gpu, context"),
        ("x = " + "1" * 5000, "config.toml", "TOML"),
        ("x = " + "[" * 100_000, "config.toml", "TOML"),
    ],
)
def test_a_wrong_file_is_explained(text: str, says: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert says in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[ui]\ntheme = '\xe9'"])
def test_a_file_that_is_no_text_is_explained(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "config.toml").write_bytes(content)
    with pytest.raises(UsageError, match=r"column \d+: expected text in UTF-8"):
        Settings.load(tmp_path / "config.toml")


def test_a_folder_in_the_place_of_the_file_is_explained(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        Settings.load(tmp_path)


toml_like = st.text(alphabet=string.printable + "ö\u2028\0", max_size=60) | st.lists(
    st.sampled_from(
        ["[chat]", "[[chat]]", "[ui.keys]", "brain", "=", "1", "'x'", "\n", "{", "}", "[", "]", ".", '"', "keys", "#"]
    ),
    max_size=20,
).map(" ".join)


@given(toml_like)
def test_any_text_is_settings_or_a_usage_error(text: str) -> None:
    try:
        settings = parse(text)
    except UsageError:
        return
    assert isinstance(settings, Settings)


values = st.none() | st.booleans() | st.integers(-(2**80), 2**80) | st.floats() | st.text(max_size=9)


@given(
    st.sampled_from(KEYS),
    values | st.lists(values, max_size=2) | st.dictionaries(st.text(max_size=3), values, max_size=2),
)
def test_any_value_is_taken_whole_or_refused(key: str, value: Any) -> None:
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    section, _, field = key.partition(".")
    try:
        text = tomlkit.dumps({section: {field: value}})
    except (TOMLKitError, ValueError, TypeError):  # what TOML has no word for, such as None
        return
    try:
        settings = parse(text)
    except UsageError:
        return
    assert getattr(getattr(settings, section), field) == value


def test_every_setting_is_described_and_its_default_fits() -> None:
    for key, (_, default, text) in described().items():
        assert text.endswith("."), key
        section, _, field = key.partition(".")
        assert getattr(getattr(Settings(), section), field) == default


def test_a_change_keeps_comments_and_order(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("# mine\n[ui]\n# dark at night\ntheme = 'x' # really\n")
    assert change(path, "engine.slots", "2").engine.slots == 2
    assert change(path, "ui.theme", "omni-light").ui.theme == "omni-light"
    text = path.read_text()
    assert "# mine" in text
    assert "# dark at night" in text
    assert "# really" in text
    assert Settings.load(path).engine.slots == 2


@pytest.mark.parametrize(
    ("key", "typed", "value"),
    [
        ("ui.mouse", "off", False),
        ("ui.mouse", "true", True),
        ("ui.theme", "true", "true"),
        ("ui.glyphs", "ascii", "ascii"),
        ("brains.folders", '["/a", "/b"]', ["/a", "/b"]),
        ("chat.max_completion_tokens", 64, 64),
        ("chat.system", 'Say "ö".\nTwice.', 'Say "ö".\nTwice.'),
    ],
)
def test_what_is_typed_on_a_command_line_gets_its_type(tmp_path: Path, key: str, typed: Any, value: Any) -> None:
    path = tmp_path / "config.toml"
    section, _, field = key.partition(".")
    assert getattr(getattr(change(path, key, typed), section), field) == value
    assert getattr(getattr(Settings.load(path), section), field) == value


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("engine.slts", "2"),
        ("engine.slots", "many"),
        ("engine.slots", "0"),
        ("ui.glyphs", "emoji"),
        ("ui", "x"),
        ("engine.slots", "2\nthreads = 3"),
        ("engine.slots", ""),
    ],
)
def test_a_refused_change_leaves_the_file_as_it_was(tmp_path: Path, key: str, value: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text("[engine]\nslots = 3\n")
    with pytest.raises(UsageError):
        change(path, key, value)
    assert path.read_text() == "[engine]\nslots = 3\n"


def test_a_file_that_is_wrong_already_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("[nonsense]\n")
    with pytest.raises(UsageError, match="nonsense"):
        change(path, "ui.theme", "x")
    assert path.read_text() == "[nonsense]\n"


@given(st.sampled_from(KEYS), st.text(max_size=20))
def test_any_typed_text_is_taken_or_refused(key: str, text: str) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.toml"
        try:
            settings = change(path, key, text)
        except UsageError:
            assert not path.exists()
        else:
            assert Settings.load(path) == settings


def test_what_holds_for_once_stands_in_no_file_and_must_fit() -> None:
    settings = parse("[engine]\nslots = 2\n")
    changed = overridden(settings, {"engine.gpu": "on", "chat.max_completion_tokens": 64})
    assert (changed.engine.gpu, changed.engine.slots, changed.chat.max_completion_tokens) == ("on", 2, 64)
    assert overridden(settings, {}) == settings
    with pytest.raises(UsageError, match="gpu"):
        overridden(settings, {"engine.gpu": "sometimes"})
    with pytest.raises(UsageError, match=r"There is no setting 'engine\.gpus'"):
        overridden(settings, {"engine.gpus": "on"})


def test_a_setting_is_known_by_its_earlier_name(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("# mine\n[chat]\nanswer_tokens = 77\n")
    assert Settings.load(path).chat.max_completion_tokens == 77
    assert change(path, "chat.answer_tokens", "99").chat.max_completion_tokens == 99
    assert path.read_text() == "# mine\n[chat]\nmax_completion_tokens = 99\n"
    path.write_text("[chat]\nanswer_tokens = 77\nmax_completion_tokens = 88\n")
    assert Settings.load(path).chat.max_completion_tokens == 88
