"""Calls of tools in words: which may be asked for, and what a brain is told whose template knows none."""

import json
from typing import Any

import pytest

from omni.core.errors import UsageError
from omni.core.messages import Message, ToolCallPart, ToolResultPart
from omni.engine import ChatRequest, Sampling, Tool
from omni.engine.histories import fitted
from omni.engine.scripted import TRAITS
from omni.engine.tool_calls import checked, told, written

READ = Tool(name="read", parameters={"type": "object", "properties": {"path": {"type": "string"}}})


def asked(**more: Any) -> ChatRequest:
    return ChatRequest(messages=(Message.of("user", "Hi"),), **more)


def test_tools_calls_and_results_become_words() -> None:
    request = ChatRequest(
        messages=(
            Message.of("system", "Be brief."),
            Message.of("user", "Read a.py"),
            Message.of("assistant", ToolCallPart(id="1", name="read", arguments='{"path": "a.py"}')),
            Message.of("tool", ToolResultPart.of("x = 1", call_id="1")),
            Message.of("user", "And?"),
        ),
        tools=(READ,),
    )
    said = told(request, template=False)
    messages = fitted(said.messages, TRAITS)
    assert [message.role for message in messages] == ["system", "user", "assistant", "user"]
    assert messages[0].text.startswith("Be brief.\n\nYou can call these tools:")
    assert messages[2].text == written(request.messages[2].calls[0])
    assert messages[3].text == "The tool read returned:\nx = 1\n\nAnd?"
    assert not said.tools


@pytest.mark.parametrize("template", [True, False])
def test_a_brain_that_may_call_or_answer_in_a_form_is_told_of_the_form(template: bool) -> None:
    schema = {"type": "object", "properties": {"degrees": {"type": "integer"}}}
    system, question = told(asked(tools=(READ,), schema=schema), template=template).messages
    assert (system.role, json.dumps(schema) in system.text, question) == ("system", True, asked().messages[0])
    large = told(asked(tools=(READ,), schema={"enum": ["x" * 9] * 1000}), template=template).messages[0].text
    assert "the JSON that is asked for" in large
    assert len(large) < 1000
    for alone in (asked(schema=schema), asked(tools=(READ,), schema=schema, tool_choice="required")):
        assert "degrees" not in str(told(alone, template=template).messages)


def test_a_request_without_tools_stays_as_it_is() -> None:
    request = asked()
    assert told(request, template=False) == request


def test_a_text_that_would_end_the_answer_cuts_no_json() -> None:
    sampling = Sampling(stop=("}",))
    assert told(asked(sampling=sampling), template=True).sampling.stop == ("}",)
    for bound in (asked(sampling=sampling, schema={}), asked(sampling=sampling, tools=(READ,), tool_choice="required")):
        assert told(bound, template=True).sampling.stop == ()


def test_two_tools_of_one_name_are_refused() -> None:
    with pytest.raises(UsageError, match="Two tools are named 'read'"):
        checked(asked(tools=(READ, READ)))


def test_only_the_chosen_tool_is_left() -> None:
    request = checked(asked(tools=(READ, Tool(name="write")), tool_choice="write"))
    assert ([tool.name for tool in request.tools], request.tool_choice) == (["write"], "required")
    assert checked(asked(tools=(READ,), tool_choice="none")).tools == ()
    with pytest.raises(UsageError, match="names 'reed'"):
        checked(asked(tools=(READ,), tool_choice="reed"))
    with pytest.raises(UsageError, match="names none"):
        checked(asked(tool_choice="required"))
