"""Chat templates with the conditions of public families, in our own words: what each refuses, leaves out, moves or wants."""

from msgspec import Struct

from omni.engine.histories import Traits

_CALL = '<call>{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}</call>'
_TOOLS = "{% if tools %}<tools>{% for tool in tools %}{{ tool | tojson }}{% endfor %}</tools>\n{% endif %}"
_ASKS = "{% if add_generation_prompt %}<assistant>{% endif %}"

# Turns that alternate: calls and their results count for nothing.
_ALTERNATES = """{%- set turns = namespace(at=0) %}{%- for message in talk %}
{%- if message.role == "user" or (message.role == "assistant" and not message.tool_calls) %}
{%- if (message.role == "user") != (turns.at % 2 == 0) %}{{- raise_exception("Turns must alternate.") }}{%- endif %}
{%- set turns.at = turns.at + 1 %}{%- endif %}{%- endfor %}"""
# As some validators have it: results only behind as many calls.
_EQUAL = """{%- set open = namespace(calls=0) %}{%- for message in messages %}
{%- if message.role == "tool" %}{%- set open.calls = open.calls - 1 %}
{%- if open.calls < 0 %}{{- raise_exception("A result needs a call.") }}{%- endif %}
{%- elif open.calls > 0 %}{{- raise_exception("As many results as calls.") }}
{%- elif message.tool_calls %}{%- set open.calls = message.tool_calls | length %}{%- endif %}{%- endfor %}
{%- if open.calls > 0 %}{{- raise_exception("As many results as calls.") }}{%- endif %}"""
_FIRST = """{%- if messages and messages[0].role == "system" %}{%- set first = messages[0].content %}
{%- set talk = messages[1:] %}{%- else %}{%- set first = "" %}{%- set talk = messages %}{%- endif %}"""
_NINE = """{%- if call.id is not defined or call.id | length != 9 %}{{- raise_exception("Ids have nine letters.") }}{%- endif %}"""


class Family(Struct, frozen=True, kw_only=True):
    """A template, what it takes, and what it writes into the last of a user's turns only, and moves along: from there on the prompt is
    another one, whatever is done about the history."""

    template: str
    takes: Traits
    moving: str = ""


def _all(*, assistant: str, tool: str = "<tool>{{ message.content }}</tool>\n", before: str = "") -> str:
    """Every message in its place, under its role."""
    return f"""{before}{_TOOLS}{{%- for message in messages %}}
{{%- if message.role == "assistant" %}}{assistant}{{%- elif message.role == "tool" %}}{tool}
{{%- else %}}<{{{{ message.role }}}}>{{{{ message.content }}}}</{{{{ message.role }}}}>\n{{%- endif %}}{{%- endfor %}}{_ASKS}"""


def _led(*, assistant: str, tool: str, other: str = "", before: str = "", user: str = "") -> str:
    """The system text first, then those messages that are known; `other` says what becomes of any other role."""
    user = user or "<user>{{ message.content }}</user>\n"
    return f"""{_FIRST}{before}{{%- if first %}}<system>{{{{ first }}}}</system>\n{{%- endif %}}{_TOOLS}{{%- for message in talk %}}
{{%- if message.role == "user" %}}{user}{{%- elif message.role == "assistant" %}}{assistant}
{{%- elif message.role == "tool" %}}{tool}{{%- else %}}{other}{{%- endif %}}{{%- endfor %}}{_ASKS}"""


_BESIDE = (
    "<assistant>{{ message.content }}{% for call in message.tool_calls or [] %}" + _CALL + "{% endfor %}</assistant>\n"
)
_EITHER = (
    "<assistant>{% if message.tool_calls %}{% for call in message.tool_calls %}"
    + _CALL
    + "{% endfor %}{% else %}{{ message.content }}{% endif %}</assistant>\n"
)
_RESULT = "<tool>{{ message.content }}</tool>\n"
_REFUSED = '{{- raise_exception("Only user, assistant and tool roles are supported.") }}'
_NEEDS_CALL = """{%- if not asked.call %}{{- raise_exception("No call before this result.") }}{%- endif %}"""

FAMILIES: dict[str, Family] = {
    # Qwen 2.5, Hermes and their kin: everything stays where it is.
    "takes everything": Family(
        takes=Traits(empty=True, later=True, users=True, first=True, calls="beside", several="together", after=True),
        template=_all(assistant=_BESIDE),
    ),
    # Qwen 3.5: one system text, at the beginning; somebody must have asked something.
    "system first, somebody asks": Family(
        takes=Traits(empty=True, users=True, calls="beside", several="together", after=True),
        template=_all(
            assistant=_BESIDE,
            before="""{%- if not messages %}{{- raise_exception("No messages provided.") }}{%- endif %}
{%- set seen = namespace(user=false) %}{%- for message in messages %}
{%- if message.role == "system" and not loop.first %}{{- raise_exception("System message must be at the beginning.") }}{%- endif %}
{%- if message.role == "user" %}{%- set seen.user = true %}{%- endif %}{%- endfor %}
{%- if not seen.user %}{{- raise_exception("No user query found in messages.") }}{%- endif %}""",
        ),
    ),
    # Mistral Small: strict turns, ids of nine letters, no text beside a call, tools in the last turn of a user.
    "strict, nine letters": Family(
        takes=Traits(empty=True, calls="alone", several="together", short_ids=True),
        template=_FIRST
        + _ALTERNATES
        + """{%- if first %}<system>{{ first }}</system>\n{%- endif %}
{%- set users = talk | selectattr("role", "equalto", "user") | list %}{%- for message in talk %}
{%- if message.role == "user" %}{%- if tools and message == users[-1] %}<tools>{{ tools | tojson }}</tools>{%- endif %}
<user>{{ message.content }}</user>\n{%- elif message.tool_calls %}{%- for call in message.tool_calls %}"""
        + _NINE
        + "<call>{{ call.id }} {{ call.function | tojson }}</call>{%- endfor %}\n"
        + """{%- elif message.role == "assistant" %}{{ message.content }}<end>\n
{%- elif message.role == "tool" %}{%- if message.tool_call_id | length != 9 %}{{- raise_exception("Ids have nine letters.") }}
{%- endif %}<tool>{{ message.tool_call_id }} {{ message.content }}</tool>\n{%- else %}"""
        + _REFUSED
        + "{%- endif %}{%- endfor %}",
        moving="<tools>",
    ),
    # Mistral Nemo: the same, and the system text moves along to the user's last turn, if that is the last of all.
    "strict, system moves": Family(
        takes=Traits(empty=True, system=False, calls="alone", several="together", short_ids=True),
        template=_FIRST
        + _ALTERNATES
        + """{%- set users = talk | selectattr("role", "equalto", "user") | list %}{%- for message in talk %}
{%- if message.role == "user" %}{%- if tools and message == users[-1] %}<tools>{{ tools | tojson }}</tools>{%- endif %}
<user>{%- if loop.last and first %}{{ first }}\n\n{%- endif %}{{ message.content }}</user>
{%- elif message.tool_calls %}{%- for call in message.tool_calls %}"""
        + _NINE
        + "<call>{{ call.id }} {{ call.function | tojson }}</call>{%- endfor %}"
        + """{%- elif message.role == "assistant" %}{{ message.content }}<end>
{%- elif message.role == "tool" %}<tool>{{ message.tool_call_id }} {{ message.content }}</tool>{%- else %}"""
        + _REFUSED
        + "{%- endif %}{%- endfor %}",
        moving="<tools>",
    ),
    # Ministral: strict turns, and text beside calls.
    "strict, text beside calls": Family(
        takes=Traits(empty=True, calls="beside", several="together"),
        template=_led(before=_ALTERNATES, assistant=_BESIDE, tool=_RESULT, other=_REFUSED),
    ),
    # Gemma 2: a user and a model, in turn.
    "user and model only": Family(
        takes=Traits(empty=True),
        template="""{%- if messages[0].role == "system" %}{{- raise_exception("System role not supported") }}{%- endif %}
{%- for message in messages %}{%- if (message.role == "user") != (loop.index0 % 2 == 0) %}
{{- raise_exception("Conversation roles must alternate.") }}{%- endif %}
<{{ "model" if message.role == "assistant" else message.role }}>{{ message.content }}\n{%- endfor %}
{%- if add_generation_prompt %}<model>{%- endif %}""",
    ),
    # Phi: whoever is known is written; a tool is not known.
    "tools are not known": Family(
        takes=Traits(empty=True, later=True, users=True, first=True),
        template="""{%- for message in messages %}{%- if message.role in ("system", "user", "assistant") %}
<|{{ message.role }}|>{{ message.content }}<|end|>{%- endif %}{%- endfor %}
{%- if add_generation_prompt %}<|assistant|>{%- endif %}""",
    ),
    # Llama 3: one call at a time, no text beside it, tools in the first message, which is taken for a user's.
    "one call, tools in the first turn": Family(
        takes=Traits(empty=True, later=True, users=True, calls="before", several="split", after=True),
        template=_FIRST
        + """<system>{{ first }}</system>{%- if tools %}{%- if talk | length == 0 %}
{{- raise_exception("No first user message to put the tools into.") }}{%- endif %}
<user>{{ tools | tojson }}{{ talk[0].content }}</user>{%- set talk = talk[1:] %}{%- endif %}
{%- for message in talk %}{%- if message.tool_calls %}{%- if message.tool_calls | length != 1 %}
{{- raise_exception("Only single tool-calls at once.") }}{%- endif %}{%- set call = message.tool_calls[0].function %}
<assistant>{"name": "{{ call.name }}", "parameters": {{ call.arguments | tojson }}}</assistant>
{%- elif message.role == "tool" %}<tool>{{ message.content | tojson }}</tool>
{%- else %}<{{ message.role }}>{{ message.content }}</{{ message.role }}>{%- endif %}{%- endfor %}"""
        + _ASKS,
    ),
    # MiniMax and others: what no role is known for is left out; a result needs a call right before.
    "later system texts are left out": Family(
        takes=Traits(empty=True, users=True, first=True, calls="beside", several="together", after=True),
        template=_led(
            before="{%- set asked = namespace(call=false) %}",
            assistant="{%- set asked.call = true if message.tool_calls else false %}" + _BESIDE,
            tool=_NEEDS_CALL + _RESULT,
        ),
    ),
    # DeepSeek: all system texts are one, at the beginning.
    "system texts are collected": Family(
        takes=Traits(empty=True, users=True, first=True, calls="beside", several="together", after=True),
        template="""{%- set all = namespace(text="") %}{%- for message in messages %}{%- if message.role == "system" %}
{%- set all.text = all.text + message.content + "\n\n" %}{%- endif %}{%- endfor %}<system>{{ all.text }}</system>"""
        + _TOOLS
        + "{%- for message in messages %}{%- if message.role == 'user' %}<user>{{ message.content }}</user>"
        + "{%- elif message.role == 'assistant' %}"
        + _BESIDE
        + "{%- elif message.role == 'tool' %}"
        + _RESULT
        + "{%- endif %}{%- endfor %}"
        + _ASKS,
    ),
    # DeepSeek R1: of several system texts the last one counts.
    "the last system text counts": Family(
        takes=Traits(empty=True, users=True, first=True),
        template="""{%- set last = namespace(text="") %}{%- for message in messages %}{%- if message.role == "system" %}
{%- set last.text = message.content %}{%- endif %}{%- endfor %}<system>{{ last.text }}</system>{%- for message in messages %}
{%- if message.role == "user" %}<user>{{ message.content }}</user>
{%- elif message.role == "assistant" %}<assistant>{{ message.content.split("</think>")[-1] }}</assistant>{%- endif %}{%- endfor %}"""
        + _ASKS,
    ),
    # Granite 3, LFM: tools are told of, calls are the brain's own text and not written again.
    "calls are not written": Family(
        takes=Traits(empty=True, later=True, users=True, first=True),
        template=_all(assistant="<assistant>{{ message.content }}</assistant>\n"),
    ),
    # Qwen 3 Coder: arguments are an object, whose items are written one by one.
    "arguments one by one": Family(
        takes=Traits(empty=True, later=True, users=True, first=True, calls="beside", several="together", after=True),
        template=_all(
            assistant="""<assistant>{{ message.content }}{%- for call in message.tool_calls or [] %}
<invoke {{ call.function.name }}>{%- for name, value in call.function.arguments | items %}
<{{ name }}>{{ value if value is string else value | tojson }}</{{ name }}>{%- endfor %}</invoke>{%- endfor %}</assistant>\n"""
        ),
    ),
    # GigaChat: of several calls the first.
    "the first call only": Family(
        takes=Traits(empty=True, later=True, users=True, first=True, calls="beside", several="split", after=True),
        template=_all(
            assistant="""<assistant>{{ message.content }}{%- if message.tool_calls %}
<call>{{ message.tool_calls[0].function | tojson }}</call>{%- endif %}</assistant>\n"""
        ),
    ),
    # Command R, Solar, muse: either text or calls.
    "text or calls": Family(
        takes=Traits(empty=True, later=True, users=True, first=True, calls="before", several="together", after=True),
        template=_all(assistant=_EITHER),
    ),
    # gpt-oss: text beside calls is what was thought, and left out once there is an answer; one call; results need one.
    "text beside calls is a thought": Family(
        takes=Traits(empty=True, users=True, first=True, calls="before", several="split", after=True),
        template=_led(
            before="{%- set asked = namespace(call=false) %}",
            assistant="""{%- set later = namespace(answer=false) %}{%- for other in talk[loop.index0:] %}
{%- if other.role == "assistant" and not other.tool_calls %}{%- set later.answer = true %}{%- endif %}{%- endfor %}
{%- if message.tool_calls %}{%- set asked.call = true %}{%- if message.content and not later.answer %}
<thought>{{ message.content }}</thought>{%- endif %}<call>{{ message.tool_calls[0].function | tojson }}</call>
{%- else %}{%- set asked.call = false %}<assistant>{{ message.content }}</assistant>{%- endif %}""",
            tool=_NEEDS_CALL + _RESULT,
        ),
    ),
    # Gemma 4: the results of calls are in the turn of the calls, and its text comes behind them.
    "results before the text": Family(
        takes=Traits(empty=True, later=True, users=True, first=True, calls="before", several="together", after=True),
        template=_FIRST
        + "{%- if first %}<system>{{ first }}</system>{%- endif %}"
        + _TOOLS
        + """{%- for message in talk %}{%- if message.role == "assistant" %}<assistant>{%- for call in message.tool_calls or [] %}"""
        + _CALL
        + """{%- endfor %}{%- if message.tool_calls %}{%- set more = namespace(on=true) %}{%- for other in talk[loop.index0 + 1:] %}
{%- if other.role != "tool" %}{%- set more.on = false %}{%- elif more.on %}<result>{{ other.content }}</result>{%- endif %}
{%- endfor %}{%- endif %}{{ message.content }}</assistant>
{%- elif message.role != "tool" %}<{{ message.role }}>{{ message.content }}</{{ message.role }}>{%- endif %}{%- endfor %}"""
        + _ASKS,
    ),
    # Apertus: content of lists of parts; results only within the assistant's turn, as many as calls.
    "parts, as many results as calls": Family(
        takes=Traits(empty=True, users=True, first=True, calls="beside", several="together", after=True),
        template=_EQUAL
        + _FIRST
        + "{%- if first %}<system>{{ first }}</system>{%- endif %}"
        + _TOOLS
        + """{%- for message in talk %}{%- if message.role == "system" %}"""
        + _REFUSED
        + "{%- endif %}<{{ message.role }}>"
        + """{%- if message.content is string %}{{ message.content }}{%- else %}{%- for part in message.content %}{{ part.text }}
{%- endfor %}{%- endif %}{%- for call in message.tool_calls or [] %}"""
        + _CALL
        + "{%- endfor %}</{{ message.role }}>{%- endfor %}"
        + _ASKS,
    ),
}
