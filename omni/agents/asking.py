"""The tool that asks another brain, which answers from its question alone and calls nothing."""

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct

from omni.agents.spec import ASK_BRAIN
from omni.core.events import TextDelta
from omni.core.messages import Message
from omni.engine import ChatRequest, Engine, adapter_of, sampling_of
from omni.hands import HandTool, Progress, ToolPlan, ToolResult, Workplace

if TYPE_CHECKING:
    from omni.cartridges import Brain

MOST_TOKENS = 1024


class AskBrain(Struct, frozen=True, kw_only=True):
    """Arguments of `ask_brain`."""

    brain: Annotated[str, Meta(description="Its name, such as @omni/coder.", min_length=1)]
    question: Annotated[str, Meta(description="All that it needs to know; it sees nothing else.", min_length=1)]


def ask_brain(get: Callable[[str], Awaitable["Brain"]], engine: Callable[["Brain"], Awaitable[Engine]]) -> HandTool:
    """The tool; `get` finds a brain by its name, `engine` opens it."""

    def plan(arguments: AskBrain, place: Workplace) -> ToolPlan:  # noqa: ARG001 - all plans look alike
        async def run() -> Progress:
            brain = await get(arguments.brain)
            said = (Message.of("system", brain.prompt), Message.of("user", arguments.question))
            request = ChatRequest(
                messages=said if brain.prompt else said[1:],
                sampling=sampling_of(brain, max_tokens=MOST_TOKENS),
                adapter=adapter_of(brain),
                priority="agent",
                fixed=brain.prompt.strip(),
            )
            texts = list[str]()
            async with aclosing((await engine(brain)).chat(request)) as events:
                async for event in events:
                    if isinstance(event, TextDelta):
                        texts.append(event.text)
                        yield event.text
            yield ToolResult(text="".join(texts).strip() or "[it said nothing]", outcome="asked")

        return ToolPlan(act=None, line=f"ask {arguments.brain}", run=run)

    return HandTool(
        name=ASK_BRAIN,
        about="Ask another brain that is here a question.",
        parameters=AskBrain,
        touches=(),
        plan=plan,
    )
