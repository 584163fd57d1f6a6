"""Histories as templates take them: nothing is lost, nothing is refused, and what was written stays written."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omni.core.messages import Message, ToolCallPart, ToolResultPart
from omni.engine import arguments_of, image_of
from omni.engine.histories import BEGIN, PLAINEST, Traits, fitted, regular
from omni.engine.pairing import NO_RESULT
from omni.engine.tool_calls import written
from tests.image_tools import png, shown

ALL = Traits(later=True, users=True, first=True, calls="beside", several="together", after=True, empty=True)
STRICT = Traits(calls="alone", several="split", short_ids=True, empty=True)
EVERY = [
    Traits(
        system=system,
        later=turns,
        users=turns,
        first=turns,
        calls=calls,  # type: ignore[arg-type] # one of them
        several=several,  # type: ignore[arg-type] # one of them
        after=after,
        short_ids=not turns,
        empty=turns,
    )
    for system, turns, after, calls, several in itertools.product(
        (True, False),
        (True, False),
        (True, False),
        ("beside", "before", "alone", "words"),
        ("together", "split", "words"),
    )
]


def system(text: str) -> Message:
    return Message.of("system", text)


def user(text: str) -> Message:
    return Message.of("user", text)


def said(text: str, *calls: ToolCallPart) -> Message:
    return Message.of("assistant", text, *calls)


def call(ident: str, of: str = "x", name: str = "look") -> ToolCallPart:
    return ToolCallPart(id=ident, name=name, arguments=json.dumps({"of": of}))


def result(text: str, ident: str = "", name: str = "") -> Message:
    return Message.of("tool", ToolResultPart.of(text, call_id=ident, name=name))


def of(message: Message) -> ToolResultPart:
    """The result that a message is; an empty one of another."""
    return message.result or ToolResultPart()


def shape(messages: tuple[Message, ...]) -> list[Any]:
    """Who says what; calls by their ids, results with theirs."""
    return [
        (message.role, message.text, *(call.id for call in message.calls), *filter(None, [of(message).call_id]))
        for message in messages
    ]


def test_what_every_template_takes_stays_as_it_is() -> None:
    talk = (user("Hi"), said("Hello"), user("And?"))
    for messages in (talk, (system("Be kind."), *talk), talk[:1], talk[:2]):
        assert regular(messages)
        assert fitted(messages, PLAINEST) == messages


def test_system_texts_stay_in_their_places() -> None:
    messages = (system("A"), system("B"), user("1"), said("2"), system("C"), user("3"), system("D"))
    assert shape(fitted(messages, ALL)) == [
        ("system", "A\n\nB"),
        ("user", "1"),
        ("assistant", "2"),
        ("system", "C"),
        ("user", "3"),
        ("system", "D"),
    ]
    assert shape(fitted(messages, PLAINEST)) == [
        ("system", "A\n\nB"),
        ("user", "1"),
        ("assistant", "2"),
        ("user", "<system>\nC\n</system>\n\n3\n\n<system>\nD\n</system>"),
    ]


def test_a_template_that_moves_the_system_text_gets_it_as_words() -> None:
    messages = (system("A"), user("1"), said("2"), user("3"))
    history = fitted(messages, Traits(system=False))
    assert shape(history) == [("user", "A\n\n1"), ("assistant", "2"), ("user", "3")]


def test_turns_alternate_where_they_must() -> None:
    messages = (user("1"), user("2"), said("a"), said("b"), user("3"))
    assert shape(fitted(messages, PLAINEST)) == [("user", "1\n\n2"), ("assistant", "a\n\nb"), ("user", "3")]
    assert shape(fitted(messages, ALL))[:2] == [("user", "1"), ("user", "2")]


def test_turns_in_which_nothing_is_said_are_left_out_where_they_must() -> None:
    messages = (user("1"), said(""), user("2"), said("a"), user(" "), said("b"), user("3"))
    assert fitted(messages, Traits(empty=True)) == messages
    assert shape(fitted(messages, PLAINEST)) == [("user", "1\n\n2"), ("assistant", "a\n\nb"), ("user", "3")]


@pytest.mark.parametrize("messages", [(), (system("A"),), (said("a"),), (system("A"), said("a"), user("1"))])
def test_there_is_a_user_where_a_template_wants_one(messages: tuple[Message, ...]) -> None:
    turns = [message for message in fitted(messages, PLAINEST) if message.role != "system"]
    assert (turns[0].role, turns[0].text) == ("user", BEGIN)
    assert all(message.text != BEGIN for message in fitted(messages, ALL))


def test_results_come_behind_their_calls_in_their_order() -> None:
    asked = said("", call("a"), call("b", name="find"), call("c"), call("a"))
    messages = (user("1"), asked, user("Wait."), result("rc", "c"), result("rb", name="find"), result("ra", "a"))
    history = fitted(messages, ALL)
    assert shape(history) == [
        ("user", "1"),
        ("assistant", "", "a", "b", "c", "a_2"),
        ("tool", "ra", "a"),
        ("tool", "rb", "b"),
        ("tool", "rc", "c"),
        ("tool", NO_RESULT, "a_2"),
        ("user", "Wait."),
    ]
    assert [of(message).name for message in history[2:6]] == ["look", "find", "look", "look"]


def test_results_that_nobody_asked_for_are_what_a_user_says() -> None:
    messages = (user("1"), result("lost", "x", "find"), said("a", call("b")), result("r", "b"), result("again", "b"))
    for traits in (ALL, PLAINEST):
        history = fitted(messages, traits)
        assert "The tool find returned:\nlost" in history[0].text
        assert "again" in history[-1].text
    assert fitted(messages, ALL)[-1].role == "user"


def test_a_late_result_is_not_put_over_an_answer() -> None:
    messages = (user("1"), said("", call("a")), user("Stop."), said("Yes."), result("late", "a"))
    history = fitted(messages, ALL)
    assert history[:5] == fitted(messages[:4], ALL)
    assert shape(history)[2:] == [
        ("tool", NO_RESULT, "a"),
        ("user", "Stop."),
        ("assistant", "Yes."),
        ("user", "The tool unknown returned:\nlate"),
    ]


def test_calls_in_every_form() -> None:
    messages = (user("1"), said("So.", call("a"), call("b")), result("ra", "a"), result("rb", "b"), user("2"))

    def form(**more: Any) -> list[Any]:
        return shape(fitted(messages, Traits(**{"users": True, "after": True, "several": "together", **more})))[1:-1]

    results = [("tool", "ra", "a"), ("tool", "rb", "b")]
    assert form(calls="beside") == [("assistant", "So.", "a", "b"), *results]
    assert form(calls="before") == [("assistant", "So."), ("assistant", "", "a", "b"), *results]
    asked = shape(fitted(messages, Traits(calls="alone", several="together", users=True, after=True)))
    assert asked[:2] == [("user", "1\n\n<assistant>\nSo.\n</assistant>"), ("assistant", "", "a", "b")]
    split = [("assistant", "So.", "a"), results[0], ("assistant", "", "b"), results[1]]
    assert form(calls="beside", several="split") == split
    lines = "\n".join(["So.", *map(written, messages[1].calls)])
    words = [("assistant", lines)]
    ways: list[dict[str, Any]] = [{"calls": "words"}, {"calls": "beside", "several": "words"}]
    for more in ways:
        assert form(**more) == words
        last = fitted(messages, Traits(users=True, after=True, **more))[-1]
        assert last.text == "The tool look returned:\nra\n\nThe tool look returned:\nrb\n\n2"


def test_what_follows_a_result_is_in_it_where_nothing_may_follow() -> None:
    messages = (user("1"), said("", call("abcdefgh1")), result("r", "abcdefgh1"), user("2"), system("S"))
    history = fitted(messages, STRICT)
    assert shape(history)[2:] == [
        ("tool", "r\n\n<user>\n2\n</user>\n\n<system>\nS\n</system>", "abcdefgh1"),
    ]


def test_ids_are_of_the_form_that_a_template_takes_and_each_is_there_once() -> None:
    rounds = [(said("", call(ident)), result("r", ident)) for ident in ("toolu_01", "", "toolu_01", "abcdefgh1")]
    messages = (user("1"), *itertools.chain.from_iterable(rounds))
    for traits, known in ((ALL, "toolu_01"), (STRICT, "abcdefgh1")):
        idents = [call.id for message in fitted(messages, traits) for call in message.calls]
        assert idents == [of(message).call_id for message in fitted(messages, traits) if message.role == "tool"]
        assert len(set(idents)) == 4
        assert known in idents
        if traits.short_ids:
            assert all(len(ident) == 9 and ident.isalnum() and ident.isascii() for ident in idents)


def test_images_keep_their_places() -> None:
    image = image_of(png(1))
    seen = Message.of("tool", ToolResultPart.of("a", image, "b", call_id="a"))
    other = Message.of("user", "c", image, "d")
    messages = (user("Look."), said("", call("a")), seen, other)
    one = ("png", 1)
    words = ["The tool look returned:\na", one, "b\n\nc", one, "d"]
    assert shown(fitted(messages, PLAINEST)[-1]) == words
    assert [shown(message) for message in fitted(messages, ALL)[-2:]] == [["a", one, "b"], ["c", one, "d"]]
    inside = fitted((*messages[:2], result("r", "a"), other), Traits(calls="beside", several="together"))
    assert shown(inside[-1]) == ["r\n\n<user>\nc", one, "d\n</user>"]


# -- what holds for every history and every template

_LETTERS = "abcdefgh"


@st.composite
def histories(draw: st.DrawFn) -> tuple[Message, ...]:
    """Any order of anything; each text is a word that is there once."""
    number = itertools.count()

    def word() -> str:
        return f"w{next(number)}w"

    def one() -> Message:
        kind: Any = draw(
            st.sampled_from(["system", "user", "user", "assistant", "assistant", "calls", "calls", "tool", "tool"])
        )
        ident = draw(st.sampled_from(["", "call_1", "call_2", "abcdefgh1", "toolu_3"]))
        if kind == "calls":
            calls = [
                call(
                    draw(st.sampled_from(["", "call_1", "call_2", "toolu_3"])),
                    word(),
                    draw(st.sampled_from(["", "a", "b"])),
                )
                for _ in range(draw(st.integers(1, 3)))
            ]
            return said(draw(st.sampled_from(["", " ", word()])), *calls)
        if kind == "tool":
            return result(word(), ident, draw(st.sampled_from(["", "a"])))
        return Message.of(kind, draw(st.sampled_from(["", word()])))

    return tuple(one() for _ in range(draw(st.integers(0, 9))))


def words_of(messages: tuple[Message, ...]) -> list[str]:
    """All words, those of a call behind those of its turn."""
    texts = [text for message in messages for text in (message.text, *(call.arguments for call in message.calls))]
    return [
        word for text in texts for word in text.replace('"', " ").split() if word[0] == word[-1] == "w" and word != "w"
    ]


@given(histories(), st.sampled_from(EVERY))
def test_no_word_is_lost_and_none_is_there_twice(messages: tuple[Message, ...], traits: Traits) -> None:
    assert sorted(words_of(fitted(messages, traits))) == sorted(words_of(messages))


@given(histories(), st.sampled_from(EVERY))
def test_only_what_a_template_takes_is_written(messages: tuple[Message, ...], traits: Traits) -> None:
    history = fitted(messages, traits)
    roles = [message.role for message in history]
    assert not messages or "user" in roles or traits.first
    assert "system" not in roles[1:] or traits.later
    assert roles[:1] != ["system"] or traits.system or traits.later
    open_calls: list[str] = []
    for before, message in itertools.pairwise((None, *history)):
        if message is None:
            continue
        if before is not None and before.role == message.role == "user":
            assert traits.users
        if before is not None and before.role == "tool" and message.role in ("user", "system"):
            assert traits.after
        if message.role == "tool":
            assert of(message).call_id == open_calls.pop(0)
            assert of(message).name
        else:
            assert not open_calls
            open_calls = [call.id for call in message.calls]
        if message.calls:
            assert traits.calls != "words"
            assert len(message.calls) == 1 or traits.several == "together"
            assert not message.text.strip() or traits.calls == "beside"
    assert not open_calls
    idents = [call.id for message in history for call in message.calls]
    assert len(set(idents)) == len(idents)


@given(histories(), st.sampled_from(EVERY))
def test_what_was_written_before_an_answer_stays(messages: tuple[Message, ...], traits: Traits) -> None:
    """Up to the last turn before what an assistant said last, a longer history begins as the shorter one."""
    messages = tuple(one for one in messages if one.text or one.calls or (traits.empty and one.role != "system"))
    ends = [at for at, message in enumerate(messages) if message.role == "assistant"]
    for end in ends:
        if end and messages[end - 1].role != "assistant":
            shorter = fitted(messages[:end], traits)
            if shorter and shorter[-1].text == BEGIN:
                continue  # nobody had said anything
            longer = fitted(messages, traits)
            assert longer[: len(shorter) - 1] == shorter[:-1]
            for last, grown in zip(shorter[-1:], longer[len(shorter) - 1 :], strict=False):
                assert (grown.role, of(grown).call_id) == (last.role, of(last).call_id)
                assert grown.text == last.text or traits.calls == "alone"
                assert grown.text.startswith(last.text)


@given(histories(), st.sampled_from(EVERY))
def test_fitting_again_changes_nothing(messages: tuple[Message, ...], traits: Traits) -> None:
    once = fitted(messages, traits)
    assert fitted(once, traits) == once


def test_a_long_history_takes_time_by_its_length() -> None:
    """Of thousands of turns by one who repeats themselves; joining two and two of them took minutes."""
    calls = tuple(call("same") for _ in range(5_000))
    results = tuple(result("r", "same") for _ in range(5_000))
    messages = (*(user("word " * 20),) * 30_000, said("", *calls), *results)
    for traits in (PLAINEST, STRICT, ALL):
        assert fitted(messages, traits)


# -- arguments


@pytest.mark.parametrize(
    ("value", "arguments"),
    [
        (None, {}),
        ("", {}),
        (" ", {}),
        ("null", {}),
        ({}, {}),
        ({"a": 1}, {"a": 1}),
        ('{"a": 1}', {"a": 1}),
        ('"{\\"a\\": 1}"', {"a": 1}),
        ('{"a": ', {"arguments": '{"a":'}),
        ("[1, 2]", {"arguments": [1, 2]}),
        ([1, 2], {"arguments": [1, 2]}),
        ("7", {"arguments": 7}),
        (False, {"arguments": False}),
        ("all of it", {"arguments": "all of it"}),
        ('"all"', {"arguments": "all"}),
        ('{"a": NaN}', {"arguments": '{"a": NaN}'}),
        ('{"a": 1} and more', {"arguments": '{"a": 1} and more'}),
        ("\ud800", {"arguments": "?"}),
    ],
)
def test_arguments_of_earlier_calls_are_an_object_whatever_they_were(value: object, arguments: dict[str, Any]) -> None:
    assert json.loads(arguments_of(value)) == arguments


def test_the_text_of_an_object_is_not_written_anew() -> None:
    assert arguments_of('{"b":1.50,  "a":"ä"}') == '{"b":1.50,  "a":"ä"}'


@pytest.mark.parametrize("depth", [64, 400, 5000])
def test_arguments_of_many_levels_become_text(depth: int) -> None:
    text = '{"a":' * depth + "1" + "}" * depth
    assert json.loads(arguments_of(text)) == {"arguments": text}
    if depth < 900:
        assert isinstance(json.loads(arguments_of(json.loads(text)))["arguments"], str)
