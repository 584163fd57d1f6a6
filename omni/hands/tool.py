"""What a tool is: its name, what it takes, and a plan of each call, which a person can judge before anything is done."""

from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from omni.core.hooks import Touch
from omni.hands.acts import ToolAct

if TYPE_CHECKING:
    from omni.hands.workplace import Workplace


class ToolResult(Struct, frozen=True, kw_only=True):
    """What a call returned: what the brain reads, whether it is what was wanted, and in a few words for the record how it ended."""

    text: str
    failed: bool = False
    outcome: str = "done"


class PersonQuestion(Struct, frozen=True, kw_only=True):
    """What the person is asked; `choices` are the answers, any text where there are none."""

    text: str
    choices: tuple[str, ...] = ()


# Texts are shown while the tool runs. A question is sent back its answer, and a plan, which is judged like any other, its result. The
# result is the last.
Progress = AsyncGenerator["str | PersonQuestion | ToolPlan | ToolResult", "str | ToolResult"]


class ToolPlan(Struct, frozen=True, kw_only=True):
    """What one call would do. `act` is what is judged, None for what touches nothing; `line` says it in one line, `shown` is the
    whole of it: a command, a difference. `run` does it: what was planned, and nothing else."""

    act: ToolAct | None
    line: str
    run: Callable[[], Progress]
    shown: str = ""


class HandTool(Struct, frozen=True, kw_only=True):
    """A tool. `parameters` is a Struct of its arguments, or a JSON Schema of an object.

    `plan` gets a value of that, or a dict, and the place of work; it may look at what may be looked at freely, changes nothing, and raises an
    OmniError for what cannot be done. It is called in a thread.
    """

    name: str
    about: str
    parameters: dict[str, Any] | type[Struct]
    touches: tuple[Touch, ...]
    plan: "Callable[[Any, Workplace], ToolPlan]"
