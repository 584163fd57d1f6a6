"""Templates of strangers in Omni's own workers: what honest ones write, and what is refused while a template is only read."""

import json
from typing import Any

import pytest

pytest.importorskip("jinja2")  # it comes with the engines, and with tools for tests

from jinja2 import Environment
from jinja2.sandbox import ImmutableSandboxedEnvironment

from omni.engine.stepwise.bounded_template import BoundedEnvironment, rendered
from omni.engine.stepwise.prompts import CHATML, PromptRefused, TemplatePrompts
from tests.template_tools import FAMILIES


@pytest.mark.parametrize("name", ["center", "format", "batch", "slice", "wordwrap", "urlize"])
def test_a_filter_that_makes_as_much_as_it_is_told_is_not_there_even_while_a_template_is_read(name: str) -> None:
    with pytest.raises(PromptRefused, match=f"its chat template cannot be used: No filter named '{name}'"):
        TemplatePrompts(f"{{{{ 'a'|{name}(999999999) }}}}", {})


def test_nothing_is_computed_while_a_template_is_read() -> None:
    TemplatePrompts("{{ 1|round(999999999, 'floor') }}", {})  # which would be refused in the middle of it


@pytest.mark.parametrize("template", [*(family.template for family in FAMILIES.values()), CHATML])
def test_an_honest_template_writes_what_it_writes_without_bounds(template: str) -> None:
    def stop(words: str) -> None:
        raise ValueError(words)

    call = {"id": "123456789", "type": "function", "function": {"name": "look", "arguments": {"at": "é"}}}
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": " Be short. "},
        {"role": "user", "content": "Where?"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "here", "name": "look", "tool_call_id": "123456789"},
        {"role": "assistant", "content": "Here."},
        {"role": "user", "content": "And now?"},
    ]
    known = {
        "messages": messages,
        "tools": None,
        "add_generation_prompt": True,
        "bos_token": "<s>",
        "eos_token": "</s>",
    }
    free = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
    texts = []
    for made in (free, BoundedEnvironment()):
        made.filters["tojson"] = json.dumps
        made.globals["raise_exception"] = stop
        texts.append(outcome(made, template, known))
    assert texts[0] == texts[1]


def outcome(made: Environment, template: str, known: dict[str, Any]) -> str:
    """What a template writes, or the words with which it refuses."""
    try:
        read = made.from_string(template)
        return rendered(read, known) if isinstance(made, BoundedEnvironment) else read.render(known)
    except ValueError as error:
        return f"refused: {error}"
