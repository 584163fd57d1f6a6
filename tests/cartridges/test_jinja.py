"""Templates are read as llama.cpp reads them: what it accepts is accepted, and a fault is told with its line."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omni.cartridges.jinja import fault_of
from omni.cartridges.templates import FAMILIES, KnownTemplate

FINE = [
    "",
    "hello",
    "{{ messages }}",
    "{{- messages -}}\n",
    "{{-- messages }}",
    "{# a comment with {{ braces #}{{ x }}",
    "{% for m in messages %}{{ m['content'] | trim }}{% else %}none{% endfor %}",
    "{% for k, v in args|items if k is not none %}{{ k ~ '=' ~ v|tojson }}{% endfor %}",
    "{% if a and not b or c is defined and d not in (1, 2) %}x{% elif e %}y{% else %}z{% endif %}",
    "{% set ns = namespace(first=true, n=-1) %}{% set ns.first = not ns.first %}",
    "{% set block %}text {{ x }}{% endset %}{{ block }}",
    "{% set a, b = 1, 2 %}",
    "{% macro field(name, value=none) %}{{ name }}{% endmacro %}{{ field('a', value=[1, 2][0]) }}",
    "{% call(x) list_of(messages) %}{{ x }}{% endcall %}",
    "{% filter upper %}a{% endfilter %}",
    "{% for m in messages %}{% if loop.last %}{% break %}{% endif %}{% continue %}{% endfor %}",
    "{% generation %}{{ x }}{% endgeneration %}",
    "{{ {'a': {'b': 1}}['a'].b }}",
    "{{ messages[1:] + messages[::-1] + messages[:-1] }}",
    "{{ x if y else z if w }}",
    "{{ 'a' 'b' + \"it\\'s\" }}",
    "{{ f(*args)(1).x['y']|default('-', true)|length > 3 }}",
    "{{ 7 is divisibleby 2 and x is not in [1] }}",
    "{{ raise_exception('no') }}",
    "{",
    "a {b} %}",
]
FAULTS = [
    ("{{ messages", "line 1: expected }}"),
    ("{{ messages }", "line 1: expected }}, found }"),
    ("a\nb {% endif %}", "line 2: this engine knows no statement 'endif'"),
    ("{% for m in messages %}{{ m }}", "line 1: an {% for %} has no end"),
    ("{% for m messages %}{% endfor %}", "line 1: expected in, found messages"),
    ("{% if %}{% endif %}", "line 1: expected a value, found %}"),
    ("{% if a %}{% else %}{% else %}{% endif %}", "this engine knows no statement 'else'"),
    ("{% set x = %}", "expected a value, found %}"),
    ("{{ 'a }}", 'there is "\'" where an expression is expected'),
    ("{{ 'a\\q' }}", "where an expression is expected"),
    ("{{ a ? b : c }}", "there is '?' where an expression is expected"),
    ("{{ a b }}", "expected }}, found b"),
    ("{{ f(a }}", "expected a value, found }}"),
    ("{{ (1, 2,) }}", "expected a value, found )"),
    ("{{ {'a'} }}", "expected :, found }"),
    ("{# no end", "a comment has no end"),
    ("{% raw %}{{ x }}{% endraw %}", "no statement 'raw'"),
    ("{% include 'x' %}", "no statement 'include'"),
    ("{{ if .System }}{{ .System }}{{ end }}", "expected a value, found ."),
    ("{% %}", "expected a statement, found %}"),
]


@pytest.mark.parametrize("template", FINE)
def test_what_the_engine_reads_is_fine(template: str) -> None:
    assert fault_of(template) == ""


@pytest.mark.parametrize(("template", "fault"), FAULTS)
def test_a_fault_is_told_with_its_line(template: str, fault: str) -> None:
    assert fault in fault_of(template)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_our_own_templates_can_be_read(family: KnownTemplate) -> None:
    assert fault_of(family.jinja) == ""


@pytest.mark.parametrize(
    "template",
    [
        "{{ " + "(" * 100_000,
        "{{ " + "[" * 100_000 + "]" * 100_000,
        "{% if x %}" * 20_000,
        "{{ " + "not " * 50_000 + "x }}",
    ],
)
def test_depth_and_length_harm_nobody(template: str) -> None:
    began = time.perf_counter()
    fault_of(template)
    assert time.perf_counter() - began < 10


def test_what_is_longer_than_any_template_is_none() -> None:
    assert fault_of("{{ x }}" * 50_000) == "it has 350,000 letters, more than 262,144"


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="{}%# -'\"\\abif.()[],|=\n", max_size=80))
def test_any_text_has_an_answer(template: str) -> None:
    assert isinstance(fault_of(template), str)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(FINE), st.integers(0, 80), st.sampled_from(["{{", "%}", "'", "(", "]", "{% if", "endfor", ","]))
def test_a_piece_too_much_has_an_answer(template: str, at: int, piece: str) -> None:
    assert isinstance(fault_of(template[:at] + piece + template[at:]), str)
