"""What happened, told by the clients of other providers: every type that their libraries know is taken, in words if need be;
and what is new and cannot be done is refused with its place."""

import json
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, get_args, get_origin

import pydantic
import pytest
import typing_extensions
from anthropic.types import beta
from anthropic.types.beta.beta_tool_result_block_param import Content as AnthropicResult
from openai.types import chat, responses
from openai.types.responses.response_function_call_output_item_param import ResponseFunctionCallOutputItemParam
from openai.types.responses.response_input_item_param import ResponseInputItemParam
from openai.types.responses.response_output_message_param import Content as OutputContent

from omni.engine import ScriptedEngine
from omni.server.errors import BadParameter
from tests.history_tools import IMAGE, NO_TEXT, TEXT_FILE, request_for, said
from tests.server.server_tools import brain

URL = f"data:image/png;base64,{IMAGE}"
SEEN, HEARD = "[An image was here, which you cannot see.]", "[Sound was here, which you cannot hear.]"
NOTHING = ""  # is left out: brains are not shown it


def types_of(union: Any) -> set[str]:
    """The values of `type` in a union of a library's types."""
    if get_origin(union) is Annotated:
        return types_of(get_args(union)[0])
    names = {"ClassVar": ClassVar, "ConfigDict": pydantic.ConfigDict}
    if isinstance(union, type) and issubclass(union, pydantic.BaseModel):
        return set(_literals(union.model_fields["type"].annotation))
    if typing_extensions.is_typeddict(union):
        return set(_literals(typing_extensions.get_type_hints(union, localns=names).get("type")))
    return {name for part in get_args(union) for name in types_of(part)}


def _literals(hint: Any) -> Iterator[str]:
    if get_origin(hint) is typing_extensions.Literal:
        yield from get_args(hint)
    for part in get_args(hint):
        yield from _literals(part) if not isinstance(part, str) else ()


# -- OpenAI's responses

ITEMS: dict[str, tuple[dict[str, Any], str]] = {
    "message": ({"role": "assistant", "id": "msg_1", "phase": "final_answer", "content": "before"}, "assistant before"),
    "reasoning": (
        {"id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "x"},
        NOTHING,
    ),
    "function_call": (
        {"call_id": "c", "name": "look", "arguments": '{"of": "x"}', "namespace": "crm", "status": "completed"},
        'crm__look({"of": "x"})',
    ),
    "function_call_output": ({"call_id": "c", "output": [{"type": "input_text", "text": "found"}]}, "tool found"),
    "custom_tool_call": ({"call_id": "c", "name": "patch", "input": "*** Begin"}, 'patch({"input": "*** Begin"})'),
    "custom_tool_call_output": ({"call_id": "c", "output": "done"}, "tool done"),
    "file_search_call": (
        {
            "id": "fs",
            "status": "completed",
            "queries": ["q"],
            "results": [{"text": "found", "filename": "a.md", "score": 0.5}],
        },
        'file_search({"queries": ["q"]})\ntool {"text": "found", "filename": "a.md", "score": 0.5}',
    ),
    "computer_call": (
        {
            "id": "cu",
            "call_id": "c",
            "pending_safety_checks": [],
            "status": "completed",
            "action": {"type": "click", "x": 1},
        },
        'computer({"type": "click", "x": 1})',
    ),
    "computer_call_output": (
        {"call_id": "c", "output": {"type": "computer_screenshot", "image_url": URL}},
        f"tool {SEEN}",
    ),
    "web_search_call": (
        {"id": "ws", "status": "completed", "action": {"type": "search", "query": "q"}},
        'web_search({"type": "search", "query": "q"})\ntool [completed]',
    ),
    "tool_search_call": ({"id": "t", "call_id": "c", "arguments": {"query": "q"}}, 'tool_search({"query": "q"})'),
    "tool_search_output": ({"call_id": "c", "tools": [{"type": "function", "name": "look"}]}, "tool look"),
    "additional_tools": ({"role": "developer", "tools": [{"type": "function", "name": "look"}]}, NOTHING),
    "configuration_update": ({"reasoning": {"effort": "low"}}, NOTHING),
    "compaction": ({"id": "cmp", "encrypted_content": "x"}, "summed up by another program"),
    "compaction_trigger": ({"id": "x"}, NOTHING),
    "image_generation_call": (
        {"id": "ig", "status": "completed", "result": IMAGE, "revised_prompt": "a cat"},
        f'image_generation({{"prompt": "a cat"}})\ntool {SEEN}',
    ),
    "code_interpreter_call": (
        {
            "id": "ci",
            "container_id": "x",
            "code": "1+1",
            "status": "completed",
            "outputs": [{"type": "logs", "logs": "2"}],
        },
        'code_interpreter({"code": "1+1"})\ntool 2',
    ),
    "local_shell_call": (
        {
            "id": "ls",
            "call_id": "c",
            "status": "completed",
            "action": {"type": "exec", "command": ["ls"], "user": None},
        },
        'local_shell({"type": "exec", "command": ["ls"]})',
    ),
    "local_shell_call_output": ({"id": "c", "output": "a b"}, "tool a b"),
    "shell_call": ({"call_id": "c", "action": {"commands": ["ls"]}}, 'shell({"commands": ["ls"]})'),
    "shell_call_output": (
        {"call_id": "c", "output": [{"stdout": "a", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}]},
        'tool {"stdout": "a", "stderr": "", "outcome": {"exit_code": 0}}',
    ),
    "apply_patch_call": (
        {"call_id": "c", "status": "completed", "operation": {"type": "delete_file", "path": "a"}},
        'apply_patch({"type": "delete_file", "path": "a"})',
    ),
    "apply_patch_call_output": (
        {"call_id": "c", "status": "failed", "output": "no such file"},
        "tool Failed.\nno such file",
    ),
    "mcp_list_tools": ({"id": "ml", "server_label": "s", "tools": []}, NOTHING),
    "mcp_approval_request": (
        {"id": "ap", "server_label": "s", "name": "look", "arguments": '{"of": "x"}'},
        'look({"of": "x"})',
    ),
    "mcp_approval_response": ({"approval_request_id": "ap", "approve": False, "reason": "No."}, "tool Denied. No."),
    "mcp_call": (
        {"id": "mc", "server_label": "s", "name": "look", "arguments": "{}", "output": "found", "error": None},
        "look({})\ntool found",
    ),
    "item_reference": ({"id": "rs_9"}, NOTHING),  # others are looked up: see below
    "program": ({"id": "p", "call_id": "c", "code": "1+1", "fingerprint": "x"}, 'program({"code": "1+1"})'),
    "program_output": ({"id": "p", "call_id": "c", "result": "2", "status": "completed"}, "tool 2"),
}
PARTS: dict[str, tuple[dict[str, Any], str]] = {
    "input_text": ({"text": "before"}, "before"),
    "output_text": ({"text": "before", "annotations": [{"type": "url_citation", "url": "x"}]}, "before"),
    "refusal": ({"refusal": "I will not."}, "I will not."),
    "input_image": ({"image_url": URL}, SEEN),
    "input_file": ({"filename": "a.pdf", "file_data": NO_TEXT}, "[The file a.pdf was here, which you cannot open.]"),
}


def test_all_types_of_items_and_parts_are_known() -> None:
    assert types_of(ResponseInputItemParam) == set(ITEMS)
    known = types_of(responses.ResponseInputContentParam) | types_of(OutputContent)
    assert known | types_of(ResponseFunctionCallOutputItemParam) == set(PARTS)


@pytest.mark.parametrize("kind", ITEMS)
def test_what_happened_is_an_item_of_any_type(kind: str) -> None:
    item, words = ITEMS[kind]
    items = [{"role": "user", "content": "Q"}, {"type": kind, **item}, {"role": "assistant", "content": "A"}]
    request = request_for("responses", {"input": [*items, {"role": "user", "content": "And?"}]})
    assert words in said(request.messages)
    assert (len(request.messages) == 3) == (words == NOTHING)
    ends = {"message", "compaction_trigger"}  # the one is gone on with, the other new
    if kind not in ends:
        request_for("responses", {"input": items[:2]})


@pytest.mark.parametrize("kind", PARTS)
def test_what_happened_is_a_part_of_any_type(kind: str) -> None:
    part, words = PARTS[kind]
    items = [{"role": "user", "content": [{"type": kind, **part}]}, {"role": "assistant", "content": "A"}]
    assert words in said(request_for("responses", {"input": [*items, {"role": "user", "content": "And?"}]}).messages)
    result = {"type": "function_call_output", "call_id": "c", "output": [{"type": kind, **part}]}
    assert words in said(request_for("responses", {"input": [result]}).messages)


# -- OpenAI's chat

CHAT_PARTS: dict[str, tuple[dict[str, Any], str]] = {
    "text": ({"text": "before"}, "before"),
    "image_url": ({"image_url": {"url": URL}}, SEEN),
    "input_audio": ({"input_audio": {"data": "AA==", "format": "wav"}}, HEARD),
    "file": ({"file": {"file_id": "file_1"}}, "[The file was here, which you cannot open.]"),
    "refusal": ({"refusal": "I will not."}, "I will not."),
}
CALLS: dict[str, tuple[dict[str, Any], str]] = {
    "function": ({"function": {"name": "look", "arguments": '{"of": "x"}'}}, 'look({"of": "x"})'),
    "custom": ({"custom": {"name": "patch", "input": "***"}}, 'patch({"input": "***"})'),
}


def test_all_types_of_parts_and_calls_of_a_chat_are_known() -> None:
    assert types_of(chat.ChatCompletionContentPartParam) == set(CHAT_PARTS) - {"refusal"}
    assistant = typing_extensions.get_type_hints(chat.ChatCompletionAssistantMessageParam)["content"]
    assert types_of(assistant) == {"text", "refusal"}
    assert types_of(chat.ChatCompletionMessageToolCallUnionParam) == set(CALLS)
    roles = {
        role
        for message in get_args(chat.ChatCompletionMessageParam)
        for role in _literals(typing_extensions.get_type_hints(message)["role"])
    }
    assert roles == {"developer", "system", "user", "assistant", "tool", "function"}


@pytest.mark.parametrize("kind", CHAT_PARTS)
@pytest.mark.parametrize("role", ["user", "assistant", "tool", "system"])
def test_what_happened_is_a_part_of_a_chat(kind: str, role: str) -> None:
    part, words = CHAT_PARTS[kind]
    messages = [{"role": role, "content": [{"type": kind, **part}]}, {"role": "assistant", "content": "A"}]
    request = request_for("chat", {"messages": [*messages, {"role": "user", "content": "And?", "name": "zoe"}]})
    transcript = said(request.messages)
    assert f"{role} {words}" in transcript
    assert "zoe" not in transcript


@pytest.mark.parametrize("kind", CALLS)
def test_what_happened_is_a_call_of_a_chat(kind: str) -> None:
    call, words = CALLS[kind]
    messages: list[Any] = [{"role": "assistant", "content": None, "tool_calls": [{"id": "c", "type": kind, **call}]}]
    assert words in said(request_for("chat", {"messages": messages}).messages)


def test_a_spoken_answer_was_here() -> None:
    messages = [{"role": "assistant", "audio": {"id": "audio_1"}, "content": None}, {"role": "user", "content": "Hi"}]
    assert HEARD in said(request_for("chat", {"messages": messages}).messages)


# -- Anthropic's messages

_TEXT = {"type": "text", "text": "found"}
_IMAGE = {"type": "base64", "media_type": "image/png", "data": IMAGE}
_FOUND = [
    {
        "type": "web_search_result",
        "title": "T",
        "url": "https://example.org",
        "encrypted_content": "x",
        "page_age": None,
    }
]
_RAN = {"type": "code_execution_result", "stdout": "2", "stderr": "", "return_code": 0, "content": []}
_FETCHED = {
    "type": "web_fetch_result",
    "url": "https://example.org",
    "content": {
        "type": "document",
        "title": "T",
        "source": {"type": "text", "media_type": "text/plain", "data": "found"},
    },
}
BLOCKS: dict[str, tuple[dict[str, Any], str]] = {
    "text": ({"text": "before", "citations": [{"type": "char_location", "cited_text": "x"}]}, "before"),
    "image": ({"source": _IMAGE}, SEEN),
    "document": (
        {"source": {"type": "text", "media_type": "text/plain", "data": "found"}, "title": "T", "context": "Old."},
        '<document title="T">\nOld.\n\nfound\n</document>',
    ),
    "search_result": (
        {"source": "https://example.org", "title": "T", "content": [_TEXT]},
        '<search_result title="T" source="https://example.org">\nfound\n</search_result>',
    ),
    "thinking": ({"thinking": "hm", "signature": "x"}, NOTHING),
    "redacted_thinking": ({"data": "x"}, NOTHING),
    "tool_use": ({"id": "t", "name": "look", "input": {"of": "x"}}, 'look({"of": "x"})'),
    "tool_result": ({"tool_use_id": "t", "content": [_TEXT], "is_error": True}, "tool Error: found"),
    "server_tool_use": ({"id": "t", "name": "web_search", "input": {"query": "q"}}, 'web_search({"query": "q"})'),
    "web_search_tool_result": (
        {"tool_use_id": "t", "content": _FOUND},
        'tool {"title": "T", "url": "https://example.org"}',
    ),
    "web_fetch_tool_result": (
        {"tool_use_id": "t", "content": _FETCHED},
        'tool <document title="T">\nfound\n</document>',
    ),
    "advisor_tool_result": (
        {"tool_use_id": "t", "content": {"type": "advisor_result", "text": "Do."}},
        'tool {"text": "Do."}',
    ),
    "code_execution_tool_result": (
        {"tool_use_id": "t", "content": _RAN},
        'tool {"stdout": "2", "stderr": "", "return_code": 0, "content": []}',
    ),
    "bash_code_execution_tool_result": (
        {"tool_use_id": "t", "content": {"type": "bash_code_execution_tool_result_error", "error_code": "unavailable"}},
        'tool {"error_code": "unavailable"}',
    ),
    "text_editor_code_execution_tool_result": (
        {"tool_use_id": "t", "content": {"type": "text_editor_code_execution_view_result", "content": "found"}},
        'tool {"content": "found"}',
    ),
    "tool_search_tool_result": (
        {"tool_use_id": "t", "content": {"tool_references": [{"type": "tool_reference", "tool_name": "look"}]}},
        'tool {"tool_references": [{"tool_name": "look"}]}',
    ),
    "mcp_tool_use": ({"id": "t", "name": "look", "server_name": "s", "input": {}}, "look({})"),
    "mcp_tool_result": ({"tool_use_id": "t", "content": [_TEXT], "is_error": False}, "tool found"),
    "container_upload": ({"file_id": "file_1"}, "[The file file_1 was here, which you cannot open.]"),
    "compaction": ({"content": "They talked."}, "What was said before, summed up:\n\nThey talked."),
    "tool_addition": ({"tool": {"type": "tool_reference", "name": "look"}}, NOTHING),
    "tool_removal": ({"tool": {"type": "tool_reference", "name": "look"}}, NOTHING),
    "mcp_tool_listing": ({"mcp_server_name": "s", "tools": []}, NOTHING),
    "fallback": ({"from": "a", "to": "b"}, NOTHING),
}
RESULT_BLOCKS: dict[str, tuple[dict[str, Any], str]] = {
    **{kind: BLOCKS[kind] for kind in ("text", "image", "document", "search_result")},
    "tool_reference": ({"tool_name": "look"}, '{"tool_name": "look"}'),
    "browser_state": (
        {"tabs": [{"id": 1, "title": "T", "url": "https://example.org"}]},
        '"url": "https://example.org"',
    ),
}


def test_all_types_of_blocks_are_known() -> None:
    assert types_of(beta.BetaContentBlockParam) == set(BLOCKS)
    assert types_of(AnthropicResult) == set(RESULT_BLOCKS)


@pytest.mark.parametrize("kind", BLOCKS)
@pytest.mark.parametrize("role", ["user", "assistant"])
def test_what_happened_is_a_block_of_any_type(kind: str, role: str) -> None:
    block, words = BLOCKS[kind]
    messages: list[Any] = [
        {"role": "user", "content": "Q"},
        {"role": role, "content": [{"type": kind, **block}]},
        {"role": "assistant", "content": "A"},
        {"role": "user", "content": "And?"},
    ]
    transcript = said(request_for("anthropic", {"model": "x", "max_tokens": 9, "messages": messages}).messages)
    if role == "user" and kind.endswith("tool_use"):
        return  # who never calls
    assert words in transcript
    if kind.endswith(("tool_use", "tool_result")):
        request_for("anthropic", {"model": "x", "max_tokens": 9, "messages": messages[:2]})


@pytest.mark.parametrize("kind", RESULT_BLOCKS)
def test_a_result_has_blocks_of_any_type(kind: str) -> None:
    block, words = RESULT_BLOCKS[kind]
    result = {"type": "tool_result", "tool_use_id": "t", "content": [{"type": kind, **block}]}
    messages = [{"role": "user", "content": [result]}]
    history = request_for("anthropic", {"model": "x", "max_tokens": 9, "messages": messages}).messages
    assert words in said(history)


def test_what_a_server_did_between_an_assistants_words_is_told_between_them() -> None:
    content = [
        {"type": "text", "text": "I search."},
        {"type": "server_tool_use", "id": "t", "name": "web_search", "input": {"query": "q"}},
        {"type": "web_search_tool_result", "tool_use_id": "t", "content": _FOUND},
        {"type": "text", "text": "It is "},
        {"type": "text", "text": "there."},
    ]
    messages = [
        {"role": "user", "content": "Q"},
        {"role": "assistant", "content": content},
        {"role": "user", "content": "?"},
    ]
    history = request_for("anthropic", {"model": "x", "max_tokens": 9, "messages": messages}).messages
    assert [(message.role, message.text) for message in history[1:4]] == [
        ("assistant", "I search."),
        ("tool", '{"title": "T", "url": "https://example.org"}'),
        ("assistant", "It is there."),
    ]
    assert (history[1].calls[0].id, history[2].result and history[2].result.call_id) == ("t", "t")


# -- what is new

NEW: list[tuple[str, dict[str, Any], str, str]] = [
    ("chat", {"type": "image_url", "image_url": {"url": URL}}, "messages[2].content[1]", "cannot see"),
    ("chat", {"type": "input_audio", "input_audio": {"data": "AA=="}}, "messages[2].content[1]", "cannot hear"),
    ("chat", {"type": "file", "file": {"filename": "a.pdf", "file_data": NO_TEXT}}, "messages[2].content[1]", "a.pdf"),
    ("chat", {"type": "file", "file": {"file_id": "f"}}, "messages[2].content[1]", "no files are kept"),
    ("chat", {"type": "video_url"}, "messages[2].content[1].type", "video_url"),
    ("chat", {"type": "text"}, "messages[2].content[1].text", "text"),
    ("responses", {"type": "input_image", "image_url": URL}, "input[2].content[1]", "cannot see"),
    ("responses", {"type": "input_image", "file_id": "f"}, "input[2].content[1]", "No files are kept"),
    ("responses", {"type": "input_audio"}, "input[2].content[1]", "cannot hear"),
    ("responses", {"type": "input_file", "filename": "a.pdf", "file_data": NO_TEXT}, "input[2].content[1]", "a.pdf"),
    ("responses", {"type": "input_file", "file_url": "https://example.org/a.txt"}, "input[2].content[1]", "https://example.org/a.txt"),
    ("responses", {"type": "hologram"}, "input[2].content[1].type", "hologram"),
    ("anthropic", {"type": "image", "source": _IMAGE}, "messages[2].content[1].source", "cannot see"),
    ("anthropic", {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": NO_TEXT}},
     "messages[2].content[1]", "application/pdf"),
    ("anthropic", {"type": "document", "source": {"type": "url", "url": "https://example.org/a.pdf"}}, "messages[2].content[1]", "example.org"),
    ("anthropic", {"type": "container_upload", "file_id": "f"}, "messages[2].content[1]", "file f"),
    ("anthropic", {"type": "hologram"}, "messages[2].content[1].type", "hologram"),
]  # fmt: skip


@pytest.mark.parametrize(("protocol", "part", "param", "words"), NEW)
def test_what_is_new_and_cannot_be_done_is_refused_with_its_place(
    protocol: str, part: dict[str, Any], param: str, words: str
) -> None:
    text = {"type": "input_text" if protocol == "responses" else "text", "text": "This:"}
    messages = [
        {"role": "user", "content": "Q"},
        {"role": "assistant", "content": "A"},
        {"role": "user", "content": [text, part]},
    ]

    def body(messages: list[Any]) -> dict[str, Any]:
        return {"input": messages} if protocol == "responses" else {"model": "x", "max_tokens": 9, "messages": messages}

    with pytest.raises(BadParameter) as refused:
        request_for(protocol, body(messages))
    assert refused.value.param == param
    assert words in refused.value.message
    begun = [*messages, {"role": "assistant", "content": "It is"}]  # gone on with: still not answered
    with pytest.raises(BadParameter):
        request_for(protocol, body(begun))
    request_for(protocol, body([*begun, {"role": "user", "content": "And?"}]))


@pytest.mark.parametrize("protocol", ["chat", "responses", "anthropic"])
def test_an_old_part_that_nobody_knows_is_its_type_and_what_it_holds(protocol: str) -> None:
    part = {"type": "hologram", "text": "a ship", "file_id": None}
    messages = [
        {"role": "user", "content": [part]},
        {"role": "assistant", "content": "A"},
        {"role": "user", "content": "?"},
    ]
    body = {"input": messages} if protocol == "responses" else {"model": "x", "max_tokens": 9, "messages": messages}
    assert request_for(protocol, body).messages[0].text == '{"type": "hologram", "text": "a ship"}'


def test_old_data_is_told_by_its_length() -> None:
    item = {"type": "hologram_call", "id": "h", "result": "QUJD" * 1000}
    messages = request_for("responses", {"input": [item, {"role": "user", "content": "?"}]}).messages
    assert [message.text for message in messages] == ["", "[4,000 characters of data]", "?"]
    assert messages[0].calls[0].name == "hologram"


def test_ollamas_images_are_seen_by_a_brain_that_sees_only() -> None:
    old: list[Any] = [{"role": "user", "content": "This?", "images": [IMAGE]}, {"role": "assistant", "content": "A"}]
    with pytest.raises(BadParameter, match="cannot see"):
        request_for("ollama", {"model": "x", "messages": old[:1]})
    messages = request_for("ollama", {"model": "x", "messages": [*old, {"role": "developer", "content": "S"}]}).messages
    assert [(message.role, message.text) for message in messages] == [
        ("user", f"{SEEN}\nThis?"),
        ("assistant", "A"),
        ("system", "S"),
    ]


@pytest.mark.parametrize(
    ("protocol", "part"),
    [
        ("chat", {"type": "file", "file": {"filename": "a.txt", "file_data": f"data:text/plain;base64,{TEXT_FILE}"}}),
        ("responses", {"type": "input_file", "filename": "a.txt", "file_data": TEXT_FILE}),
        ("anthropic", {"type": "document", "title": "a.txt", "source": {"type": "text", "data": "filed words"}}),
        ("anthropic", {"type": "document", "title": "a.txt", "source": {"type": "content", "content": "filed words"}}),
        (
            "anthropic",
            {
                "type": "document",
                "title": "a.txt",
                "source": {"type": "content", "content": [{"type": "text", "text": "filed words"}]},
            },
        ),
    ],
)
def test_a_document_that_is_text_is_read(protocol: str, part: dict[str, Any]) -> None:
    messages = [{"role": "user", "content": [part]}]
    body = {"input": messages} if protocol == "responses" else {"model": "x", "max_tokens": 9, "messages": messages}
    (message,) = request_for(protocol, body).messages
    assert message.text == '<document title="a.txt">\nfiled words\n</document>'


# -- calls that are none


@pytest.mark.parametrize("protocol", ["chat", "responses", "anthropic", "ollama"])
@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ('{"of": "Os', {"arguments": '{"of": "Os'}),
        ("[1]", {"arguments": [1]}),
        ([1], {"arguments": [1]}),
        ("null", {}),
        (None, {}),
        (7, {"arguments": 7}),
        ("", {}),
    ],
)
def test_a_malformed_call_refuses_nothing(protocol: str, sent: Any, kept: dict[str, Any]) -> None:
    call: dict[str, Any] = {"id": "c", "type": "function", "function": {"name": "look", "arguments": sent}}
    bodies: dict[str, dict[str, Any]] = {
        "chat": {"messages": [{"role": "assistant", "tool_calls": [call]}]},
        "responses": {"input": [{"type": "function_call", "call_id": "c", "name": "look", "arguments": sent}]},
        "anthropic": {
            "model": "x",
            "max_tokens": 9,
            "messages": [
                {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "look", "input": sent}]}
            ],
        },
        "ollama": {"model": "x", "messages": [{"role": "assistant", "tool_calls": [call]}]},
    }
    (message,) = request_for(protocol, bodies[protocol]).messages
    assert json.loads(message.calls[0].arguments) == kept


@pytest.mark.parametrize("protocol", ["chat", "responses", "anthropic", "ollama"])
def test_a_call_without_a_name_refuses_nothing(protocol: str) -> None:
    bodies: dict[str, dict[str, Any]] = {
        "chat": {"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": None}}]}]},
        "responses": {"input": [{"type": "function_call"}, {"type": "function_call_output", "output": "x"}]},
        "anthropic": {
            "model": "x",
            "max_tokens": 9,
            "messages": [{"role": "assistant", "content": [{"type": "tool_use"}]}],
        },
        "ollama": {"model": "x", "messages": [{"role": "assistant", "tool_calls": [{"function": {}}]}]},
    }
    assert request_for(protocol, bodies[protocol]).messages[0].calls[0].arguments == "{}"


# -- tools of others

OFFERED: dict[str, list[Any]] = {
    "chat": [{"type": "custom", "custom": {"name": "patch"}}, {"type": "web_search"}],
    "responses": [{"type": "web_search"}, {"type": "custom", "name": "patch"}, {"type": "mcp", "server_label": "x"}],
    "anthropic": [
        {"type": "web_search_20250305", "name": "web_search"},
        {"type": "mcp_toolset", "mcp_server_name": "x"},
    ],
}


@pytest.mark.parametrize("protocol", OFFERED)
def test_tools_that_only_a_cloud_has_are_left_out_and_cannot_be_forced(protocol: str) -> None:
    messages = [{"role": "user", "content": "Q"}]
    body: dict[str, Any] = {"model": "x", "max_tokens": 9, "messages": messages, "tools": OFFERED[protocol]}
    if protocol == "responses":
        body["input"] = messages
    assert request_for(protocol, body).tools == ()
    forced: dict[str, list[Any]] = {
        "chat": ["required", {"type": "custom", "custom": {"name": "patch"}}],
        "responses": ["required", {"type": "web_search"}, {"type": "custom", "name": "patch"}],
        "anthropic": [{"type": "any"}, {"type": "tool", "name": "web_search"}],
    }
    for choice in forced[protocol]:
        with pytest.raises(BadParameter) as refused:
            request_for(protocol, {**body, "tool_choice": choice})
        assert refused.value.param.startswith("tool_choice")
    hosted: dict[str, list[Any]] = {
        "chat": [{"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": OFFERED["chat"][:1]}}],
        "responses": [{"type": "allowed_tools", "mode": "auto", "tools": OFFERED["responses"][:1]}],
        "anthropic": [],
    }
    for choice in hosted[protocol]:
        assert request_for(protocol, {**body, "tool_choice": choice}).tools == ()


async def test_tools_of_a_namespace_are_called_by_both_names(serving: Any) -> None:
    engine = ScriptedEngine(['{"name": "crm__look", "arguments": {}}', "Done."])
    space = {
        "type": "namespace",
        "name": "crm",
        "description": "Customers",
        "tools": [{"type": "function", "name": "look"}, {"type": "custom", "name": "raw"}],
    }
    async with serving(engine) as bench:
        bench.services.library.known = [brain("@omni/test")]
        answer = await bench.client.post("/v1/responses", json={"input": "Q", "tools": [space]})
        (call,) = answer.json()["output"]
        (kept,) = answer.json()["tools"]
        assert (kept["type"], kept["name"], [tool["name"] for tool in kept["tools"]]) == ("namespace", "crm", ["look"])
        assert (call["name"], call["namespace"]) == ("look", "crm")
        assert [tool.name for tool in engine.requests[0].tools] == ["crm__look"]
        result = {"type": "function_call_output", "call_id": call["call_id"], "output": "found"}
        again = {"input": [{"role": "user", "content": "Q"}, call, result], "tools": [space]}
        assert (await bench.client.post("/v1/responses", json=again)).status_code == 200
        assert engine.requests[1].messages[1].calls[0].name == "crm__look"


# -- references to what is kept


async def test_a_reference_stands_for_an_item_that_is_kept(serving: Any) -> None:
    engine = ScriptedEngine(["First.", "Second.", "Third."])
    async with serving(engine) as bench:
        first = (await bench.client.post("/v1/responses", json={"input": "Q"})).json()
        known = {"type": "item_reference", "id": first["output"][0]["id"]}
        items = [{"role": "user", "content": "Q"}, {"id": known["id"]}, {"role": "user", "content": "And?"}]
        second = (await bench.client.post("/v1/responses", json={"input": items})).json()
        assert [(message.role, message.text) for message in engine.requests[1].messages] == [
            ("user", "Q"),
            ("assistant", "First."),
            ("user", "And?"),
        ]
        await bench.client.delete(f"/v1/responses/{first['id']}")
        third = await bench.client.post("/v1/responses", json={"input": "?", "previous_response_id": second["id"]})
        assert third.status_code == 200  # what was referred to is kept with what refers to it
        assert engine.requests[2].messages[1].text == "First."
        lost = await bench.client.post("/v1/responses", json={"input": [*items[:1], known]})
        assert (lost.status_code, lost.json()["error"]["param"]) == (400, "input[1].id")


# -- shapes that several programs write, though not each protocol's papers name them


@pytest.mark.parametrize("protocol", ["chat", "responses", "anthropic"])
def test_a_list_of_texts_is_a_list_of_parts_that_are_text(protocol: str) -> None:
    messages: list[Any] = [{"role": "user", "content": ["one", {"type": "text", "text": "two"}, "three"]}]
    body = {"input": messages} if protocol == "responses" else {"model": "x", "max_tokens": 9, "messages": messages}
    (message,) = request_for(protocol, body).messages
    assert message.text.split() == ["one", "two", "three"]
    messages += [{"role": "assistant", "content": ["four"]}, {"role": "user", "content": ["five"]}]
    assert [turn.text for turn in request_for(protocol, body).messages[1:]] == ["four", "five"]


def test_system_blocks_may_be_a_list_of_texts() -> None:
    body = {"model": "x", "max_tokens": 9, "system": ["S", "T"], "messages": [{"role": "user", "content": "Q"}]}
    assert request_for("anthropic", body).messages[0].text == "S\n\nT"


async def test_a_kept_list_of_texts_is_listed_as_parts(serving: Any) -> None:
    async with serving(ScriptedEngine(["A", "B"])) as bench:
        asked = {"input": [{"role": "user", "content": ["one", "two"]}]}
        first = (await bench.client.post("/v1/responses", json=asked)).json()
        (item,) = (await bench.client.get(f"/v1/responses/{first['id']}/input_items")).json()["data"]
        assert item["content"] == [{"type": "input_text", "text": text} for text in ("one", "two")]
        again = await bench.client.post("/v1/responses", json={"input": "?", "previous_response_id": first["id"]})
        assert again.status_code == 200


@pytest.mark.parametrize("kind", ["input_text", "output_text"])
def test_a_chat_reads_the_texts_of_responses(kind: str) -> None:
    body = {"messages": [{"role": "user", "content": [{"type": kind, "text": "one"}]}]}
    assert [message.text for message in request_for("chat", body).messages] == ["one"]


@pytest.mark.parametrize("protocol", ["chat", "responses", "anthropic"])
@pytest.mark.parametrize("kind", ["thinking", "redacted_thinking", "reasoning"])
def test_what_was_thought_between_the_words_of_an_answer_tells_a_brain_nothing(protocol: str, kind: str) -> None:
    thought = {"type": kind, "thinking": "hm", "signature": "x", "data": "x", "text": None}
    messages: list[Any] = [
        {"role": "user", "content": "Q"},
        {"role": "assistant", "content": [thought, {"type": "text", "text": "A"}]},
        {"role": "user", "content": "And?"},
    ]
    body = {"input": messages} if protocol == "responses" else {"model": "x", "max_tokens": 9, "messages": messages}
    assert [message.text for message in request_for(protocol, body).messages] == ["Q", "A", "And?"]


@pytest.mark.parametrize("protocol", ["chat", "responses", "anthropic", "ollama"])
def test_a_developer_in_the_middle_is_a_system(protocol: str) -> None:
    roles = ("user", "assistant", "developer", "user")
    messages: list[Any] = [{"role": role, "content": role} for role in roles]
    body = {"input": messages} if protocol == "responses" else {"model": "x", "max_tokens": 9, "messages": messages}
    history = request_for(protocol, body).messages
    assert [(message.role, message.text) for message in history] == [
        ("system" if role == "developer" else role, role) for role in roles
    ]


def test_an_assistant_that_said_nothing_may_leave_it_out() -> None:
    empty: dict[str, Any]
    for empty in ({"role": "assistant"}, {"role": "assistant", "content": None}, {"role": "assistant", "content": []}):
        messages: list[Any] = [{"role": "user", "content": "Q"}, empty, {"role": "user", "content": "And?"}]
        body = {"model": "x", "max_tokens": 9, "messages": messages}
        assert [message.text for message in request_for("anthropic", body).messages] == ["Q", "", "And?"]
    with pytest.raises(BadParameter) as refused:
        request_for("anthropic", {**body, "messages": [*messages[:2], {"role": "user"}]})
    assert refused.value.param == "messages[2].content"


def test_what_other_programs_leave_in_a_chat_refuses_nothing() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "get", "arguments": "{}"}}
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": ["Get it.", None]},
        {"role": "assistant", "tool_calls": [None, call]},
        {"role": "tool", "tool_call_id": "1", "content": {"size": 3}},
        {"role": "user", "content": "And?"},
    ]
    history = request_for("chat", {"messages": messages}).messages
    assert [message.text for message in history] == ["Get it.", "", '{"size": 3}', "And?"]
    assert [called.name for called in history[1].calls] == ["get"]
    messages[-1]["content"] = {"text": "And?"}
    with pytest.raises(BadParameter, match=r"`messages\[3\]\.content` must be a text or a list of parts"):
        request_for("chat", {"messages": messages})
