import io
import json

import pytest

from omni.environment.progress import Step, Terminal, render

STEP = Step(phase="download", done=6, total=18, size=41_200_000, name="xllamacpp", part=0.5)


def test_a_line_shows_what_where_and_how_much() -> None:
    assert render(STEP, 100, seconds=12) == (
        "  Fetching packages  ██████████░░░░░░░░░░░░░░░░░░░░  6 of 18 · 41 MB · 12 s · xllamacpp"
    )
    assert render(STEP, 100, unicode=False).startswith("  Fetching packages  ##########------")


@pytest.mark.parametrize("width", range(10, 200))
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    for step in (STEP, Step(phase="installer", name="x" * 90), Step(phase="install", waiting=True, done=1, total=2)):
        assert len(render(step, width, seconds=100)) <= width


def test_a_step_survives_json() -> None:
    assert Step.from_dict(json.loads(json.dumps(STEP.as_dict()))) == STEP


class Tty(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_one_line_that_is_taken_away() -> None:
    stream, times = Tty(), iter(range(100))
    terminal = Terminal(stream, {"TERM": "xterm"}, clock=lambda: next(times))
    terminal.step(STEP)
    terminal.step(STEP)
    terminal.say("Done.")
    assert "\n" not in stream.getvalue().partition("Done.")[0]
    assert "\x1b[36m" in stream.getvalue()
    assert stream.getvalue().endswith("\r\x1b[KDone.\n")


def test_no_color_and_a_narrow_encoding_are_honoured() -> None:
    stream = Tty()
    stream.encoding = "latin-1"
    Terminal(stream, {"TERM": "xterm", "NO_COLOR": "1"}).step(STEP)
    assert "\x1b[36m" not in stream.getvalue()
    assert stream.getvalue().isascii()


@pytest.mark.parametrize("environment", [{"TERM": "dumb"}, {}])
def test_where_nothing_can_be_drawn_over_there_are_plain_lines(environment: dict[str, str]) -> None:
    stream = Tty()
    terminal = Terminal(stream, environment)
    for _ in range(3):
        terminal.step(STEP)
    terminal.close()
    assert stream.getvalue() == "Fetching packages 7 of 18: xllamacpp\n"
