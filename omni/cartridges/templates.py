"""Chat templates of well-known families, for models whose file carries none but whose owner's program knows one.

Ollama keeps a Go template beside a model. It is not translated: its marks tell the family, and the family's own Jinja
template is used. The same helps a file whose own template cannot be read. An unknown family is said to be unknown, because
a wrong template makes a good brain stupid.
"""

import msgspec

from omni.cartridges.gguf import GgufHeader


class KnownTemplate(msgspec.Struct, frozen=True, kw_only=True):
    """One family: the name that llama.cpp gives to it, marks that a Go text of it holds, and its Jinja text."""

    name: str
    marks: tuple[str, ...]
    jinja: str


_LOOP = "{% for message in messages %}"
_END = "{% endfor %}"
_ASK = "{% if add_generation_prompt %}"
_NO_SYSTEM = (  # families without a system role put its text before the first question
    "{% set ns = namespace(system='') %}{% for message in messages %}{% if message['role'] == 'system' %}"
    "{% set ns.system = ns.system + message['content'] + '\\n\\n' %}{% endif %}{% endfor %}"
)

FAMILIES = (  # the first whose marks are all there; the more special ones come first
    KnownTemplate(
        name="phi4",
        marks=("<|im_start|>", "<|im_sep|>"),
        jinja=_LOOP
        + "{{ '<|im_start|>' + message['role'] + '<|im_sep|>' + message['content'] + '<|im_end|>' }}"
        + _END
        + _ASK
        + "{{ '<|im_start|>assistant<|im_sep|>' }}{% endif %}",
    ),
    KnownTemplate(
        name="chatml",
        marks=("<|im_start|>", "<|im_end|>"),
        jinja=_LOOP
        + "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
        + _END
        + _ASK
        + "{{ '<|im_start|>assistant\\n' }}{% endif %}",
    ),
    KnownTemplate(
        name="llama3",
        marks=("<|start_header_id|>", "<|end_header_id|>"),
        jinja="{{ bos_token }}"
        + _LOOP
        + "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content']|trim + '<|eot_id|>' }}"
        + _END
        + _ASK
        + "{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}",
    ),
    KnownTemplate(
        name="gemma",
        marks=("<start_of_turn>", "<end_of_turn>"),
        jinja="{{ bos_token }}"
        + _NO_SYSTEM
        + _LOOP
        + "{% if message['role'] != 'system' %}{% set role = 'model' if message['role'] == 'assistant' else 'user' %}"
        + "{{ '<start_of_turn>' + role + '\\n' + (ns.system if role == 'user' else '') + message['content']|trim + '<end_of_turn>\\n' }}"
        + "{% if role == 'user' %}{% set ns.system = '' %}{% endif %}{% endif %}"
        + _END
        + _ASK
        + "{{ '<start_of_turn>model\\n' }}{% endif %}",
    ),
    KnownTemplate(
        name="phi3",
        marks=("<|user|>", "<|end|>"),
        jinja=_LOOP
        + "{{ '<|' + message['role'] + '|>\\n' + message['content'] + '<|end|>\\n' }}"
        + _END
        + _ASK
        + "{{ '<|assistant|>\\n' }}{% endif %}",
    ),
    KnownTemplate(
        name="granite",
        marks=("<|start_of_role|>", "<|end_of_role|>"),
        jinja=_LOOP
        + "{{ '<|start_of_role|>' + message['role'] + '<|end_of_role|>' + message['content'] + '<|end_of_text|>\\n' }}"
        + _END
        + _ASK
        + "{{ '<|start_of_role|>assistant<|end_of_role|>' }}{% endif %}",
    ),
    KnownTemplate(
        name="zephyr",
        marks=("<|user|>", "</s>"),
        jinja=_LOOP
        + "{{ '<|' + message['role'] + '|>\\n' + message['content'] + eos_token + '\\n' }}"
        + _END
        + _ASK
        + "{{ '<|assistant|>\\n' }}{% endif %}",
    ),
    KnownTemplate(
        name="deepseek3",
        marks=("<｜User｜>", "<｜Assistant｜>"),
        jinja="{{ bos_token }}"
        + _LOOP
        + "{% if message['role'] == 'system' %}{{ message['content'] }}"
        + "{% elif message['role'] == 'user' %}{{ '<｜User｜>' + message['content'] }}"
        + "{% else %}{{ '<｜Assistant｜>' + message['content'] + '<｜end▁of▁sentence｜>' }}{% endif %}"
        + _END
        + _ASK
        + "{{ '<｜Assistant｜>' }}{% endif %}",
    ),
    KnownTemplate(
        name="llama2-sys",
        marks=("[INST]", "<<SYS>>"),
        jinja=_LOOP
        + "{% if message['role'] == 'system' %}{{ '[INST] <<SYS>>\\n' + message['content'] + '\\n<</SYS>>\\n\\n' }}"
        + "{% elif message['role'] == 'user' %}{% if loop.first or loop.previtem['role'] != 'system' %}{{ bos_token + '[INST] ' }}{% endif %}"
        + "{{ message['content'] + ' [/INST]' }}{% else %}{{ ' ' + message['content'] + ' ' + eos_token }}{% endif %}"
        + _END,
    ),
    KnownTemplate(
        name="mistral-v3",
        marks=("[INST]", "[/INST]"),
        jinja="{{ bos_token }}"
        + _NO_SYSTEM
        + _LOOP
        + "{% if message['role'] == 'user' %}{{ '[INST] ' + ns.system + message['content'] + '[/INST]' }}{% set ns.system = '' %}"
        + "{% elif message['role'] == 'assistant' %}{{ ' ' + message['content'] + eos_token }}{% endif %}"
        + _END,
    ),
    KnownTemplate(
        name="vicuna",
        marks=("USER:", "ASSISTANT:"),
        jinja=_LOOP
        + "{% if message['role'] == 'system' %}{{ message['content'] + '\\n\\n' }}"
        + "{% elif message['role'] == 'user' %}{{ 'USER: ' + message['content'] + '\\n' }}"
        + "{% else %}{{ 'ASSISTANT: ' + message['content'] + eos_token + '\\n' }}{% endif %}"
        + _END
        + _ASK
        + "{{ 'ASSISTANT:' }}{% endif %}",
    ),
)


def known_template(text: str) -> KnownTemplate | None:
    """The family that a template belongs to, whatever language it is in; None when it is not a known one."""
    for family in FAMILIES:
        if all(mark in text for mark in family.marks):
            return family
    return None


def spare_template(header: GgufHeader) -> str:
    """What to use instead of the template of a file, where that cannot be read and its family is known; else ""."""
    family = known_template(header.chat_template or "") if header.template_fault else None
    return family.jinja if family else ""
