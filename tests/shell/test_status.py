"""The status line says what is true, and the most needed where it is narrow."""

import pytest
from textual.app import App, ComposeResult

from omni.shell.status import StatusLine


class Host(App[None]):
    """The line alone, at one width after the other."""

    CSS = "$omni-raised: #222; $omni-text: #fff; StatusLine { dock: bottom; }"

    def get_theme_variable_defaults(self) -> dict[str, str]:
        names = [
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
        ]
        return {f"omni-{name}": "#888888" for name in names}

    def compose(self) -> ComposeResult:
        yield StatusLine()


def row(line: StatusLine, width: int) -> str:
    return next(iter(line.lines(width, 1))).plain


def full() -> StatusLine:
    line = StatusLine()
    line.show(doors="shut", brain="@roe/backend", base="Qwen coder 1.5B", used=3900, allocated=16384, speed=34.8)
    return line


def test_all_of_it_stands_where_there_is_room() -> None:
    text = row(full(), 120)
    for part in ("doors shut verified", "@roe/backend", "Qwen coder 1.5B", "3.9k of 16k", "34.8 tok/s", "F12 air gap"):
        assert part in text
    assert len(text) == 120


def test_graphics_memory_stands_where_there_is_room_for_it_beside_the_speed() -> None:
    line = full()
    line.show(vram="VRAM 6.4 of 25.8 GB")
    assert "34.8 tok/s   VRAM 6.4 of 25.8 GB" in row(line, 140)
    narrow = row(line, 110)
    assert "34.8 tok/s" in narrow
    assert "VRAM" not in narrow
    line.show(vram="")
    assert row(line, 140) == row(full(), 140)


@pytest.mark.parametrize("width", range(36, 121))
def test_doors_and_brain_never_leave_and_speed_leaves_first(width: int) -> None:
    text = row(full(), width)
    assert "doors shut verified" in text
    assert "@roe/backend" in text
    assert len(text) <= width
    if "34.8 tok/s" in text:
        assert "Qwen coder 1.5B" in text
    if "Qwen coder 1.5B" in text:
        assert "3.9k of 16k" in text


def test_in_forty_columns_a_long_name_is_cut_not_left_out() -> None:
    line = full()
    line.show(brain="hf.co/somebody/a-very-long-name-of-a-model")
    assert "hf.co/" in row(line, 40)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"doors": "checking"}, "doors checking"),
        ({"doors": "air gap"}, "air gap verified"),
        ({"doors": "open", "door": "pull files.example.org"}, "door open pull files.example.org"),
        ({"doors": "listening", "door": "127.0.0.1:8080"}, "no door out listens on 127.0.0.1:8080"),
        ({"doors": "not enforced"}, "doors not enforced"),
        ({"doors": "unknown"}, "doors unknown"),
    ],
)
def test_the_doors_are_said_as_they_were_verified(state: dict[str, str], words: str) -> None:
    line = StatusLine()
    line.show(**state)
    assert words in row(line, 100)


def test_without_a_brain_it_says_so() -> None:
    assert "no brain yet" in row(StatusLine(), 80)


async def test_a_click_on_the_doors_or_on_f12_is_told() -> None:
    told: list[object] = []

    class Listener(Host):
        def on_status_line_doors_clicked(self) -> None:
            told.append(1)

    async with Listener().run_test(size=(80, 5)) as pilot:
        line = pilot.app.query_one(StatusLine)
        line.show(doors="shut", brain="b")
        await pilot.pause()
        await pilot.click(StatusLine, offset=(3, 0))
        await pilot.click(StatusLine, offset=(76, 0))
        await pilot.click(StatusLine, offset=(40, 0))
        assert len(told) == 2
