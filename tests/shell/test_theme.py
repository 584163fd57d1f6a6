"""Themes: data that is checked, readable at every depth, and reloaded when their files change."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.color import Color, ColorSystem
from rich.segment import Segment
from rich.style import Style
from textual.color import Color as Shade

from omni.core.errors import NotFound, UsageError
from omni.core.paths import resources
from omni.core.settings import Settings, UiSettings
from omni.core.themes import Depth
from omni.shell.filters import Ascii, Plain
from omni.shell.theme import Colours, ThemeFile, Themes, Watcher, colour_depth, cube_colour, read_theme, textual_theme
from tests.shell.fakes import said, screen_text, settled, shell

SHIPPED = sorted(resources("themes").glob("*.toml"))
LIGHT = read_theme(resources("themes") / "omni-light.toml")
INKS = ("text", "second", "third", "accent", "person", "amber", "red")
AREAS = ("background", "rail", "panel", "raised")


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_weakest_text_has_a_contrast_of_four_on_every_area_at_every_depth(path: Path) -> None:
    file = read_theme(path)
    really256 = {name: cube_colour(number) for name, number in msgspec.structs.asdict(file.colours256).items()}
    for colours in (file.colour_set("truecolor"), really256, file.colour_set("16")):
        for ink in INKS:
            for area in AREAS:
                assert contrast(colours[ink], colours[area]) >= 4, (ink, area, colours[ink], colours[area])


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_row_with_the_bar_and_what_is_selected_are_read_well(path: Path) -> None:
    """As the accessibility guidelines measure it: 4.5 for every text, 7 where the theme promises high contrast."""
    file = read_theme(path)
    wanted = 7 if path.stem == "omni-contrast" else 4.5
    chosen = textual_theme("x", file, "truecolor").variables["omni-chosen"]
    assert chosen == file.colours.background
    numbers = msgspec.structs.asdict(file.colours256)
    for colours in (file.colour_set("truecolor"), {name: cube_colour(number) for name, number in numbers.items()}):
        for ink in INKS:
            for ground in ("background", "panel"):  # of a chosen row on a sheet, and in a table
                assert contrast(colours[ink], colours[ground]) >= wanted, (ink, ground, colours[ink], colours[ground])
        assert contrast(colours["text"], colours["line"]) >= wanted  # selected text


def test_high_contrast_is_high_everywhere() -> None:
    file = read_theme(resources("themes") / "omni-contrast.toml")
    numbers = msgspec.structs.asdict(file.colours256)
    for colours in (file.colour_set("truecolor"), {name: cube_colour(number) for name, number in numbers.items()}):
        for ink in INKS:
            for area in AREAS:
                assert contrast(colours[ink], colours[area]) >= 7, (ink, area)
    sixteen = file.colour_set("16")
    assert contrast(sixteen["text"], textual_theme("x", file, "16").variables["omni-chosen"]) >= 7


async def test_with_high_contrast_a_scrollbar_stands_out_from_its_track_at_every_depth(tmp_path: Path) -> None:
    app = shell(tmp_path)
    async with app.run_test(size=(120, 36)) as pilot:
        await app.show("chat")
        await settled(pilot)
        await app.preview_theme("omni-contrast")
        await settled(pilot)
        for name in ("Transcript", "Field", "Container"):
            shown = app.screen.query(name).first().styles
            for bar, track in (
                (shown.scrollbar_color, shown.scrollbar_background),
                (shown.scrollbar_color_hover, shown.scrollbar_background_hover),
            ):
                assert contrast(bar.hex.lower(), track.hex.lower()) >= 3, (name, bar, track)
    file = read_theme(resources("themes") / "omni-contrast.toml")
    depths: tuple[Depth, ...] = ("truecolor", "256", "16")
    for depth in depths:
        variables = textual_theme("x", file, depth).variables
        for part in ("scrollbar", "scrollbar-hover", "scrollbar-active"):
            for below in ("background", "panel", "raised"):
                assert contrast(variables[part], variables[f"omni-{below}"]) >= 3, (depth, part, below)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_numbers_of_a_theme_are_what_the_terminal_is_sent(path: Path) -> None:
    file = read_theme(path)
    sets: tuple[tuple[Depth, ColorSystem, msgspec.Struct], ...] = (
        ("256", ColorSystem.EIGHT_BIT, file.colours256),
        ("16", ColorSystem.STANDARD, file.colours16),
    )
    for depth, system, numbers in sets:
        sent = {name: Color.parse(colour).downgrade(system).number for name, colour in file.colour_set(depth).items()}
        assert sent == msgspec.structs.asdict(numbers)


def test_with_256_colours_the_areas_stay_apart() -> None:
    for path in SHIPPED:
        numbers = read_theme(path).colours256
        assert len({numbers.background, numbers.panel, numbers.raised}) == 3, path.stem


def test_all_sets_name_the_same_colours() -> None:
    assert {"dark", "light", "contrast"} == {path.stem.removeprefix("omni-") for path in SHIPPED}
    assert Colours.__struct_fields__ == tuple(read_theme(SHIPPED[0]).colour_set("16"))


@pytest.mark.parametrize(
    ("environment", "depth"),
    [
        ({"COLORTERM": "truecolor", "TERM": "xterm"}, "truecolor"),
        ({"COLORTERM": "24bit"}, "truecolor"),
        ({"TERM": "xterm-256color"}, "256"),
        ({"TERM": "screen", "TMUX": "/tmp/x"}, "256"),
        ({"TERM": "screen"}, "16"),
        ({"TERM": "xterm", "COLORTERM": ""}, "16"),
        ({"TERM": "xterm-direct"}, "truecolor"),
        ({"NO_COLOR": "1", "COLORTERM": "truecolor"}, "none"),
        ({"NO_COLOR": "", "COLORTERM": "truecolor"}, "truecolor"),
    ],
)
def test_the_depth_of_the_terminal(environment: dict[str, str], depth: str) -> None:
    assert colour_depth(environment) == depth


def test_a_wrong_file_is_named_with_its_key(tmp_path: Path) -> None:
    text = SHIPPED[0].read_text("utf-8")
    path = tmp_path / "mine.toml"
    for wrong, words in (
        (text.replace("amber =", "ambre =", 1), "ambre"),
        (text.replace("dark = true", 'dark = "yes"', 1), "dark"),
        (text.replace("[colours16]", "[colours16"), "line 35, column 11: expected ']'"),
    ):
        path.write_text(wrong, "utf-8")
        with pytest.raises(UsageError) as caught:
            read_theme(path)
        assert words in caught.value.message
        assert str(path) in caught.value.message


def test_a_theme_of_ones_own_wins_and_an_unknown_one_names_the_nearest(tmp_path: Path) -> None:
    own = tmp_path / "omni-dark.toml"
    own.write_text(read_text("omni-light"), "utf-8")
    themes = Themes([resources("themes"), tmp_path])
    assert not themes.read("omni-dark").dark
    with pytest.raises(NotFound) as caught:
        themes.read("omni-drak")
    assert "omni-dark" in caught.value.hint


def read_text(name: str) -> str:
    return (resources("themes") / f"{name}.toml").read_text("utf-8")


def test_the_watcher_tells_of_a_change_and_of_an_error_once(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(read_text("omni-dark"), "utf-8")
    watcher = Watcher(Themes([tmp_path]))
    told: list[tuple[str, Any]] = [*watcher.look(), *watcher.look()]
    assert told == []
    path.write_text(read_text("omni-light"), "utf-8")
    path.touch()
    import os

    os.utime(path, ns=(1, 1))
    told += watcher.look()
    told += watcher.look()
    assert [(name, isinstance(theme, ThemeFile) and theme.dark) for name, theme in told] == [("mine", False)]
    path.write_text("nonsense", "utf-8")
    os.utime(path, ns=(2, 2))
    told += watcher.look()
    assert isinstance(told[-1][1], UsageError)


def test_what_a_theme_gives_to_the_stylesheets() -> None:
    theme = textual_theme("omni-dark", read_theme(resources("themes") / "omni-dark.toml"), "truecolor")
    assert theme.variables["omni-accent"] == "#74d3ae"
    assert {f"omni-{name}" for name in Colours.__struct_fields__} | {"omni-code-style"} <= set(theme.variables)


def test_without_colours_strength_and_area_are_still_told_apart() -> None:
    colours = read_theme(resources("themes") / "omni-dark.toml").colour_set("none")
    plain = Plain(colours)

    def shown(front: str, ground: str) -> Style:
        segments = [Segment("x", Style(color=colours[front], bgcolor=colours[ground]))]
        style = plain.apply(segments, Shade(0, 0, 0))[0].style
        assert style is not None
        assert style.color is None
        assert style.bgcolor is None
        return style

    assert shown("third", "background").dim
    assert shown("accent", "background").bold
    assert shown("text", "raised").reverse
    assert not shown("text", "panel").reverse


def test_without_colours_a_meter_still_tells_how_far_it_is() -> None:
    colours = read_theme(SHIPPED[0]).colour_set("none")
    meter = [Segment("━━", Style(color=colours["accent"])), Segment("━━━", Style(color=colours["line"]))]
    shown = Plain(colours).apply(meter, Shade(0, 0, 0))
    assert "".join(segment.text for segment in shown) == "━━───"
    assert "".join(segment.text for segment in Ascii().apply(shown, Shade(0, 0, 0))) == "==---"


def test_ascii_keeps_every_cell_and_leaves_other_text() -> None:
    segments = Ascii().apply([Segment("▌ ✓ Machine – ● x ━━ …"), Segment("Grüße")], Shade(0, 0, 0))
    assert segments[0].text == "| + Machine - * x == ."
    assert segments[1].text == "Grüße"


async def test_a_theme_changes_live_and_a_broken_one_is_explained(tmp_path: Path) -> None:
    path = tmp_path / "themes" / "mine.toml"
    path.parent.mkdir()
    path.write_text(read_text("omni-dark"), "utf-8")
    app = shell(tmp_path, settings=Settings(ui=UiSettings(theme="mine", ready=True)))
    async with app.run_test(size=(100, 30)) as pilot:
        await settled(pilot)

        async def changed(text: str, holds: Callable[[], bool]) -> None:
            async with asyncio.timeout(60):
                while not holds():
                    await asyncio.to_thread(path.write_text, text, "utf-8")
                    await pilot.pause()

        await changed(read_text("omni-light"), lambda: app.theme_variables["omni-background"] == "#fbfaf7")
        await changed(read_text("omni-light").replace("amber = ", "ambre = "), lambda: "amb" in said(app))
        assert "colours" in said(app)


async def test_an_unknown_theme_in_the_settings_is_explained_and_dark_stands_in(tmp_path: Path) -> None:
    app = shell(tmp_path, settings=Settings(ui=UiSettings(theme="omni-drak", ready=True)))
    async with app.run_test(size=(100, 30)) as pilot:
        await settled(pilot)
        assert app.theme == "omni-dark"
        assert "omni-drak" in said(app)


async def test_in_a_locale_without_unicode_all_is_ascii(tmp_path: Path) -> None:
    app = shell(tmp_path, settings=Settings(ui=UiSettings(glyphs="ascii", ready=False)))
    async with app.run_test(size=(100, 30)) as pilot:
        await settled(pilot)
        assert screen_text(app).isascii()
