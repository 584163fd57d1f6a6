"""What a run of a plug-in's process tells, in this order: waiting, then progress and values, at last its answer."""

from typing import Any

from msgspec import Struct


class HelperWaiting(Struct, frozen=True, kw_only=True, tag=True):
    """It has not begun: `text` says what for it waits."""

    text: str


class HelperProgress(Struct, frozen=True, kw_only=True, tag=True):
    """How far it is: `done` of `total`, in whatever it counts; a `total` of 0: nobody knows."""

    done: float
    total: float = 0.0
    text: str = ""


class HelperValue(Struct, frozen=True, kw_only=True, tag=True):
    """A part of what comes of it, before its answer: any JSON."""

    value: Any


class HelperAnswer(Struct, frozen=True, kw_only=True, tag=True):
    """What came of it: any JSON. Nothing follows."""

    value: Any = None


HelperEvent = HelperWaiting | HelperProgress | HelperValue | HelperAnswer
