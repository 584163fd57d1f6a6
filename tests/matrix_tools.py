"""Every history in every protocol through one worker's template: what the prompt has, and what of it stays when it grows."""

from collections.abc import AsyncIterator, Sequence
from itertools import pairwise
from os import fspath
from pathlib import Path
from typing import Any

import msgspec

from omni.core.errors import OmniError
from omni.core.messages import Message
from omni.engine import ChatRequest, tool_calls
from omni.engine.answers import prompt_of
from omni.engine.histories import Traits
from omni.engine.http import WorkerClient
from omni.engine.probing import TOOL, begins, traits_of
from omni.engine.template import ChatTemplate
from tests.history_tools import HISTORIES, PROTOCOLS, History, Step, body_of, request_for, words_of


class Matrix:
    """The worker at `socket`. `moving`: what its template writes into the last of a user's turns only, and moves along."""

    def __init__(self, socket: Path | str, key: str, *, moving: str = "") -> None:
        self._client, self._moving = WorkerClient(fspath(socket), key), moving or "nothing moves"
        self._template: ChatTemplate | None = None
        self._prompts: dict[bytes, str] = {}
        self.rendered = 0  # prompts
        self.requests = 0  # that made them

    async def faults(self) -> AsyncIterator[str]:
        """What is wrong, in words that tell where."""
        for name, history in HISTORIES.items():
            for protocol in PROTOCOLS:
                tools = any(step.kind in ("calls", "hosted", "tool_image") for step in history.steps)
                for offered in {True, tools}:
                    async for fault in self._of(history, protocol, tools=offered):
                        yield f"{name}, {protocol}, {'tools' if offered else 'no tools'}: {fault}"

    async def traits(self) -> Traits:
        """What the template takes, found out by what it does."""
        tools = (await self._known()).tools

        async def render(messages: Sequence[Message]) -> str:
            asked = ChatRequest(messages=tuple(messages), tools=(TOOL,) if tools else ())
            try:
                return str((await self._client.json("/apply-template", prompt_of(asked)))["prompt"])
            except OmniError:
                return ""

        probed = await traits_of(render, calls=tools)
        return msgspec.structs.replace(probed, first=await begins(render))

    async def _of(self, history: History, protocol: str, *, tools: bool) -> AsyncIterator[str]:
        prompts: list[tuple[tuple[Step, ...], str]] = []
        for count in history.asked():
            steps = history.steps[:count]
            try:
                request = request_for(protocol, body_of(protocol, steps, tools=tools))
                self.requests += 1
                prompts.append((steps, await self._prompt(request)))
            except OmniError as error:
                yield f"refused after {count} steps: {error.message}"
                return
        last = prompts[-1][1]
        if missing := _missing(last, history.expected()):
            yield f"{missing!r} is not where it should be in {last!r}"
        if "secret" in last:
            yield f"what was thought is read again in {last!r}"
        for (steps, before), (_, after) in pairwise(prompts):
            kept = _common(before, after)
            settled = before[: before.rfind(self._moving)] if self._moving in before else before
            if lost := [word for word in words_of(steps) if word in settled and word not in kept]:
                yield f"{lost} is read anew: {before!r} became {after!r}"

    async def _prompt(self, request: ChatRequest) -> str:
        said, _ = await (await self._known()).written(request, self._count)
        return self._prompts[_key(said)]

    async def _count(self, said: ChatRequest) -> int:
        if (key := _key(said)) not in self._prompts:
            self.rendered += 1
            self._prompts[key] = (await self._client.json("/apply-template", prompt_of(said)))["prompt"]
        return len(self._prompts[key])

    async def _known(self) -> ChatTemplate:
        if self._template is None:
            props: Any = await self._client.json("/props")
            tools = tool_calls.knows_tools(props["chat_template"], props.get("chat_template_caps", {}))
            self._template = ChatTemplate(self._client, name="@omni/test", tools=tools)
        return self._template


def _missing(prompt: str, words: tuple[str, ...]) -> str:
    """The first of `words` that does not stand behind the one before it."""
    at = 0
    for word in words:
        at = prompt.find(word, at)
        if at < 0:
            return word
        at += len(word)
    return ""


def _common(first: str, second: str) -> str:
    return first[: next((at for at, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), len(first))]


def _key(said: ChatRequest) -> bytes:
    return msgspec.json.encode((said.messages, bool(said.tools), said.thinking))
