"""Prompts as a worker makes them: written for its template and counted, the images in them looked at one request at a time."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from omni.core.errors import UsageError
from omni.core.messages import ImagePart, Message
from omni.engine._knowledge import Knowledge, Props, told
from omni.engine.answers import prompt_of
from omni.engine.decodable import check_decodable
from omni.engine.earlier import answered, digest, shown_again
from omni.engine.images import check_images
from omni.engine.types import ChatRequest

if TYPE_CHECKING:
    from omni.engine.http import WorkerClient

T = TypeVar("T")

REMEMBERED = 64  # prompts whose length is known
_COUNT = "/v1/chat/completions/input_tokens"


class Prompts:
    """Those of one brain, named `name`, whatever worker it has; `vision`: it has a projector."""

    def __init__(self, knowledge: Knowledge, *, vision: bool, name: str) -> None:
        self._knowledge, self._vision, self._name = knowledge, vision, name
        self._broken: set[bytes] = set()  # images that could not be decoded
        self._counts: OrderedDict[tuple[tuple[Message, ...], bool | None], int] = OrderedDict()
        self._decoding = asyncio.Lock()  # images, which take hundreds of megabytes for a moment: one request at a time
        self._looking: set[asyncio.Task[Any]] = set()

    def look(self, messages: Sequence[Message]) -> bool:
        """Whether there are images. Raises UsageError where they cannot be seen."""
        return check_images(messages, vision=self._vision, name=self._name)

    def known(self, messages: Sequence[Message], thinking: bool | None) -> int | None:
        """How many tokens the prompt of some messages has, where that was counted before."""
        return self._counts.get((tuple(messages), thinking))

    async def written(self, client: "WorkerClient", request: ChatRequest, props: Props) -> tuple[ChatRequest, int]:
        """A request as the brain's template takes it, and how many tokens it is. Earlier images that turn out to be none are
        left out, now and when they come again. Raises UsageError."""
        messages = shown_again(request.messages, vision=props.vision, broken=self._broken)
        said = msgspec.structs.replace(request, messages=messages)
        try:
            return await props.template.written(said, partial(self._count, client))
        except UsageError:
            earlier = [image for message in messages[: answered(messages)] for image in message.images]
            broken = {digest(image) for image in earlier if not await self._decodes(client, image)}
            if not broken:
                raise
        self._broken = set(list(self._broken)[-REMEMBERED:]) | broken
        return await self.written(client, request, props)

    async def alone(self, work: Callable[[], Coroutine[Any, Any, T]]) -> "asyncio.Task[T]":
        """A task that has images decoded, begun when no other is at it. It goes on when who asked has left, as the
        worker does: so there are never more of them than one in its memory."""
        await self._decoding.acquire()
        task = asyncio.get_running_loop().create_task(work(), name="decode")
        self._looking.add(task)
        task.add_done_callback(self._seen)
        return task

    def cancelled(self) -> tuple["asyncio.Task[Any]", ...]:
        """The tasks that are at it, which are being cancelled."""
        for task in (looking := tuple(self._looking)):
            task.cancel()
        return looking

    def _seen(self, task: "asyncio.Task[Any]") -> None:
        self._decoding.release()
        self._looking.discard(task)
        if not task.cancelled():
            task.exception()  # known now, should nobody have waited for it

    async def _count(self, client: "WorkerClient", request: ChatRequest) -> int:
        """By the server's own way of making a prompt, so that the number is the one it will read.

        Images that cannot be decoded are refused now, and not in the middle of an answer.
        """
        if shows := self.look(request.messages):
            await self._see(client)
        key = (request.messages, request.thinking)
        if shows or request.tools or (known := self._counts.get(key)) is None:
            if shows:
                answer = await asyncio.shield(await self.alone(partial(_shown, client, request)))
            else:
                answer = await client.json(_COUNT, prompt_of(request))
            known = told(lambda: int(answer["input_tokens"]), "cannot count tokens")
            if not request.tools and not shows:  # images are large, and not worth remembering
                self._counts[key] = known
                while len(self._counts) > REMEMBERED:
                    self._counts.popitem(last=False)
        return known

    async def _decodes(self, client: "WorkerClient", image: ImagePart) -> bool:
        """Whether the worker can decode an image."""
        try:
            await self._count(client, ChatRequest(messages=(Message.of("user", image),)))
        except UsageError:
            return False
        return True

    async def _see(self, client: "WorkerClient") -> None:
        """Raises UsageError when the worker could not load the brain's eyes: it answers to texts without them."""
        if not (await self._knowledge.props(client)).vision:
            raise UsageError(
                f"{self._name} cannot see: this engine could not load its projector.",
                hint="The log of its worker says why. Leave out the images.",
            )


def encoded(make: Callable[..., dict[str, Any]], *arguments: Any, **more: Any) -> bytes:
    """The body that `make` makes, as JSON. Blocking where it is large."""
    return msgspec.json.encode(make(*arguments, **more))


async def _shown(client: "WorkerClient", request: ChatRequest) -> Any:
    """The length of a prompt with images. Raises UsageError when one cannot be decoded."""
    return await client.json(_COUNT, await asyncio.to_thread(_checked, request))


def _checked(request: ChatRequest) -> bytes:
    """The body of a request with images, none of which takes more to decode than it should. Blocking."""
    for message in request.messages:
        for image in message.images:
            check_decodable(image)
    return encoded(prompt_of, request)
