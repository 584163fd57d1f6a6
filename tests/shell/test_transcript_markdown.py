"""Markdown to lines: the same lines however the text came, safe whatever the text holds."""

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from omni.core.clean import Cleaner, clean
from omni.shell.glyphs import ASCII, UNICODE, glyphs
from omni.shell.transcript.code import highlight, load_style
from omni.shell.transcript.entry import Entry
from omni.shell.transcript.fences import LayoutContext, code_rows
from omni.shell.transcript.lines import Line, chop, width_of
from omni.shell.transcript.markdown import lay_text
from omni.shell.transcript.split import LIMIT, Splitter

SNIPPETS = [
    "# Head\n", "words and **bold** `code`\n", "\n", "\n\n", "- item\n", "  - nested\n", "1. one\n", "2. two\n", "   more\n",
    "```python\nx = 1\n\ny = 2\n```\n", "```", "~~~\n", "    indented\n", "> quote\n", "> - in it\n", "| a | b |\n|---|--:|\n| c | d |\n",
    "---\n", "***", "- [ ] todo\n", "<b>raw</b>", "[link](http://a.b)", "日本語", "e\u0301", "\x1b[31m", "\x1b]8;;http://x\x07", "\r\n",
    "\t", "- ```\n  code\n  ```\n", "10. ten\n", "a\nb", "`", "*", "_", "\\", "&#27;", "&amp;", "  ", " ",
]  # fmt: skip
TEXTS = st.lists(st.one_of(st.sampled_from(SNIPPETS), st.text(max_size=12)), max_size=14).map("".join)


def shape(lines: list[Line]) -> list[tuple[list[tuple[str, str, str]], str]]:
    return [(list(line.runs), line.join) for line in lines]


def body(entry: Entry, width: int) -> list[tuple[list[tuple[str, str, str]], str]]:
    lines: list[tuple[list[tuple[str, str, str]], str]] = []
    for part in entry.sections():
        if entry.lead(part):
            lines.append(([], "\n"))
        lines += shape(entry.lay(part, LayoutContext(width), [0]).lines)
    return lines


@settings(max_examples=200, deadline=None)
@given(TEXTS, st.data())
def test_streamed_in_any_pieces_gives_the_lines_of_the_whole(text: str, data: st.DataObject) -> None:
    whole = Entry("w", "brain", "b", text)
    streamed = Entry("s", "brain", "b", writing=True)
    at = 0
    while at < len(text):
        size = data.draw(st.integers(1, 9))
        streamed.write(text[at : at + size])
        body(streamed, 40)  # what is drawn on the way leaves no trace
        at += size
    streamed.finish()
    assert streamed.text == whole.text == clean(text)
    assert body(streamed, 40) == body(whole, 40)


@settings(max_examples=200, deadline=None)
@given(TEXTS, st.integers(1, 90))
def test_no_line_is_wider_than_asked_and_none_holds_a_control_character(text: str, width: int) -> None:
    for line in lay_text(clean(text), LayoutContext(width)):
        assert width_of(line.text) <= max(width, 20), line
        assert not re.search("[\x00-\x1f\x7f-\x9f\u202a-\u202e]", line.text)


@given(st.text())
def test_clean_is_the_same_in_pieces(text: str) -> None:
    cleaner = Cleaner()
    assert "".join(cleaner.feed(char) for char in text) + cleaner.finish() == clean(text)


@pytest.mark.parametrize(
    "hostile", ["\x1b[2J\x1b]0;owned\x07hi", "\x1bPq#0\x1b\\hi", "\u202ehi", "\x9b31mhi", "\x1bchi"]
)
def test_escape_sequences_are_gone(hostile: str) -> None:
    assert clean(hostile).endswith("hi")
    assert not re.search("[\x1b\x07\x9b\u202e]", clean(hostile))


def test_sections_that_stand_no_longer_change_while_text_streams() -> None:
    splitter = Splitter()
    splitter.feed("one\n\ntwo **bo")
    first = splitter.sections[0]
    stamp = first.stamp
    splitter.feed("ld** and\n\nthree")
    assert splitter.sections[0] is first
    assert first.stamp == stamp
    assert [section.source for section in splitter.sections] == ["one", "two **bold** and", "three"]


def test_huge_lines_and_deep_nesting_stay_bounded() -> None:
    splitter = Splitter("word " * 50_000)
    assert max(len(section.source) for section in splitter.sections) <= LIMIT
    assert len(lay_text("x" * 300_000, LayoutContext(80))) >= 300_000 // 80
    deep = lay_text(">" * 3000 + " deep", LayoutContext(40))
    assert any("deep" in line.text for line in deep)
    nested = lay_text("\n".join("  " * at + "- x" for at in range(200)), LayoutContext(40))
    assert all(width_of(line.text) <= 40 for line in nested)


def test_a_long_list_that_is_cut_goes_on_counting() -> None:
    text = "\n".join(f"{at}. {'word ' * 30}" for at in range(1, 121))
    lines = [line.text for line in lay_text(text, LayoutContext(200))]
    assert [int(line.split(".")[0]) for line in lines] == list(range(1, 121))


def test_html_is_shown_as_text_and_links_are_kept_only_when_safe() -> None:
    lines = lay_text("<script>x</script> [a](javascript:alert(1)) [b](https://b.c/d) https://e.f/g.", LayoutContext(80))
    assert "<script>x</script>" in lines[0].text
    assert [run[2] for run in lines[0].runs if run[2]] == ["https://b.c/d", "https://e.f/g"]


def test_tables_fit_or_become_records() -> None:
    table = "| name | what it is |\n|---|---|\n| keeper | " + "words " * 20 + "|\n"
    assert all(width_of(line.text) <= 40 for line in lay_text(table, LayoutContext(40)))
    narrow = [line.text for line in lay_text(table, LayoutContext(9))]
    assert "name" in narrow[0]


def test_code_is_coloured_only_when_the_lexer_keeps_the_text() -> None:
    rows = highlight("python", "def f():\n\treturn 1")
    assert rows is not None
    assert ["".join(run[0] for run in row) for row in rows] == ["def f():", "    return 1"]
    assert highlight("no such language", "x") is None
    assert load_style("no such style") == load_style("default")


def test_wide_and_combining_characters_are_never_cut_apart() -> None:
    assert chop("日本語テキスト", 5) == ["日本", "語テ", "キス", "ト"]
    assert all(not part.startswith("\u0301") for part in chop("e\u0301" * 40, 7))


@pytest.mark.parametrize(
    "text", ["\u200d", "\u200d\u200da", "\u200b", "a\u200d\u200d", "\u200d\u200d   \u200d", "\u0301"]
)
def test_a_text_of_no_width_is_not_lost(text: str) -> None:
    """rich 15 gives no part of such a text, and who goes on behind the first part would go on for ever."""
    for width in (1, 2, 14):
        parts = chop(text, width)
        assert ("".join(parts), all(parts)) == (text, True)


def test_glyphs_follow_the_locale() -> None:
    assert glyphs("auto", "UTF-8") is UNICODE
    assert glyphs("auto", "ANSI_X3.4-1968") is ASCII
    assert glyphs("ascii") is ASCII
    assert all(part.isascii() for value in (getattr(ASCII, name) for name in ASCII.__struct_fields__) for part in value)


def test_a_long_line_of_code_breaks_at_a_space_and_hangs_behind_a_mark() -> None:
    lines = code_rows("    cmd = run('one', 'two')  # and a remark that is long", LayoutContext(40))
    assert [line.text.rstrip() for line in lines] == [
        "      cmd = run('one', 'two')  # and a",
        "      › remark that is long",
    ]
    assert [run[1] for run in lines[1].runs] == ["code third", "code", "code"]


@given(st.text(st.sampled_from("ab ().é海👩\u200d"), max_size=200), st.integers(12, 60))
@example("a\u200d\u200daaaaa  aaaaaaa   \u200d\u200d   \u200d", 16)
@example("\u200d\u200d   \u200d", 12)
def test_a_broken_line_of_code_has_every_character_of_it(text: str, width: int) -> None:
    lines = code_rows(text, LayoutContext(width))
    copied = "".join(line.text[slice(*line.body or ())] + line.join for line in lines)
    assert copied == text + "\n"
    # as it is drawn: the margin and the text are measured each by itself
    assert all(sum(width_of(run[0]) for run in line.runs) <= max(width, 8) for line in lines)
