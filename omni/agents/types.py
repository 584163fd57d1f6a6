"""What agents are made of, as frozen values."""

from typing import NamedTuple

from omni.hands import HandTool, Judgement, ToolPlan


class Decided(NamedTuple):
    """A call that was planned and judged; `judgement` is None where it touches nothing."""

    tool: HandTool
    plan: ToolPlan
    judgement: Judgement | None
