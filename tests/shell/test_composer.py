"""The composer: keys, history, completion, folded pastes."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual import events
from textual._xterm_parser import XTermParser
from textual.app import App, ComposeResult
from textual.theme import Theme

from omni.core.errors import UsageError
from omni.shell.bindings import let_alt_enter_be_a_key
from omni.shell.completion import CompletionItem, fuzzy
from omni.shell.composer import FAR, Composer
from omni.shell.conversation.slash_commands import COMMANDS, parse_command

COLOURS = [
    "background",
    "rail",
    "panel",
    "raised",
    "line",
    "text",
    "second",
    "third",
    "accent",
    "person",
    "amber",
    "red",
    "chosen",
]
FILES = ["src/orders.py", "src/", "src/a file.py", "README.md"]


class Host(App[None]):
    def __init__(self) -> None:
        super().__init__()
        self.heard: list[object] = []
        self.composer = Composer(
            commands=lambda: [CompletionItem(f"/{one.name}", one.about, bool(one.takes)) for one in COMMANDS],
            complete=self.complete,
        )
        self.register_theme(Theme(name="plain", primary="#808080", variables={f"omni-{n}": "#808080" for n in COLOURS}))
        self.theme = "plain"

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return {f"omni-{name}": "#808080" for name in COLOURS}

    def complete(self, prefix: str) -> Sequence[str]:
        return [path for path in FILES if fuzzy(prefix, path) is not None]

    def compose(self) -> ComposeResult:
        yield self.composer

    def on_mount(self) -> None:
        self.composer.field.focus()

    def on_composer_submitted(self, message: Composer.Submitted) -> None:
        self.heard.append(message.text)
        self.composer.accept(message.text)

    def on_composer_escaped(self) -> None:
        self.heard.append("escaped")

    def on_composer_read(self) -> None:
        self.heard.append("read")

    def on_composer_scroll(self, message: Composer.Scroll) -> None:
        self.heard.append(message.pages)


async def test_enter_sends_and_ctrl_j_adds_a_line() -> None:
    host = Host()
    async with host.run_test() as pilot:
        await pilot.press("a", "ctrl+j", "b", "shift+enter", "c", "enter")
        await pilot.pause()
        assert host.heard == ["a\nb\nc"]
        assert host.composer.text == ""
        await pilot.press("enter")
        assert len(host.heard) == 1


def hurry(host: Host, *keys: tuple[str, str | None]) -> None:
    """Keys that a terminal sends in one breath: all are there before the first one is looked at."""
    for key, character in keys:
        host.post_message(events.Key(key, character))


async def test_a_line_is_added_where_it_was_asked_for_however_fast_one_types() -> None:
    host = Host()
    async with host.run_test() as pilot:
        hurry(
            host,
            ("a", "a"),
            ("ctrl+j", "\n"),
            ("b", "b"),
            ("backspace", "\x7f"),
            ("c", "c"),
            ("left", None),
            ("d", "d"),
        )
        await pilot.pause()
        assert host.composer.text == "a\ndc"


@pytest.mark.parametrize("key", ["ctrl+j", "shift+enter", "alt+enter", "shift+\r", "\r"])
async def test_every_way_in_which_terminals_report_enter_with_a_modifier_adds_a_line(key: str) -> None:
    host = Host()
    async with host.run_test() as pilot:
        hurry(host, ("a", "a"), (key, None), ("b", "b"))
        await pilot.pause()
        assert (host.composer.text, host.heard) == ("a\nb", [])


async def test_what_is_typed_right_after_enter_belongs_to_the_next_question() -> None:
    host = Host()
    async with host.run_test() as pilot:
        hurry(host, ("a", "a"), ("ctrl+j", "\n"), ("b", "b"), ("enter", "\r"), ("c", "c"), ("d", "d"))
        await pilot.pause()
        assert (host.heard, host.composer.text) == (["a\nb"], "cd")


async def test_enter_sends_though_the_popup_of_an_earlier_word_is_still_open() -> None:
    host = Host()
    async with host.run_test() as pilot:
        await pilot.press(*"see @README.md")
        await pilot.pause()
        hurry(host, ("space", " "), ("x", "x"), ("enter", "\r"))
        await pilot.pause()
        assert host.heard == ["see @README.md x"]


def test_alt_enter_is_a_key_of_its_own_where_the_terminal_sends_an_escape() -> None:
    let_alt_enter_be_a_key()
    parser = XTermParser()
    keys = [token.key for token in (*parser.feed("a\x1b\rb"), *parser.feed("")) if isinstance(token, events.Key)]
    assert keys == ["a", "alt+enter", "b"]


async def test_up_recalls_earlier_questions_and_down_comes_back_to_the_draft() -> None:
    host = Host()
    async with host.run_test() as pilot:
        for text in ("one", "two"):
            await pilot.press(*text, "enter")
            await pilot.pause()
        await pilot.press(*"draft")
        texts = []
        for key in ("up", "up", "up", "down", "down"):
            await pilot.press(key)
            texts.append(host.composer.text)
        assert texts == ["two", "one", "one", "two", "draft"]


async def test_up_inside_a_text_of_several_lines_only_moves() -> None:
    host = Host()
    async with host.run_test() as pilot:
        await pilot.press("x", "enter")
        await pilot.pause()
        await pilot.press("a", "ctrl+j", "b", "up")
        assert host.composer.text == "a\nb"
        assert host.composer.field.cursor_location == (0, 1)


async def test_a_slash_lists_commands_filters_them_and_enter_takes_one() -> None:
    host = Host()
    async with host.run_test() as pilot:
        await pilot.press("slash")
        await pilot.pause()
        assert len(host.composer.popup.choices) == len(COMMANDS)
        await pilot.press("r", "t")
        await pilot.pause()
        assert [one.text for one in host.composer.popup.choices] == ["/retry", "/export"]
        await pilot.press("enter")
        await pilot.pause()
        assert host.heard == ["/retry"]
        assert not host.composer.popup.open
        await pilot.press(*"/rena")
        await pilot.pause()
        await pilot.press("tab")
        assert host.composer.text == "/rename "
        assert host.heard == ["/retry"]


@pytest.mark.parametrize(("height", "all_of_them"), [(24, True), (14, False)])
async def test_the_popup_shows_all_or_that_there_are_more_and_is_as_wide_as_the_composer(
    height: int, all_of_them: bool
) -> None:
    host = Host()
    async with host.run_test(size=(80, height)) as pilot:
        await pilot.press("/")
        await pilot.pause()
        popup = host.composer.popup
        text = popup.render().plain
        assert len(popup.choices) == len(COMMANDS)
        assert ("▐" not in text) == all_of_them
        assert all(f"/{one.name}" in text for one in COMMANDS) == all_of_them
        assert "…" not in text
        assert popup.region.right == host.composer.region.right
        await pilot.press("up")
        await pilot.pause()
        assert f"/{COMMANDS[-1].name}" in popup.render().plain


async def test_esc_closes_the_popup_first() -> None:
    host = Host()
    async with host.run_test() as pilot:
        await pilot.press("slash", "escape")
        assert not host.composer.popup.open
        assert host.heard == []
        await pilot.press("escape", "shift+tab", "pageup", "backspace", "end")
        await pilot.pause()
        assert host.heard == ["escaped", "read", -1, FAR]


async def test_an_at_sign_completes_files_and_quotes_spaces() -> None:
    host = Host()
    async with host.run_test() as pilot:
        await pilot.press(*"look at @ord")
        await host.workers.wait_for_complete()
        await pilot.pause()
        assert [one.text for one in host.composer.popup.choices] == ["src/orders.py"]
        await pilot.press("enter")
        assert host.composer.text == "look at @src/orders.py "
        await pilot.press(*"@afile")
        await host.workers.wait_for_complete()
        await pilot.pause()
        await pilot.press("tab")
        assert host.composer.text == 'look at @src/orders.py @"src/a file.py" '
        await pilot.press(*"me@x")
        await host.workers.wait_for_complete()
        assert not host.composer.popup.open


async def test_a_long_paste_folds_and_is_sent_whole() -> None:
    host = Host()
    async with host.run_test() as pilot:
        long = "\n".join(f"line {at}" for at in range(12))
        await pilot.press(*"see ")
        host.composer.field.post_message(events.Paste(long + "\x1b[31m"))
        await pilot.pause()
        assert host.composer.field.text == "see [pasted 12 lines]"
        await pilot.press("enter")
        await pilot.pause()
        assert host.heard == [f"see {long}"]
        host.composer.field.post_message(events.Paste("short\npaste"))
        await pilot.pause()
        assert host.composer.field.text == "short\npaste"
        host.composer.put("")
        host.composer.field.post_message(events.Paste(long))
        await pilot.pause()
        await pilot.press("backspace")
        assert host.composer.field.text == ""


async def test_it_grows_to_a_third_of_the_screen() -> None:
    host = Host()
    async with host.run_test(size=(80, 30)) as pilot:
        small = host.composer.region.height
        host.composer.put("\n".join("abcdefgh"))
        await pilot.pause()
        assert host.composer.region.height == small + 7
        host.composer.field.text = "x\n" * 60
        await pilot.pause()
        assert host.composer.region.height <= 12


@given(st.text(max_size=5), st.text(max_size=12))
def test_fuzzy_finds_what_holds_all_letters_in_order(wanted: str, name: str) -> None:
    score = fuzzy(wanted, name)
    if name.lower().startswith(wanted.lower()):
        assert score == 0
    if score is not None:
        letters = iter(name.lower())
        assert all(letter in letters for letter in wanted.lower())


def test_commands_are_told_from_questions() -> None:
    assert parse_command("what is /etc?") is None
    assert parse_command("/etc/hosts is what?") is None
    parsed = parse_command("/rename A title")
    assert parsed is not None
    assert (parsed[0].name, parsed[1]) == ("rename", "A title")
    with pytest.raises(UsageError, match="/rename needs TITLE"):
        parse_command("/rename")
    with pytest.raises(UsageError) as caught:
        parse_command("/exprot")
    assert "/export" in caught.value.hint
