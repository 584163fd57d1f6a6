"""The transcript as a widget: what is near the view is laid out, and nothing jumps."""

from collections.abc import Iterator

import pytest
from blockbuster import BlockBuster, blockbuster_ctx
from textual.app import App, ComposeResult
from textual.geometry import Offset
from textual.pilot import Pilot
from textual.selection import Selection
from textual.theme import Theme

from omni.shell.glyphs import ASCII
from omni.shell.transcript import Entry, Transcript
from omni.shell.transcript.entry import Layout

DARK = {
    "background": "#0e1116", "rail": "#0b0d11", "panel": "#151a21", "raised": "#1c222b", "line": "#262d38",
    "text": "#d5dae2", "second": "#8d97a6", "third": "#7a8598", "accent": "#74d3ae", "person": "#8ab4f8",
    "amber": "#e6b450", "red": "#f07178",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _no_blocking() -> Iterator[BlockBuster]:
    with blockbuster_ctx("omni") as blocker:
        yield blocker


class Host(App[None]):
    """A transcript alone, with the colours of the dark theme."""

    AUTO_FOCUS = None

    def __init__(self, transcript: Transcript) -> None:
        super().__init__()
        self.transcript = transcript
        self.heard: list[object] = []
        for name, text in (("one", "#d5dae2"), ("two", "#2a2e35")):
            own = {f"omni-{key}": value for key, value in (DARK | {"text": text}).items()}
            self.register_theme(Theme(name=name, primary="#74d3ae", variables={**own, "omni-code-style": "one-dark"}))
        self.theme = "one"

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return {f"omni-{key}": value for key, value in DARK.items()}

    def compose(self) -> ComposeResult:
        yield self.transcript

    def on_transcript_act(self, message: Transcript.Act) -> None:
        self.heard.append((message.act, message.entry))

    def on_transcript_copy(self, message: Transcript.Copy) -> None:
        self.heard.append(("copy", message.text))

    def on_transcript_open(self, message: Transcript.Open) -> None:
        self.heard.append(("open", message.address))

    def on_transcript_leave(self, message: Transcript.Leave) -> None:
        self.heard.append("leave")


CODE = "```python\ndef f():\n    return 1\n```"


def entries(count: int) -> list[Entry]:
    return [
        Entry(
            str(at),
            "person" if at % 2 == 0 else "brain",
            "you",
            f"{at}: " + "word " * 60 + f"\n\n- a\n- b\n\n{CODE}\n\nend {at}",
        )
        for at in range(count)
    ]


def screen(pilot: Pilot[None]) -> list[str]:
    """The rows as they are drawn."""
    transcript = pilot.app.query_one(Transcript)
    return [strip.text.rstrip() for strip in transcript.render_lines(transcript.size.region)]


async def settle(pilot: Pilot[None]) -> None:
    """Until highlighting and idle work are done."""
    await pilot.pause()
    await pilot.app.workers.wait_for_complete()
    await pilot.pause()


async def test_it_begins_at_the_end_and_lays_out_only_what_is_near() -> None:
    host = Host(Transcript())
    async with host.run_test(size=(80, 24)) as pilot:
        host.transcript.show(entries(1000))
        await settle(pilot)
        rows = screen(pilot)
        assert rows[-2].endswith("end 999")
        assert rows[-1] == ""
        assert sum(entry.opened for entry in host.transcript.entries) < 20
        assert host.transcript.following


async def test_scrolling_up_moves_by_exactly_what_was_asked() -> None:
    host = Host(Transcript())
    async with host.run_test(size=(80, 24)) as pilot:
        host.transcript.show(entries(200))
        await pilot.pause()
        before = screen(pilot)
        for step in (1, 3, 22, 7, 22, 22, 40):
            host.transcript.action_lines(-step)
            after = screen(pilot)
            assert after[step:] == before[: len(before) - step][: len(after[step:])]
            before = after
        for step in (22, 5, 1):
            host.transcript.action_lines(step)
            after = screen(pilot)
            assert after[: 24 - step] == before[step:]
            before = after


async def test_streams_above_and_below_the_view_do_not_move_it() -> None:
    host = Host(Transcript())
    async with host.run_test(size=(80, 24)) as pilot:
        history = entries(40)
        history.insert(2, Entry("above", "brain", "b", writing=True))
        host.transcript.show(history)
        host.transcript.add(Entry("below", "brain", "b", writing=True))
        host.transcript.go_to(60)
        host.transcript.action_lines(-5)
        before = screen(pilot)
        for _ in range(30):
            host.transcript.write("above", "more words and\n\n")
            host.transcript.write("below", "more words and\n\n")
            host.transcript.flush()
        assert screen(pilot)[:-1] == before[:-1]
        assert (host.transcript.unseen, "new text below" in screen(pilot)[-1]) == (True, True)
        host.transcript.action_tail()
        assert not host.transcript.unseen
        assert "new text" not in "".join(screen(pilot))


async def test_a_resize_keeps_the_paragraph_at_the_top() -> None:
    host = Host(Transcript())
    async with host.run_test(size=(80, 24)) as pilot:
        host.transcript.show(entries(100))
        host.transcript.focus()
        host.transcript.focus_entry(50)
        await pilot.pause()
        top = screen(pilot)[1]
        assert "50:" in "".join(screen(pilot))
        for width in (40, 200, 80):
            await pilot.resize_terminal(width, 24)
            await settle(pilot)
            assert "50:" in "".join(screen(pilot)[:3])
            assert all(len(row) <= width for row in screen(pilot))
        assert screen(pilot)[1] == top


async def test_a_fence_is_plain_while_open_and_coloured_once_closed_even_when_the_theme_changes_between() -> None:
    host = Host(Transcript())
    async with host.run_test(size=(80, 24)) as pilot:
        host.transcript.show([Entry("a", "brain", "b", writing=True)])

        def keys() -> set[str]:
            part = host.transcript.entries[0].sections()[0]
            assert isinstance(part.layout, Layout)
            return {run[1].split()[0] for line in part.layout.lines for run in line.runs}

        host.transcript.write("a", "```python\ndef f():\n    ret")
        host.transcript.flush()
        assert keys() == {"code"}
        host.app.theme = "two"
        await settle(pilot)
        host.transcript.write("a", "urn 1\n```\nafter")
        host.transcript.flush()
        await settle(pilot)
        assert "token" in keys()
        assert [row.split() for row in screen(pilot)[1:5]] == [
            ["▌", "python", "copy"],
            ["▌", "def", "f():"],
            ["▌", "return", "1"],
            ["▌"],
        ]


async def test_the_caret_stands_behind_what_is_written_and_goes_at_the_end() -> None:
    host = Host(Transcript())
    async with host.run_test(size=(60, 10)) as pilot:
        host.transcript.show([Entry("a", "brain", "b", writing=True)])
        host.transcript.write("a", "some words")
        host.transcript.flush()
        assert screen(pilot)[1] == "▌  some words▏"
        host.transcript.finish("a")
        assert screen(pilot)[1] == "▌  some words"


async def test_keys_walk_through_blocks_and_letters_act_on_the_focused_one() -> None:
    host = Host(Transcript())
    async with host.run_test(size=(80, 24)) as pilot:
        host.transcript.show(entries(6))
        host.transcript.focus()
        await pilot.pause()
        await pilot.press("shift+tab", "c", "r", "e", "u", "left_square_bracket", "right_square_bracket", "y")
        await pilot.press("tab", "tab")
        await pilot.pause()
        assert host.heard == [
            ("copy", "4"), ("retry", "4"), ("edit", "4"), ("undo", "4"), ("older", "4"), ("newer", "4"),
            ("copy", "def f():\n    return 1"), "leave",
        ]  # fmt: skip


async def test_thoughts_fold_to_one_line_and_enter_unfolds_them() -> None:
    host = Host(Transcript())
    async with host.run_test(size=(60, 12)) as pilot:
        host.transcript.show([Entry("a", "brain", "b", "answer", reasoning="one\ntwo", thinking_seconds=2.1)])
        assert screen(pilot)[:3] == ["▌  b", "▌  ▸ thought   2.1 s", "▌  answer"]
        host.transcript.focus()
        await pilot.press("enter")
        assert screen(pilot)[1:6] == ["▌  ▾ thought   2.1 s", "▌    one", "▌    two", "▌", "▌  answer"]
        await pilot.click(Transcript, offset=(8, 1))
        assert screen(pilot)[2] == "▌  answer"


async def test_a_click_copies_code_opens_links_and_a_drag_selects() -> None:
    host = Host(Transcript())
    async with host.run_test(size=(60, 14)) as pilot:
        host.transcript.show([Entry("a", "brain", "b", f"see [it](https://a.b/c) there\n\n{CODE}\n\nlast words here")])
        await settle(pilot)
        await pilot.click(Transcript, offset=(8, 1))
        row = next(at for at, text in enumerate(screen(pilot)) if text.endswith("copy"))
        await pilot.click(Transcript, offset=(screen(pilot)[row].index("copy") + 1, row))
        assert host.heard == [("open", "https://a.b/c"), ("copy", "def f():\n    return 1")]
        await pilot.mouse_down(Transcript, offset=(3, 1))
        await pilot.hover(Transcript, offset=(9, 5))
        await pilot.pause()
        await pilot.mouse_up(Transcript, offset=(9, 5))
        assert host.screen.get_selected_text() == "see it there\n\npython\ndef f():\n    r"


async def test_a_wrapped_paragraph_is_copied_as_one_line() -> None:
    host = Host(Transcript())
    async with host.run_test(size=(40, 14)) as pilot:
        host.transcript.show([Entry("a", "brain", "b", "word " * 20)])
        host.screen._select_all_in_widget(host.transcript)
        await pilot.pause()
        assert host.screen.get_selected_text() == "b\n" + " ".join(["word"] * 20)


async def test_search_marks_and_goes_from_hit_to_hit() -> None:
    host = Host(Transcript())
    async with host.run_test(size=(80, 24)) as pilot:
        history = entries(100)
        history[10] = Entry("10", "brain", "b", "a needle here")
        history[20] = Entry("20", "brain", "b", "a Needle there")
        host.transcript.show(history)
        host.transcript.focus()
        assert host.transcript.search("needle") == 2
        assert host.transcript.focused_entry is history[20]
        await pilot.press("n")
        assert host.transcript.focused_entry is history[10]
        assert any("needle" in row for row in screen(pilot))
        host.transcript.search("")


async def test_deltas_are_joined() -> None:
    host = Host(Transcript())
    async with host.run_test(size=(80, 24)) as pilot:
        host.transcript.show([Entry("a", "brain", "b", writing=True)])
        await pilot.pause()
        count = 0
        entry = host.transcript.entries[0]
        for _ in range(500):
            before = entry.text
            host.transcript.write("a", "x")
            count += entry.text != before
        assert count == 0
        host.transcript.flush()
        assert entry.text == "x" * 500


@pytest.mark.parametrize("width", [12, 40, 80, 300])
async def test_every_width_draws(width: int) -> None:
    host = Host(Transcript(glyphs=ASCII))
    async with host.run_test(size=(width, 20)) as pilot:
        host.transcript.show(
            [*entries(3), Entry("t", "brain", "b", "| a | b |\n|---|---|\n| 日本 | " + "w " * 50 + "|")]
        )
        await settle(pilot)
        rows = host.transcript.render_lines(host.transcript.scrollable_content_region.size.region)
        assert {strip.cell_length for strip in rows} == {width - 1}
        assert screen(pilot)[-2].startswith("|")


async def test_a_selected_place_survives_text_that_grows_above() -> None:
    host = Host(Transcript())
    async with host.run_test(size=(60, 20)) as pilot:
        host.transcript.show([Entry("a", "brain", "b", writing=True), Entry("c", "brain", "b", "keep this")])
        row = next(row for row in host.transcript.visible_rows if "keep" in row.what.text)
        host.screen.selections = {host.transcript: Selection(Offset(0, row.place), Offset(4, row.place))}
        for _ in range(5):
            host.transcript.write("a", "more\n\n")
            host.transcript.flush()
        await pilot.pause()
        assert host.transcript.selected_text == "keep"
