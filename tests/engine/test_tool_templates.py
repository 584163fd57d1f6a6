"""Calls by a brain whose template tells it of tools: the template is used, and what must be called is called all the same."""

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from omni.core.events import EngineEvent, PromptCounted, ToolCallDelta
from omni.core.messages import Message, ToolCallPart, ToolResultPart
from omni.engine import Tool
from tests.engine.engine_tools import asked, end_of, events_of, real_spec, text_of

pytestmark = pytest.mark.real

# In the form of ChatML's families: tools as JSON in the system text, calls and results between tags.
TEMPLATE = r"""{%- if tools %}<|im_start|>system
# Tools
You may call one or more of these functions:
<tools>
{%- for tool in tools %}
{{ tool | tojson }}
{%- endfor %}
</tools>
For each call return a JSON object between tags:
<tool_call>
{{ '{"name": <function-name>, "arguments": <args-json-object>}' }}
</tool_call><|im_end|>
{% endif %}
{%- for message in messages %}
{%- if message.role == "assistant" and message.tool_calls %}<|im_start|>assistant
{%- for call in message.tool_calls %}{{ "\n" }}<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
</tool_call>
{%- endfor %}<|im_end|>
{% elif message.role == "tool" %}<|im_start|>user
<tool_response>
{{ message.content }}
</tool_response><|im_end|>
{% else %}<|im_start|>{{ message.role }}
{{ message.content }}<|im_end|>
{% endif %}
{%- endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""
BROKEN = TEMPLATE.replace(
    """{{ '{"name": <function-name>, "arguments": <args-json-object>}' }}""",
    r"""{{ "{{\"name\": <function-name>, \"arguments\": <args-json-object>}}" }}""",
)
WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "unit": {"enum": ["c", "f"]}},
    "required": ["city", "unit"],
    "additionalProperties": False,
}
TOOLS = (Tool(name="get_weather", description="The weather of a city", parameters=WEATHER), Tool(name="get_time"))


def called(events: list[EngineEvent]) -> list[tuple[str, Any]]:
    deltas = [event for event in events if isinstance(event, ToolCallDelta)]
    names = [event.name for event in deltas if event.name]
    return [
        (name, json.loads("".join(one.arguments for one in deltas if one.index == at))) for at, name in enumerate(names)
    ]


def counted(events: list[EngineEvent]) -> int:
    (tokens,) = [event.tokens for event in events if isinstance(event, PromptCounted)]
    return tokens


async def test_what_must_be_called_is_called_whatever_the_template_knows(
    worker_engine: Any, starter_gguf: Path
) -> None:
    async with worker_engine(real_spec(starter_gguf, chat_template=TEMPLATE)) as engine:
        assert (await engine.capabilities()).tools
        for choice in ("required", "get_weather"):
            request = asked("What is the weather in Oslo?", max_tokens=80, tools=TOOLS[:1], tool_choice=choice)
            events = await events_of(engine, request)
            ((name, arguments),) = called(events)
            assert name == "get_weather"
            jsonschema_rs.validate(WEATHER, arguments)
            assert end_of(events).reason == "tool_calls"
            assert text_of(events) == ""
            assert counted(events) == end_of(events).usage.prompt_tokens
            # the same prompt as for one who may call: the template told of the tools
            assert counted(events) == await engine.count_tokens(request.messages, request.tools)


async def test_calls_and_results_are_written_as_the_template_has_them(worker_engine: Any, starter_gguf: Path) -> None:
    call = ToolCallPart(id="call_1", name="get_weather", arguments='{"city": "Oslo", "unit": "c"}')
    before = asked("What is the weather in Oslo?", max_tokens=4).messages
    after = (
        *before,
        Message.of("assistant", call),
        Message.of("tool", ToolResultPart.of("Rain.", call_id="call_1")),
    )
    written = (
        *before,
        Message.of(
            "assistant",
            '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Oslo", "unit": "c"}}\n</tool_call>',
        ),
        Message.of("user", "<tool_response>\nRain.\n</tool_response>"),
    )
    async with worker_engine(real_spec(starter_gguf, chat_template=TEMPLATE)) as engine:
        assert await engine.count_tokens(after, TOOLS) == await engine.count_tokens(written, TOOLS)


async def test_a_template_that_teaches_broken_calls_is_not_asked(worker_engine: Any, starter_gguf: Path) -> None:
    async with worker_engine(real_spec(starter_gguf, chat_template=BROKEN)) as engine:
        assert not (await engine.capabilities()).tools
        request = asked("What is the weather in Oslo?", max_tokens=80, tools=TOOLS[:1], tool_choice="required")
        events = await events_of(engine, request)
        jsonschema_rs.validate(WEATHER, called(events)[0][1])
        assert counted(events) == end_of(events).usage.prompt_tokens
