"""Errors carry message, hint and exit code everywhere, other processes included."""

import inspect
import pickle
import re

import pytest

from omni.core import errors
from omni.core.errors import ContextOverflow, OmniError, nearest

TREE = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, OmniError)]


@pytest.mark.parametrize("kind", TREE)
def test_every_error_survives_pickling(kind: type[OmniError]) -> None:
    again = pickle.loads(pickle.dumps(kind("what", hint="how")))
    assert type(again) is kind
    assert (again.message, again.hint, str(again), again.exit_code) == ("what", "how", "what", kind.exit_code)


def test_the_figures_of_an_overflow_survive_pickling() -> None:
    again = pickle.loads(pickle.dumps(ContextOverflow("too much", needed=10, allocated=8)))
    assert (again.needed, again.allocated) == (10, 8)


def test_an_error_keeps_what_was_put_on_it() -> None:
    error = OmniError("x")
    error.add_note("seen while testing")
    assert pickle.loads(pickle.dumps(error)).__notes__ == ["seen while testing"]


def test_exit_codes_are_different_and_as_documented() -> None:
    documented = dict(re.findall(r"(\w+)\s+(\d)  ", errors.__doc__ or ""))
    assert {kind.__name__: str(kind.exit_code) for kind in TREE} == documented
    assert len(set(documented.values())) == len(TREE)


def test_nearest_names_a_close_name_or_nothing() -> None:
    assert nearest("smolm2", ["smollm2", "qwen"]) == "Did you mean 'smollm2'?"
    assert nearest("zzz", ["smollm2"]) == ""
    assert nearest("x", []) == ""
