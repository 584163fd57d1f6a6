"""Turns share the cache of a worker: what one was promised is not given to another."""

from typing import Any

from omni.keeper.admission import Action, Admission, Grant, Wait

SPEC: dict[str, Any] = {
    "engine": "scripted",
    "base": "b",
    "path": "",
    "need_bytes": 1,
    "settings": {"slots": 4, "cells": 1000},
}


def table() -> Admission:
    admission = Admission(10)
    admission.ask((1, 0), SPEC, "interactive", lease=True)
    admission.step(0)
    admission.ready("worker-1", 0)
    admission.step(0)
    return admission


def granted(actions: list[Action]) -> list[Any]:
    return [action.ticket for action in actions if isinstance(action, Grant)]


def test_turns_run_together_while_their_tokens_fit() -> None:
    admission = table()
    admission.ask((1, 1), SPEC, "interactive", tokens=600)
    admission.ask((2, 1), SPEC, "interactive", tokens=400)
    assert granted(admission.step(1)) == [(1, 1), (2, 1)]


def test_a_turn_waits_for_its_tokens_and_says_so() -> None:
    admission = table()
    admission.ask((1, 1), SPEC, "interactive", tokens=600)
    admission.ask((2, 1), SPEC, "interactive", tokens=401)
    actions = admission.step(1)
    assert granted(actions) == [(1, 1)]
    (wait,) = [action for action in actions if isinstance(action, Wait)]
    assert wait.reason == "slot"
    assert "401 tokens" in wait.detail
    admission.done((1, 1), 2)
    assert granted(admission.step(2)) == [(2, 1)]


def test_a_small_turn_does_not_overtake_a_big_one() -> None:
    admission = table()
    admission.ask((1, 1), SPEC, "interactive", tokens=600)
    admission.ask((2, 1), SPEC, "interactive", tokens=900)
    admission.ask((3, 1), SPEC, "interactive", tokens=10)
    assert granted(admission.step(1)) == [(1, 1)]
    admission.done((1, 1), 2)
    assert granted(admission.step(2)) == [(2, 1), (3, 1)]


def test_a_turn_that_is_alone_is_left_to_its_engine_to_refuse() -> None:
    admission = table()
    admission.ask((1, 1), SPEC, "interactive", tokens=5000)
    assert granted(admission.step(1)) == [(1, 1)]


def test_a_turn_that_outlived_its_keeper_keeps_what_it_reserved() -> None:
    admission = table()
    assert admission.hold((1, 1), "worker-1", 900)
    admission.ask((2, 1), SPEC, "interactive", tokens=200)
    assert not granted(admission.step(1))
