"""A Jinja template that a stranger wrote, held to a time and to sizes: it is computed in the thread of whoever asks, beside those
of all other chats.

Filters, methods and operators are those that real templates use, each held to what a prompt may need. One step in native code
cannot be interrupted, so that nothing may be made large in one.

Not held: lists or dictionaries that have each other in them twice, dozens deep. To compare or write one is a single native step.
Only a process of its own, which can be ended, would hold that.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from types import FrameType
from typing import Any

from jinja2 import Template, nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

SECONDS = 10.0  # for one prompt, of which real templates take some thousandths
_COMPILED = "<template>"  # the file name that Jinja gives what it makes of a template
LONGEST = 64 << 20  # characters of a prompt: more than any request may have
_MOST = 1 << 20  # items or characters that a multiplication makes, and bits of the number that comes of one
_WIDEST = 64  # the largest number that a filter is told (spaces, digits), and letters that are taken away at an end

_FILTERS = frozenset(
    [
        "abs",
        "attr",
        "capitalize",
        "count",
        "d",
        "default",
        "dictsort",
        "e",
        "escape",
        "first",
        "float",
        "groupby",
        "indent",
        "int",
        "items",
        "join",
        "last",
        "length",
        "list",
        "lower",
        "map",
        "max",
        "min",
        "reject",
        "rejectattr",
        "replace",
        "reverse",
        "round",
        "safe",
        "select",
        "selectattr",
        "sort",
        "string",
        "sum",
        "title",
        "tojson",
        "trim",
        "unique",
        "upper",
        "wordcount",
    ]
)
_WIDENING = frozenset(("center", "expandtabs", "format", "format_map", "ljust", "rjust", "translate", "zfill"))
_NUMBERED = frozenset(("indent", "round"))
_TRIMMING = frozenset(("trim", "strip", "lstrip", "rstrip"))


class TemplateUnbounded(Exception):
    """A template that takes too long, or makes something too large."""


class _Code(CodeGenerator):
    """Computes nothing while a template is only read, and has what `~` makes looked at."""

    def _output_child_to_const(self, node: nodes.Expr, frame: Frame, finalize: Any) -> str:
        if not isinstance(node, nodes.TemplateData):
            raise nodes.Impossible
        return super()._output_child_to_const(node, frame, finalize)

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:  # noqa: N802 - the parent's name
        self.write("environment.held(")
        super().visit_Concat(node, frame)
        self.write(")")


class BoundedEnvironment(ImmutableSandboxedEnvironment):
    """A sandbox in which one operation cannot take for ever, nor make what no prompt has room for."""

    code_generator_class = _Code
    intercepted_binops = frozenset(("+", "*", "**", "%"))

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.loopcontrols"],
            autoescape=False,
            optimized=False,
        )
        self.clock = threading.local()  # `until`: when this thread's prompt must be written
        self.filters = {name: self._bounded(name, self.filters[name]) for name in sorted(_FILTERS)}
        self.tests = {name: self._bounded(name, test) for name, test in self.tests.items()}
        self.concat = self._concat  # type: ignore[method-assign]  # which is "".join
        del self.globals["lipsum"]

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """As the parent; raises TemplateUnbounded for what would be too large."""
        if operator == "**":
            raise TemplateUnbounded("it raises numbers to powers")
        if operator == "*" and _too_large(left, right):
            raise TemplateUnbounded("it multiplies to more than a prompt has room for")
        if operator == "%" and isinstance(left, str):
            raise TemplateUnbounded("it formats texts with %")
        if operator == "+":
            for kind, most in ((str, LONGEST), ((list, tuple), _MOST)):
                if isinstance(left, kind) and isinstance(right, kind) and len(left) + len(right) > most:
                    raise TemplateUnbounded("it adds up to more than a prompt has room for")
        return super().call_binop(context, operator, left, right)

    def call(__self, __context: Context, __obj: Any, *args: Any, **named: Any) -> Any:  # noqa: N805 - as the parent
        """As the parent, for methods that widen a text, too. Raises TemplateUnbounded."""
        __self.tick()
        owner, name = getattr(__obj, "__self__", None), getattr(__obj, "__name__", "")
        if isinstance(owner, str):
            if name == "replace":
                _fits_replaced(owner, *args[:2])
            elif name in _TRIMMING:
                _fits_trimmed(*args)
            elif name == "join":
                args = (_fits_joined(owner, args[0]), *args[1:])
        return super().call(__context, __obj, *args, **named)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """As the parent; no method that makes a text as wide as a number says."""
        return not (isinstance(obj, str) and attr in _WIDENING) and super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """Nothing, where the parent gives what `format` may be in a sandbox: it makes texts as wide as it is told."""
        if super().wrap_str_format(value) is not None:
            raise TemplateUnbounded("it formats texts")
        return None

    def held(self, text: Any) -> Any:
        """A text, if a prompt has room for it. Raises TemplateUnbounded."""
        if len(text) > LONGEST:
            raise TemplateUnbounded(f"it writes more than {LONGEST >> 20} million characters")
        return text

    def tick(self) -> None:
        """Raises TemplateUnbounded once the time is over."""
        if time.monotonic() > getattr(self.clock, "until", float("inf")):
            raise TemplateUnbounded(f"it takes more than {SECONDS:g} seconds")

    def _concat(self, parts: Iterable[str]) -> str:
        texts, length = list[str](), 0
        for part in parts:
            length += len(part)
            if length > LONGEST:
                raise TemplateUnbounded(f"it writes more than {LONGEST >> 20} million characters")
            texts.append(part)
        return "".join(texts)

    def _bounded(self, name: str, made: Any) -> Callable[..., Any]:
        """A filter or a test, of which each call looks at the clock: `map` and `select` call them without a line of the template."""

        @wraps(made)
        def bounded(*args: Any, **named: Any) -> Any:
            self.tick()
            values = args[1:] if hasattr(made, "jinja_pass_arg") else args
            if name in _NUMBERED and any(
                isinstance(one, int) and one > _WIDEST for one in (*values[1:], *named.values())
            ):
                raise TemplateUnbounded(f"its filter {name} is told a number beyond {_WIDEST}")
            if name == "replace":
                told = {**dict(zip(("old", "new"), values[1:], strict=False)), **named}
                _fits_replaced(str(values[0]), told.get("old", ""), told.get("new", ""))
            if name in _TRIMMING:
                _fits_trimmed(*values[1:], *named.values())
            if name == "sum" and not all(
                one is None or isinstance(one, (str, int, float)) for one in (*values[1:], *named.values())
            ):
                raise TemplateUnbounded("it sums up what are no numbers")
            if name == "join":
                separator = str(values[1] if len(values) > 1 else named.get("d", ""))
                joined = _fits_joined(separator, values[0])
                args = (*args[: len(args) - len(values)], joined, *values[1:])
            return made(*args, **named)

        return bounded


def rendered(template: Template, known: Mapping[str, Any]) -> str:
    """The text of a template with what it may know. Raises TemplateUnbounded, and what the template brings about."""
    made = template.environment
    assert isinstance(made, BoundedEnvironment)
    made.clock.until = time.monotonic() + SECONDS

    def watch(frame: FrameType, _event: str, _argument: Any) -> Any:
        if frame.f_code.co_filename != _COMPILED:  # what it calls may be where nothing can be raised
            return None
        made.tick()
        return watch

    before = sys.gettrace()
    sys.settrace(watch)  # of this thread only: called for each line of what the template became
    try:
        return made._concat(template.generate(**known))
    finally:
        sys.settrace(before)
        del made.clock.until


def _too_large(left: Any, right: Any) -> bool:
    for one, times in ((left, right), (right, left)):
        if isinstance(one, (str, bytes, list, tuple)) and isinstance(times, int):
            return len(one) * times > _MOST
    return isinstance(left, int) and isinstance(right, int) and left.bit_length() + right.bit_length() > _MOST


def _fits_replaced(text: str, old: Any = "", new: Any = "") -> None:
    """Raises TemplateUnbounded for a text that would be too long with `new` wherever it has `old`."""
    if len(text) + text.count(str(old)) * len(str(new)) > LONGEST:
        raise TemplateUnbounded("it replaces by more than a prompt has room for")


def _fits_trimmed(letters: Any = "") -> None:
    """Raises TemplateUnbounded for so many letters that each of a text would be compared with too many."""
    if len(str(letters)) > _WIDEST:
        raise TemplateUnbounded(f"it trims more than {_WIDEST} kinds of letters")


def _fits_joined(separator: str, parts: Any) -> list[Any]:
    """The parts as a list. Raises TemplateUnbounded where they are too many, or too long together."""
    texts, length = list[Any](), 0
    for part in parts:
        length += len(separator) + (len(part) if isinstance(part, str) else 1)
        if length > LONGEST:
            raise TemplateUnbounded("it joins to more than a prompt has room for")
        texts.append(part)
    return texts
