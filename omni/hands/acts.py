"""What somebody other than the person wants to do here: a call of a tool that reads, changes, runs or sends something."""

from typing import Literal

from msgspec import Struct

from omni.core.hooks import Touch

Verdict = Literal["allow", "ask", "deny"]
VERDICTS: tuple[Verdict, ...] = ("allow", "ask", "deny")  # from the mildest


class ToolAct(Struct, frozen=True, kw_only=True):
    """One call of a tool.

    `path`, `command` (a line for bash) and `host` are what its `touches` are about, "" where it has none. Relative paths count from
    `folder`, which lies in the `project`. `agent` and `conversation` say who asks.
    """

    tool: str
    touches: tuple[Touch, ...]
    folder: str
    project: str
    path: str = ""
    command: str = ""
    host: str = ""
    agent: str = ""
    conversation: str = ""


def worst(*verdicts: Verdict) -> Verdict:
    """The least friendly one; "allow" of none."""
    return max(verdicts, key=VERDICTS.index, default="allow")
