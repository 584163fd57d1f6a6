"""Calls that brains write as text: what is read out of an answer, however it comes, and what stays the text that it is."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omni.core.events import EngineEvent, ReasoningDelta, TextDelta, ToolCallDelta, TurnEnded, Usage
from omni.core.messages import ToolCallPart
from omni.engine import tool_calls
from omni.engine.reading import CallReader

WEATHER = '{"name": "weather", "arguments": {"city": "Oslo"}}'
ADD = '{"name": "add", "arguments": {"a": 1}}'
CALLED = [("weather", {"city": "Oslo"}), ("add", {"a": 1})]
TAGGED = "<tool_call>\n{}\n</tool_call>"
END = TurnEnded(reason="stop", usage=Usage())

Read = tuple[str, list[tuple[str, Any]], str]


def events_of(
    pieces: list[str], *, end: str = "stop", follows: Callable[[str], bool] | None = None, several: bool = True
) -> list[EngineEvent]:
    reader = CallReader(("weather", "add"), follows=follows, several=several)
    events: list[EngineEvent] = [TextDelta(text=piece) for piece in pieces]
    last = TurnEnded(reason="length" if end == "length" else "stop", usage=Usage())
    return [parsed for event in [*events, last] for parsed in reader.read(event)]


def meant(events: list[EngineEvent]) -> Read:
    """The text, the calls, and how it ended."""
    names = {event.index: event.name for event in events if isinstance(event, ToolCallDelta) and event.name}
    arguments = {
        at: "".join(event.arguments for event in events if isinstance(event, ToolCallDelta) and event.index == at)
        for at in names
    }
    last = events[-1]
    assert isinstance(last, TurnEnded)
    text = "".join(event.text for event in events if isinstance(event, TextDelta))
    return text, [(name, json.loads(arguments[at])) for at, name in names.items()], last.reason


def read(said: str, **how: Any) -> Read:
    """What an answer means; it is the same however it is cut into pieces."""
    readings = [
        meant(events_of([said[at : at + size] for at in range(0, len(said), size)], **how)) for size in (1, 2, 7, 9999)
    ]
    assert readings == [readings[0]] * len(readings)
    return readings[0]


@pytest.mark.parametrize("before", ["", "Let me look.\n", "Let me look. ", "Is `a < b`, or [1]? "])
@pytest.mark.parametrize("count", [0, 1, 2, 3])
@pytest.mark.parametrize(
    ("form", "between"),
    [
        ("{}", "\n"),
        ("{}", ""),
        ("```json\n{}\n```", "\n"),
        (TAGGED, "\n"),
        ("[TOOL_CALLS]{}", ""),
        ("<|python_tag|>{}", "\n"),
        ("<tool_call>{}</tool_call>", " "),
    ],
)
def test_calls_come_through_whatever_is_around_them(before: str, count: int, form: str, between: str) -> None:
    calls = [CALLED[at % 2] for at in range(count)]
    texts = [form.replace("{}", [WEATHER, ADD][at % 2]) for at in range(count)]
    text, parsed_calls, end = read(before + between.join(texts))
    assert (text.rstrip("\n"), parsed_calls) == (before.rstrip("\n"), calls)
    assert end == ("tool_calls" if count else "stop")


@pytest.mark.parametrize(
    "said",
    [
        f"[{WEATHER}, {ADD}]",
        f"```json\n[{WEATHER},\n{ADD}]\n```",
        f"[TOOL_CALLS][{WEATHER}, {ADD}]",
        f"<tool_call>[{WEATHER}, {ADD}]</tool_call>",
        f'{{"tool_calls": [{WEATHER}, {ADD}]}}',
        f'{{"type": "function", "function": {WEATHER}}}\n{{"type": "function", "id": "1", "function": {ADD}}}',
        WEATHER.replace('{"city": "Oslo"}', r'"{\"city\": \"Oslo\"}"') + "\n" + ADD,
        WEATHER.replace("arguments", "parameters") + "\n" + ADD.replace("arguments", "input"),
        f"{WEATHER}\n```json\n{ADD}\n```",
    ],
)
def test_lists_and_other_ways_to_write_them(said: str) -> None:
    assert read(said) == ("", CALLED, "tool_calls")


def test_what_is_said_between_and_after_calls_stays() -> None:
    text, calls, _ = read(f"First:\n```\n{WEATHER}\n```\nThen\n<tool_call>{ADD}</tool_call>\nThat is all.")
    assert calls == CALLED
    assert text == "First:\nThen\nThat is all."


@pytest.mark.parametrize(
    ("said", "call"),
    [
        ('{"name": "add"}', ("add", {})),
        ('{"name": "add", "arguments": null}', ("add", {})),
        ('{"name": "add", "arguments": ""}', ("add", {})),
        (WEATHER[:-1], CALLED[0]),
        (f"<tool_call>{WEATHER[:-1]}</tool_call>", CALLED[0]),
        ('{"name": "weather", "arguments": {"city": "}{[`\\"<"}}', ("weather", {"city": '}{[`"<'})),
    ],
)
def test_calls_that_are_written_badly(said: str, call: tuple[str, Any]) -> None:
    assert read(said) == ("", [call], "tool_calls")


@pytest.mark.parametrize(
    "said",
    [
        "Hello.",
        '{"name": "remove", "arguments": {}}',
        '{"name": "weather", "arguments": "all"}',
        '{"name": "weather", "arguments": [1]}',
        '{"name": "weather", "city": "Oslo"}',
        '{"name": "weather", "argu',
        f"[{WEATHER}, 7]",
        "{",
        "[",
        "<b>bold</b>",
        "``` ```",
        "if a < b: x = {'a': [1]}",
        "- [x] done\n- [ ] not\n{",
        "",
    ],
)
def test_any_other_answer_is_the_text_that_it_is(said: str) -> None:
    assert read(said) == (said, [], "stop")


def test_a_call_that_is_cut_is_text_and_not_half_a_call() -> None:
    assert read(WEATHER[:-1], end="length") == (WEATHER[:-1], [], "length")


def test_what_follows_a_call_and_closes_nothing_is_kept() -> None:
    assert read(f"{WEATHER} <b>so</b>") == ("<b>so</b>", CALLED[:1], "tool_calls")
    assert read(f"{WEATHER}\n```py\nx = 1\n```") == ("```py\nx = 1\n```", CALLED[:1], "tool_calls")


def test_only_the_first_counts_where_one_is_wanted() -> None:
    assert read(f"{WEATHER}\n{ADD}", several=False) == ("", CALLED[:1], "tool_calls")
    assert read(f"[{WEATHER}, {ADD}]", several=False) == ("", CALLED[:1], "tool_calls")


def is_a_person(text: str) -> bool:
    return set(json.loads(text)) in ({"name", "age"}, {"name"}) or text == ADD


def test_where_a_schema_is_asked_for_only_what_the_grammar_offers_is_a_call() -> None:
    for said in ('{"name": "weather", "age": 3}', '{"name": "add"}', ADD, f"[{ADD}]", '{"name": "we'):
        assert read(said, follows=is_a_person) == (said, [], "stop")
    tagged = "\n".join(TAGGED.replace("{}", call) for call in (WEATHER, ADD))
    assert read(tagged, follows=is_a_person) == ("", CALLED, "tool_calls")
    assert read(tagged[:-9], follows=is_a_person, end="length") == ("", CALLED, "length")
    assert read(tagged[:-25], follows=is_a_person, end="length") == ("", CALLED[:1], "length")
    for bare in (f"{WEATHER}\n{ADD}", f"{json.dumps(json.loads(WEATHER), indent=4)}\n{ADD}"):
        assert read(bare, follows=is_a_person) == ("", CALLED, "tool_calls")
    assert read(WEATHER[:-3], follows=is_a_person, end="length") == (WEATHER[:-3], [], "length")


def test_an_answer_under_a_schema_is_held_for_as_long_as_it_may_be_a_call_only() -> None:
    reader = CallReader(("weather",), follows=is_a_person)
    said = ['{"name', '": "', "we", "b", '", "age": 3}']
    given = [
        "".join(event.text for event in reader.read(TextDelta(text=text)) if isinstance(event, TextDelta))
        for text in said
    ]
    assert given == ["", "", "", '{"name": "web', '", "age": 3}']


@given(
    st.lists(st.sampled_from(CALLED), max_size=3),
    st.text(st.sampled_from("Look at: a.b \n"), max_size=12),
    st.integers(1, 9),
)
def test_what_is_written_of_calls_is_what_is_read(calls: list[tuple[str, Any]], before: str, size: int) -> None:
    written = [
        tool_calls.written(ToolCallPart(id="1", name=name, arguments=json.dumps(given))) for name, given in calls
    ]
    said = "\n".join([before, *written])
    text, parsed_calls, _ = meant(events_of([said[at : at + size] for at in range(0, len(said), size)]))
    assert parsed_calls == calls
    assert text.strip() == before.strip()


@given(st.lists(st.text(st.sampled_from('{}"`<>[]ntol_call name:weather,arguments \n')), max_size=12))
def test_no_character_is_lost(pieces: list[str]) -> None:
    text, calls, _ = meant(events_of(pieces))
    if not calls:
        assert text == "".join(pieces)


def test_text_streams_as_soon_as_it_is_known_to_be_text() -> None:
    reader = CallReader(("weather",))
    assert list(reader.read(ReasoningDelta(text="hm"))) == [ReasoningDelta(text="hm")]
    assert list(reader.read(TextDelta(text="I "))) == [TextDelta(text="I ")]
    assert list(reader.read(TextDelta(text='{"'))) == []
    assert meant([*reader.read(TextDelta(text='age": 3')), END])[0] == '{"age": 3'


def test_calls_that_the_engine_reads_itself_are_numbered_with_the_others() -> None:
    reader = CallReader(("weather", "add"))
    native = ToolCallDelta(index=0, id="n", name="add", arguments="{}")
    events = [parsed for event in (TextDelta(text=WEATHER), native, END) for parsed in reader.read(event)]
    assert [event.index for event in events if isinstance(event, ToolCallDelta) and event.name] == [0, 1]
