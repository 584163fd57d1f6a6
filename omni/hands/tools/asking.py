"""The tool that asks the person."""

from typing import Annotated

from msgspec import Meta, Struct

from omni.hands.tool import HandTool, PersonQuestion, Progress, ToolPlan, ToolResult
from omni.hands.workplace import Workplace


class AskPerson(Struct, frozen=True, kw_only=True):
    """Arguments of `ask_person`."""

    question: Annotated[str, Meta(description="What you need to know to go on.", min_length=1)]
    choices: Annotated[tuple[str, ...], Meta(description="The answers to choose from, if it is one of a few.")] = ()


def _ask_person(arguments: AskPerson, place: Workplace) -> ToolPlan:  # noqa: ARG001 - all plans look alike
    async def run() -> Progress:
        answer = yield PersonQuestion(text=arguments.question, choices=arguments.choices)
        yield ToolResult(text=str(answer) or "[no answer]", outcome="asked")

    return ToolPlan(act=None, line="ask you", run=run)


ASK_PERSON = HandTool(
    name="ask_person",
    about="Ask the person a question that only they can answer.",
    parameters=AskPerson,
    touches=(),
    plan=_ask_person,
)
