"""A Jinja template that a stranger wrote, held to a time and to sizes: it is computed in the thread of whoever asks, beside those
of all other chats."""

import sys
import time
from collections.abc import Mapping
from types import FrameType
from typing import Any

from jinja2 import Template
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

SECONDS = 10.0  # for one prompt, of which real templates take some thousandths
_COMPILED = "<template>"  # the file name that Jinja gives what it makes of a template
LONGEST = 64 << 20  # characters of a prompt: more than any request may have
_MOST = 1 << 20  # items or characters that a multiplication makes, and bits of the number that comes of one


class TemplateUnbounded(Exception):
    """A template that takes too long, or makes something too large."""


class BoundedEnvironment(ImmutableSandboxedEnvironment):
    """A sandbox in which one operation cannot take for ever. Nothing is computed while a template is only read: `optimized` is off."""

    intercepted_binops = frozenset(("*", "**", "%"))

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.loopcontrols"],
            autoescape=False,
            optimized=False,
        )

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """As the parent; raises TemplateUnbounded for what would be too large."""
        if operator == "**":
            raise TemplateUnbounded("it raises numbers to powers")
        if operator == "*" and _too_large(left, right):
            raise TemplateUnbounded("it multiplies to more than a prompt has room for")
        if operator == "%" and isinstance(left, str):
            raise TemplateUnbounded("it formats texts with %")
        return super().call_binop(context, operator, left, right)


def rendered(template: Template, known: Mapping[str, Any]) -> str:
    """The text of a template with what it may know. Raises TemplateUnbounded, and what the template brings about."""
    until, parts, length = time.monotonic() + SECONDS, list[str](), 0

    def watch(frame: FrameType, _event: str, _argument: Any) -> Any:
        if (
            frame.f_code.co_filename != _COMPILED
        ):  # what it calls comes to an end, and may be where nothing can be raised
            return None
        if time.monotonic() > until:
            raise TemplateUnbounded(f"it takes more than {SECONDS:g} seconds")
        return watch

    before = sys.gettrace()
    sys.settrace(watch)  # of this thread only: called for each line of what the template became
    try:
        for part in template.generate(**known):
            length += len(part)
            if length > LONGEST:
                raise TemplateUnbounded(f"it writes more than {LONGEST >> 20} million characters")
            parts.append(part)
    finally:
        sys.settrace(before)
    return "".join(parts)


def _too_large(left: Any, right: Any) -> bool:
    for one, times in ((left, right), (right, left)):
        if isinstance(one, (str, bytes, list, tuple)) and isinstance(times, int):
            return len(one) * times > _MOST
    return isinstance(left, int) and isinstance(right, int) and left.bit_length() + right.bit_length() > _MOST
