"""A worker's chat template: what it takes is found out when a history needs to know, and each history is written for it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import msgspec

from omni.core.errors import EngineError, OmniError, UsageError
from omni.core.messages import Message
from omni.engine import tool_calls
from omni.engine.answers import prompt_of
from omni.engine.histories import PLAINEST, Traits, fitted, regular
from omni.engine.http import WorkerClient, WorkerGone
from omni.engine.probing import TOOL, Render, begins, keeps_system, traits_of
from omni.engine.types import ChatRequest

T = TypeVar("T")
Count = Callable[[ChatRequest], Awaitable[int]]

PATIENCE = 10.0  # seconds for each thing to find out; a template that takes them is taken for one that takes little
LONGEST_WORDS = 500  # of a template, that a client is told
_BEFORE = ("Error: ", "Jinja Exception: ", "It says: ", "this conversation: ")  # the words of a template


class ChatTemplate:
    """The template of the worker that `client` talks to, and of the brain `name`. `tools`: it tells of tools in a way that
    brains can follow."""

    def __init__(self, client: WorkerClient, *, name: str, tools: bool) -> None:
        self.tools = tools
        self._client, self._name = client, name
        self._finding = asyncio.Lock()
        self._answers: dict[tuple[str, bool], object] = {}

    async def written(self, request: ChatRequest, count: Count) -> tuple[ChatRequest, int]:
        """A request as this template takes it, and what `count` says of that. A template that refuses what was written for
        it gets the plainest form there is.

        Raises UsageError when it refuses that, too, and what `count` raises for any other reason.
        """
        said = await self._fitted(tool_calls.told(request, template=self.tools))
        try:
            return said, await count(said)
        except WorkerGone:
            raise
        except OmniError:
            if not (words := await self._refusal(said)):
                raise
        plain = tool_calls.told(request, template=False)
        for traits in (PLAINEST, msgspec.structs.replace(PLAINEST, system=False)):
            said = msgspec.structs.replace(plain, messages=fitted(plain.messages, traits))
            if not await self._refusal(said):
                return said, await count(said)
        raise UsageError(
            f"The chat template of {self._name} cannot write this conversation. It says: {words}.",
            hint="Ask another brain, or look for a newer file of this one.",
        )

    async def _fitted(self, request: ChatRequest) -> ChatRequest:
        """The request with its history as this template should take it."""
        messages, tools = request.messages, bool(request.tools)
        leads = any(message.role == "system" for message in messages[:1])
        if regular(messages):
            if not leads or await self._fact("system", keeps_system, True, tools=tools):
                return request
            traits = msgspec.structs.replace(PLAINEST, system=False, empty=True)
        else:
            traits = await self._fact("traits", self._traits, PLAINEST, tools=tools)
            if next((message.role for message in messages if message.role != "system"), "assistant") == "assistant":
                traits = msgspec.structs.replace(traits, first=await self._fact("first", begins, False, tools=tools))
        return msgspec.structs.replace(request, messages=fitted(messages, traits))

    async def _refusal(self, request: ChatRequest) -> str:
        """Why this template cannot write a conversation, in its own words; "" where it can."""
        blind = tuple(message.with_content(message.text) if message.images else message for message in request.messages)
        try:
            await self._prompt(msgspec.structs.replace(request, messages=blind, schema=None))
        except WorkerGone:
            raise
        except OmniError as error:
            words = error.message
            for before in _BEFORE:
                words = words.rpartition(before)[2]
            words = words.strip().rstrip(".")
            return f"{words[:LONGEST_WORDS]} …" if len(words) > LONGEST_WORDS else words or "nothing"
        return ""

    async def _traits(self, render: Render) -> Traits:
        return await traits_of(render, calls=self.tools)

    async def _fact(self, name: str, find: Callable[[Render], Awaitable[T]], otherwise: T, *, tools: bool) -> T:
        """What `find` finds out, once."""

        async def render(messages: Sequence[Message]) -> str:
            asked = ChatRequest(messages=tuple(messages), tools=(TOOL,) if tools else ())
            try:
                return await self._prompt(asked)
            except WorkerGone:
                raise
            except OmniError:
                return ""

        async with self._finding:
            if (name, tools) not in self._answers:
                try:
                    async with asyncio.timeout(PATIENCE):
                        self._answers[name, tools] = await find(render)
                except TimeoutError:
                    return otherwise  # for this time: the next history asks anew
            return self._answers[name, tools]  # type: ignore[return-value] # what `find` finds is as `otherwise` is

    async def _prompt(self, request: ChatRequest) -> str:
        """The prompt that a request makes. Raises the engine's refusal."""
        answer = await self._client.json("/apply-template", prompt_of(request))
        if not isinstance(answer, dict) or not isinstance(prompt := answer.get("prompt"), str):
            raise EngineError("The brain's process does not tell the prompt.")
        return prompt
