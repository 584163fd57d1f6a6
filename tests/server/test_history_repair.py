"""Messages of a history that are no messages of their protocol: what was answered already refuses nothing, loses no words
that tell something, and moves nothing else; what is new is refused with its place."""

from typing import Any

import pytest

from omni.server.errors import BadParameter
from omni.server.history_repair import MOST
from omni.server.lenient import decoded
from omni.server.openai.types import ChatBody
from tests.history_tools import request_for, said

NOTHING = ""
LONG_DATA = "data:image/png;base64," + "A" * 4000
BROKEN: list[tuple[str, Any, str]] = [
    ("chat", None, NOTHING),
    ("chat", "words", "user words"),
    ("chat", {"content": "words"}, "user words"),
    ("chat", {"text": "words"}, 'user {"text": "words"}'),
    ("chat", {"type": "text", "text": "words"}, "user words"),
    ("chat", {"role": None, "content": "words", "tool_call_id": "c"}, "tool words"),
    ("chat", {"content": "words", "tool_call_id": "c"}, "tool words"),
    ("chat", {"role": "critic", "content": "words"}, "user words"),
    ("chat", {"role": "x - at `$.foo.bar", "content": "words"}, "user words"),
    ("chat", {"role": "x - at `$.content[0].bar`", "content": "words"}, "user words"),
    ("chat", {"role": "model", "content": "words"}, "assistant words"),
    ("chat", {"role": "Assistant", "content": "words"}, "assistant words"),
    ("chat", {"role": "assistant", "content": "words", "tool_calls": {}}, "assistant words"),
    ("chat", {"role": "assistant", "tool_calls": {"id": "5", "function": {"name": "look", "arguments": "{}"}}}, "look({})"),
    ("chat", {"role": "assistant", "tool_calls": [5, None]}, '({"arguments": 5})'),
    ("chat", {"role": "assistant", "tool_calls": [{"id": n, "function": {"name": "look"}} for n in range(40)]}, "look({})"),
    ("chat", {"role": "assistant", "tool_calls": [{"id": "5", "function": "look", "arguments": {"of": "x"}}]}, 'look({"of": "x"})'),
    ("chat", {"role": "assistant", "tool_calls": [{"custom": {"name": "patch", "input": {"at": 5}}}]}, 'patch({"input": {"at": 5}})'),
    ("chat", {"role": "assistant", "function_call": "look(1)"}, '({"arguments": "look(1)"})'),
    ("chat", {"role": "assistant", "refusal": {"reason": "words"}}, 'assistant {"reason": "words"}'),
    ("chat", {"role": "user", "content": 5}, "user 5"),
    ("chat", {"role": "user", "content": [None, 5, {}, {"text": "words"}]}, 'user 5\n{"text": "words"}'),
    ("chat", {"role": "user", "content": [{"type": "text", "text": {"value": "words"}}]}, '{"text": {"value": "words"}}'),
    ("chat", {"role": "user", "content": [{"type": "text", "text": "words", "file": 5}]}, "user words"),
    ("chat", {"role": "user", "content": [{"type": "image_url", "image_url": {}}]}, 'user {"image_url": {}}'),
    ("chat", {"role": "user", "content": "words", "name": {"first": "Zoe"}}, "user words"),
    ("responses", None, NOTHING),
    ("responses", {"id": 5, "role": "user", "content": "words"}, "user words"),
    ("responses", {"content": "words"}, '{"content": "words"}'),
    ("responses", {"type": "item_reference", "id": "msg_1"}, "user [Something was said here that is not kept.]"),
    ("responses", {"text": "words"}, '{"text": "words"}'),
    ("responses", {"role": "critic", "content": "words"}, "user words"),
    ("responses", {"role": "user", "content": {"text": "words"}}, 'user {"text": "words"}'),
    ("responses", {"role": "user", "content": [{"type": "input_image", "image_url": {"url": LONG_DATA}}]}, "characters of data]"),
    ("responses", {"type": "function_call", "call_id": 5, "name": "look", "arguments": {}}, "look({})"),
    ("responses", {"type": "function_call_output", "call_id": 5, "output": "words"}, "tool words"),
    ("anthropic", {"role": "user", "content": [None, 5, {}, "words"]}, "user 5\n\nwords"),
    ("anthropic", {"role": "assistant", "content": [{"type": "tool_use", "id": 5, "name": "look", "input": {}}]}, "look({})"),
    ("anthropic", {"role": "tool", "content": "words"}, "user words"),
    ("anthropic", {"role": "assistant", "content": {"type": "text", "text": "words"}}, "assistant words"),
    ("anthropic", None, NOTHING),
    ("ollama", None, NOTHING),
    ("ollama", {"role": "user", "content": [{"type": "text", "text": "words"}]}, "user words"),
    ("ollama", {"role": "user", "content": [{"type": "image_url", "image_url": {"url": LONG_DATA}}]}, "characters of data]"),
    ("ollama", {"role": "assistant", "tool_calls": [{"id": "c"}]}, " ({})"),
    ("ollama", {"role": "assistant", "content": "words", "tool_calls": "none"}, 'words ({"arguments": "none"})'),
    ("ollama", {"role": "user", "content": "words", "images": [5, None]}, "user words"),
]  # fmt: skip


def _conversation(protocol: str, *messages: Any) -> dict[str, Any]:
    history = list(messages)
    return {"input": history} if protocol == "responses" else {"model": "x", "max_tokens": 9, "messages": history}


@pytest.mark.parametrize(("protocol", "message", "words"), BROKEN)
def test_what_happened_is_no_message_of_the_protocol(protocol: str, message: Any, words: str) -> None:
    asked, answer, more = (
        {"role": role, "content": text} for role, text in (("user", "Q"), ("assistant", "A"), ("user", "And?"))
    )
    transcript = said(request_for(protocol, _conversation(protocol, asked, message, answer, more)).messages)
    assert words in transcript
    assert (transcript.startswith("user Q"), transcript.endswith("assistant A\nuser And?")) == (True, True)
    assert len(transcript) < 300 or "look" in words


RESULTS: list[tuple[str, Any, Any, str]] = [
    ("anthropic", {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "look", "input": {}}]},
     {"role": "user", "content": [{"type": "tool_result", "tool_use_id": 1, "content": "words", "is_error": "false", "title": 7}]}, "tool words"),
    ("responses", {"type": "mcp_approval_request", "id": "m", "name": "look", "arguments": "{}"},
     {"type": "mcp_approval_response", "approval_request_id": "m", "approve": "yes"}, "tool"),
    ("chat", {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "look"}}]},
     {"role": "tool", "tool_call_id": 5, "content": [None, {"words": 1}]}, 'tool {"words": 1}'),
    ("ollama", {"role": "assistant", "tool_calls": [{"function": {"name": "look"}}]},
     {"role": "tool", "tool_name": 5, "content": {"words": 1}}, 'tool {"words": 1}'),
]  # fmt: skip


@pytest.mark.parametrize(("protocol", "call", "result", "words"), RESULTS)
def test_results_that_come_last_are_what_happened_whatever_they_are(
    protocol: str, call: Any, result: Any, words: str
) -> None:
    asked = {"role": "user", "content": 5}
    transcript = said(request_for(protocol, _conversation(protocol, asked, call, result)).messages)
    assert (transcript.startswith("user 5"), words in transcript) == (True, True)
    transcript = said(request_for(protocol, _conversation(protocol, asked, call)).messages)  # who calls has answered
    assert transcript.startswith("user 5")


@pytest.mark.parametrize("protocol", ["chat", "responses", "anthropic", "ollama"])
def test_what_is_new_and_no_message_is_refused_with_its_place(protocol: str) -> None:
    answer, wrong = {"role": "assistant", "content": "A"}, {"role": "user", "content": 5, "tool_calls": [{}]}
    for messages, place in (
        ([None, answer, wrong], r"\[2\].content`"),
        (["", None, answer, wrong], r"\[3\].content`"),
        ([None, wrong], r"\[0\]`"),
        ([wrong, answer], r"\[0\].content`"),  # which is gone on with
    ):
        with pytest.raises(ValueError, match=place):
            request_for(protocol, _conversation(protocol, *messages))
    content = "Look" if protocol == "ollama" else [{"type": "hologram"}]
    image = {"role": "user", "content": content, "images": ["http://example.org"]}
    with pytest.raises(BadParameter) as refused:
        request_for(protocol, _conversation(protocol, None, "", answer, image))
    assert refused.value.param.startswith(("messages[3]", "input[3]"))


def test_half_of_a_character_and_what_is_no_message_may_come_together() -> None:
    body = r'{"messages": [{"role": "user", "content": 5}, {"role": "assistant", "content": "a \ud83d"}, {"role": "user", "content": "b"}]}'
    assert [message.content for message in decoded(body.encode(), ChatBody).messages] == ["5", "a \ufffd", "b"]


def test_a_long_history_of_what_is_no_message_is_read_as_well() -> None:
    broken = {"role": "critic", "content": [{"type": n} for n in range(40)], "name": 5, "tool_calls": {}}
    messages = [*[dict(broken)] * 300, {"role": "assistant", "content": "A"}, {"role": "user", "content": "And?"}]
    history = request_for("chat", {"messages": messages}).messages
    assert [message.role for message in history[-2:]] == ["assistant", "user"]
    assert len(history) == 302


def test_the_work_of_mending_a_history_has_an_end() -> None:
    end = [{"role": "assistant", "content": "A"}, {"role": "user", "content": "And?"}]
    history = request_for("chat", {"messages": [*[1] * (2 * MOST), {"role": "user", "content": "Q"}, *end]}).messages
    assert [message.text for message in history[-3:]] == ["Q", "A", "And?"]
    assert len(history) == MOST + 3
