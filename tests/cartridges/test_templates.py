"""Templates for models whose file has none: the family is told by the marks, and the text is right."""

import pytest

from omni.cartridges.templates import FAMILIES, known_template

GO = {
    "chatml": "{{ if .System }}<|im_start|>system\n{{ .System }}<|im_end|>\n{{ end }}<|im_start|>user\n{{ .Prompt }}<|im_end|>",
    "llama3": "<|start_header_id|>user<|end_header_id|>\n\n{{ .Content }}<|eot_id|>",
    "gemma": "<start_of_turn>user\n{{ if .System }}{{ .System }} {{ end }}{{ .Prompt }}<end_of_turn>",
    "phi3": "{{ if .System }}<|system|>\n{{ .System }}<|end|>\n{{ end }}<|user|>\n{{ .Prompt }}<|end|>",
    "phi4": "<|im_start|>{{ .Role }}<|im_sep|>\n{{ .Content }}<|im_end|>",
    "granite": "<|start_of_role|>user<|end_of_role|>{{ .Prompt }}<|end_of_text|>",
    "zephyr": "<|system|>\n{{ .System }}</s>\n<|user|>\n{{ .Prompt }}</s>",
    "deepseek3": "<｜User｜>{{ .Content }}<｜Assistant｜>",
    "llama2-sys": "[INST] <<SYS>>{{ .System }}<</SYS>>\n\n{{ .Prompt }} [/INST]",
    "mistral-v3": "[INST] {{ .Prompt }}[/INST]",
    "vicuna": "{{ .System }}\nUSER: {{ .Prompt }}\nASSISTANT: ",
}

CHAT = [
    {"role": "system", "content": "S"},
    {"role": "user", "content": "Q"},
    {"role": "assistant", "content": "A"},
    {"role": "user", "content": "R"},
]

WHOLE = {
    "chatml": "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nQ<|im_end|>\n<|im_start|>assistant\nA<|im_end|>\n"
    "<|im_start|>user\nR<|im_end|>\n<|im_start|>assistant\n",
    "llama3": "<s><|start_header_id|>system<|end_header_id|>\n\nS<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nQ<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\nA<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nR<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n",
    "gemma": "<s><start_of_turn>user\nS\n\nQ<end_of_turn>\n<start_of_turn>model\nA<end_of_turn>\n"
    "<start_of_turn>user\nR<end_of_turn>\n<start_of_turn>model\n",
    "mistral-v3": "<s>[INST] S\n\nQ[/INST] A</s>[INST] R[/INST]",
    "llama2-sys": "[INST] <<SYS>>\nS\n<</SYS>>\n\nQ [/INST] A </s><s>[INST] R [/INST]",
    "vicuna": "S\n\nUSER: Q\nASSISTANT: A</s>\nUSER: R\nASSISTANT:",
}


@pytest.mark.parametrize("name", GO)
def test_the_marks_tell_the_family(name: str) -> None:
    template = known_template(GO[name])
    assert template is not None
    assert template.name == name


def test_every_family_is_tried() -> None:
    assert {family.name for family in FAMILIES} == set(GO)


def test_an_unknown_template_is_unknown() -> None:
    assert known_template("### Question: {{ .Prompt }}") is None
    assert known_template("{{ .Prompt }}") is None


@pytest.mark.parametrize("name", WHOLE)
def test_a_conversation_looks_as_the_family_learned_it(name: str) -> None:
    jinja2 = pytest.importorskip("jinja2")
    family = known_template(GO[name])
    assert family is not None
    text = jinja2.Template(family.jinja).render(
        messages=CHAT, add_generation_prompt=True, bos_token="<s>", eos_token="</s>"
    )
    assert text == WHOLE[name]


@pytest.mark.parametrize("name", GO)
def test_no_system_text_is_no_trace_of_one(name: str) -> None:
    jinja2 = pytest.importorskip("jinja2")
    family = known_template(GO[name])
    assert family is not None
    text = jinja2.Template(family.jinja).render(
        messages=CHAT[1:2], add_generation_prompt=True, bos_token="", eos_token=""
    )
    assert "Q" in text
    assert "system" not in text.lower()
