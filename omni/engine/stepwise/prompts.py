"""What a chat becomes before a model reads it: its template is executed in a sandbox, since a stranger wrote it."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)  # what llama.cpp takes where a file has none

_WIDEST = 16  # spaces that JSON is indented by


class PromptRefused(Exception):
    """The template does not write this conversation, or there is something in it that is no text."""


class TemplatePrompts:
    """Writes prompts by a template in Jinja. `marks` are texts that it may know. Raises PromptRefused for one that cannot be
    read."""

    def __init__(self, template: str, marks: Mapping[str, str]) -> None:
        from omni.engine.stepwise.bounded_template import BoundedEnvironment, rendered

        made = BoundedEnvironment()
        made.filters["tojson"] = _to_json
        made.globals |= {"raise_exception": _raise, "strftime_now": _now}
        self.text, self._marks, self._rendered = template or CHATML, dict(marks), rendered
        try:
            self._template = made.from_string(self.text)
        except Exception as error:  # whatever a stranger wrote there
            raise PromptRefused(f"its chat template cannot be used: {str(error) or type(error).__name__}") from error

    def written(self, body: Mapping[str, Any]) -> str:
        """The prompt of a request. An answer that was begun stands at its end. Raises PromptRefused."""
        messages = [_plain(message) for message in body["messages"]]
        begun = ""
        if messages and messages[-1]["role"] == "assistant":
            begun = str(messages.pop()["content"])
        known = dict(body.get("chat_template_kwargs") or {})
        try:
            prompt = self._rendered(
                self._template,
                {**self._marks, **known, "messages": messages, "tools": None, "add_generation_prompt": True},
            )
        except PromptRefused:
            raise
        except Exception as error:  # whatever a stranger's template does
            raise PromptRefused(f"Jinja Exception: {str(error) or type(error).__name__}") from error
        return prompt + begun


def _plain(message: Mapping[str, Any]) -> dict[str, Any]:
    content = message.get("content") or ""
    if isinstance(content, list):
        if any(part["type"] != "text" for part in content):
            raise PromptRefused("image input is not supported by this engine")
        content = "".join(part["text"] for part in content)
    return {**message, "content": content}


def _to_json(value: Any, indent: int | None = None, **_more: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent if indent is None else min(indent, _WIDEST))


def _raise(words: str) -> None:
    raise PromptRefused(f"Jinja Exception: {words}")


def _now(form: str) -> str:
    return datetime.now().astimezone().strftime(form)
