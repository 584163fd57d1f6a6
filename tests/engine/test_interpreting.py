"""What the events of an answer mean by what was asked for, and how often a request is tried."""

from typing import Any

import pytest

from omni.core.events import EngineEvent, TextDelta, TokenAlternative, TokenLogprob, ToolCallDelta, TurnEnded, Usage
from omni.core.messages import Message
from omni.engine import ChatRequest, Sampling, Tool
from omni.engine.binding import binding_of
from omni.engine.interpreting import Interpreter, attempts
from omni.engine.proving import Unproved
from omni.engine.tool_calls import Cut

ADD = Tool(name="add", parameters={"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]})
CALL = '{"name": "add", "arguments": {"a": 1}}'
UNIQUE = {"type": "array", "items": {"type": "string"}, "uniqueItems": True}
LOOSE = {"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 2, "maxProperties": 9}


def asked(**more: Any) -> ChatRequest:
    return ChatRequest(messages=(Message.of("user", "Hi"),), **more)


def ended(reason: Any = "stop") -> TurnEnded:
    return TurnEnded(reason=reason, usage=Usage())


def meant(request: ChatRequest, *said: str, end: TurnEnded | None = None) -> list[EngineEvent]:
    interpreter = Interpreter(request, binding_of(request))
    events: list[EngineEvent] = [*(TextDelta(text=text) for text in said), end or ended()]
    return [interpreted for event in events for interpreted in interpreter.read(event)]


def text_of(events: list[EngineEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def calls_of(events: list[EngineEvent]) -> list[str]:
    return [event.name for event in events if isinstance(event, ToolCallDelta) and event.name]


def test_a_free_answer_passes_as_it_is() -> None:
    assert text_of(meant(asked(), "Let me ", CALL)) == f"Let me {CALL}"


def test_of_a_forced_call_nothing_else_is_given() -> None:
    request = asked(tools=(ADD,), tool_choice="required")
    events = meant(request, CALL)
    assert (calls_of(events), text_of(events), events[-1]) == (["add"], "", ended("tool_calls"))


@pytest.mark.parametrize(("said", "end"), [(CALL[:-3], "length"), ("No.", "stop"), ("", "length")])
def test_a_forced_call_that_is_none_is_cut(said: str, end: str) -> None:
    with pytest.raises(Cut):
        meant(asked(tools=(ADD,), tool_choice="required"), said, end=ended(end))


@pytest.mark.parametrize(
    ("said", "keyword"), [(CALL.replace("1", '"one"'), "type"), (CALL.replace('"a": 1', ""), "required")]
)
def test_a_forced_call_that_is_not_as_its_tool_wants_it_is_unproved(said: str, keyword: str) -> None:
    with pytest.raises(Unproved) as refused:
        meant(asked(tools=(ADD,), tool_choice="required"), said)
    assert (refused.value.fault.keyword, refused.value.sent) == (keyword, False)


def test_an_answer_that_was_stopped_is_not_asked_for_again() -> None:
    assert meant(asked(tools=(ADD,), tool_choice="required"), CALL[:9], end=ended("cancelled")) == [ended("cancelled")]


def test_an_answer_under_a_schema_is_proved_before_its_end() -> None:
    request = asked(schema={"type": "object", "required": ["a"]})
    assert text_of(meant(request, '{"a', '": 1}')) == '{"a": 1}'
    with pytest.raises(Unproved) as refused:
        meant(request, '{"b": 1}')
    assert refused.value.sent
    assert refused.value.fault.keyword == "required"


def test_an_answer_that_was_cut_is_told_as_cut() -> None:
    events = meant(asked(schema={"type": "object", "required": ["a"]}), '{"a": ', end=ended("length"))
    assert (text_of(events), events[-1]) == ('{"a": ', ended("length"))


def test_what_no_grammar_keeps_is_held_until_it_is_proved() -> None:
    request = asked(schema=LOOSE)
    interpreter = Interpreter(request, binding_of(request))
    assert list(interpreter.read(TextDelta(text='{"a": 1, "b": 2}'))) == []
    assert text_of(list(interpreter.read(ended()))) == '{"a": 1, "b": 2}'
    with pytest.raises(Unproved) as refused:
        meant(request, '{"a": 1}')
    assert not refused.value.sent
    assert refused.value.fault.keyword == "minProperties"


def test_who_wants_no_strictness_gets_what_comes() -> None:
    assert text_of(meant(asked(schema=LOOSE, strict=False), '{"a": 1}')) == '{"a": 1}'
    with pytest.raises(Unproved):  # what a grammar can keep is kept all the same
        meant(asked(schema={"type": "object"}, strict=False), "[]")


def test_what_a_list_holds_twice_is_left_out_while_it_comes() -> None:
    assert text_of(meant(asked(schema=UNIQUE), '["a", "', 'a", "b', '", "a"]')).replace(" ", "") == '["a","b"]'


def test_likelihoods_are_of_the_tokens_that_are_given() -> None:
    request = asked(schema=UNIQUE, logprobs=0)
    chosen = TokenLogprob(chosen=TokenAlternative(token="a", logprob=-1.0))
    interpreter = Interpreter(request, binding_of(request))
    events: list[EngineEvent] = [TextDelta(text='["a", '), chosen, TextDelta(text='"a"]'), chosen]
    assert [interpreted for event in events for interpreted in interpreter.read(event)] == []
    with pytest.raises(Unproved):
        list(interpreter.read(ended()))


def test_under_a_schema_only_an_offered_call_is_one() -> None:
    schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    request = asked(tools=(ADD,), schema=schema)
    assert text_of(meant(request, '{"name": "add"}')) == '{"name": "add"}'
    assert text_of(meant(request, CALL)) == CALL  # which follows the schema: that is what was asked for
    events = meant(request, f"<tool_call>{CALL}</tool_call>")
    assert (calls_of(events), text_of(events), events[-1]) == (["add"], "", ended("tool_calls"))
    closed = asked(tools=(ADD,), schema={**schema, "additionalProperties": False})
    events = meant(closed, CALL)
    assert (calls_of(events), text_of(events), events[-1]) == (["add"], "", ended("tool_calls"))
    assert text_of(meant(closed, '{"name": "add"}')) == '{"name": "add"}'


def test_how_often_a_request_is_tried_and_what_changes() -> None:
    def tried(request: ChatRequest) -> list[Any]:
        return list(attempts(request, binding_of(request)))

    assert len(tried(asked())) == len(tried(asked(schema=UNIQUE))) == 1
    assert len(tried(asked(schema=LOOSE))) > 1
    assert len(tried(asked(schema=LOOSE, strict=False))) == 1
    forced = tried(asked(tools=(ADD,), tool_choice="required"))
    assert [one.last for one in forced] == [False] * (len(forced) - 1) + [True]
    assert forced[0].density is None
    assert None not in [one.density for one in forced[1:]]
    request = asked(schema=LOOSE, sampling=Sampling(temperature=0, seed=7))
    first, second, *_ = [one.of(request).sampling for one in tried(request)]
    assert first == request.sampling
    assert second.temperature > 0
    assert second.seed != first.seed
