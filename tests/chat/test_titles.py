"""A title is the first paragraph that says something, shortened."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omni.chat import title_of


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("Write a haiku about the sea", "Write a haiku about the sea"),
        ("\n\n  ## Plan\nmore", "Plan"),
        ("> - 1. Deep", "Deep"),
        ("```python\nprint(1)\n```", "print(1)"),
        ("Why is it slow,\nand what helps?\n\nI tried all.", "Why is it slow, and what helps?"),
        ("Explain this:\n```\nx = 1\n```", "Explain this"),
        ("---\nThen this", "Then this"),
        ("a\tb   c", "a b c"),
        ("\x1b[31mred\x1b[0m", "[31mred [0m"),
        ("???", "???"),
        ("", "Untitled"),
        ("\x00\x01", "Untitled"),
        ("海について俳句を書いて", "海について俳句を書いて"),
        ("word " * 30, "word word word word word word word word word word word…"),
        ("x" * 100, "x" * 59 + "…"),
    ],
)
def test_titles(text: str, title: str) -> None:
    assert title_of(text) == title


@given(st.text())
def test_a_title_is_one_short_line_that_prints(text: str) -> None:
    title = title_of(text)
    assert 0 < len(title) <= 60
    assert "\n" not in title
    assert "\x1b" not in title
    assert title == title.strip()
