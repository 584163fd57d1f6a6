"""From a stored question to what the engine is asked."""

import asyncio
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from omni.chat.attachments import agents_md
from omni.chat.context import Fitted, fit, surely_fits
from omni.chat.prompt import SUMMARISE, prompt_of, system_text
from omni.chat.store import ChatStore, Started
from omni.chat.types import ChatMessage
from omni.core.events import ContextCompacted
from omni.core.messages import Message
from omni.core.settings import Settings
from omni.engine import ChatRequest, Engine, adapter_of, sampling_of

if TYPE_CHECKING:
    from omni.cartridges import Brain
    from omni.chat.tooling import TurnTools

SUMMARY_TOKENS = 1024


class Prepared(msgspec.Struct, frozen=True):
    """A request, the engine that it goes to, and what had to be left out for it."""

    engine: Engine
    request: ChatRequest
    compacted: ContextCompacted | None = None


async def prepare(
    store: ChatStore,
    engine: Engine,
    brain: "Brain",
    started: Started,
    settings: Settings,
    *,
    limit: int | None = None,
    tools: "TurnTools | None" = None,
) -> Prepared:
    """Lay out the prompt and make it fit. `limit` is a context that turned out to be smaller than it was thought to be, `tools` are
    what the brain may call.

    Raises ContextOverflow when the last turn alone does not fit.
    """
    conversation, summary = started.conversation, started.question is None
    branch = await store.branch(conversation.id, started.leaf)
    agents = None
    if settings.chat.agents_md and conversation.project:
        agents = await asyncio.to_thread(agents_md, Path(conversation.project))
    prompt = prompt_of(branch, system_text(brain.prompt, agents, conversation.system or settings.chat.system))
    if summary:
        prompt = msgspec.structs.replace(prompt, after=(Message.of("user", SUMMARISE),))
    sampling = sampling_of(brain, max_tokens=settings.chat.max_completion_tokens)
    longest = min(sampling.max_tokens, SUMMARY_TOKENS) if summary else sampling.max_tokens
    beginnings = await store.beginnings(conversation.id)
    expected = min(settings.engine.context, brain.context_max or settings.engine.context)
    offered = tuple(tools.offered) if tools is not None else ()
    room = expected // 2 - len(msgspec.json.encode(offered)) if offered else expected // 2
    if limit is None and not beginnings and surely_fits(prompt.messages(), longest, room):
        # Nothing has to be asked before: the engine loads the brain in sight of everybody, and counts before it computes.
        fitted = Fitted(messages=prompt.messages(), max_completion_tokens=longest)
    else:
        can = await engine.capabilities()
        fitted = await fit(
            prompt,
            count=partial(engine.count_tokens, tools=offered),
            allocated=min(limit or can.context, can.context),
            context_max=can.context_max,
            max_tokens=longest,
            beginnings=beginnings,
            reading_speed=_reading_speed(branch, brain.name),
        )
    if fitted.beginning is not None and not summary:  # what is read for a summary is read once
        await store.begin_at(fitted.beginning)
    request = ChatRequest(
        messages=fitted.messages,
        sampling=msgspec.structs.replace(sampling, max_tokens=fitted.max_completion_tokens),
        adapter=adapter_of(brain),
        fixed=brain.prompt.strip(),
        tools=offered,
    )
    return Prepared(engine, request, fitted.compacted)


def _reading_speed(branch: list[ChatMessage], brain: str) -> float | None:
    """Tokens of a prompt per second, as this brain last read enough of them to tell."""
    for message in reversed(branch):
        usage = message.usage
        if usage is not None and message.brain == brain and usage.prompt_seconds > 0:
            read = usage.prompt_tokens - usage.cached_tokens
            if read >= 64:
                return read / usage.prompt_seconds
    return None
