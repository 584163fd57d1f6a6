"""Asking: each answer is a stream of the very events that the shell shows. Leaving the stream does not stop an answer
that has begun: it can be followed again, from its beginning, and is stopped by saying so."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from omni.chat import Attachment, attachment_of, begin_turn, printable, turn_elsewhere, turn_here
from omni.core.errors import BadFile, UsageError
from omni.core.events import ChatEvent, ReasoningDelta, TextDelta
from omni.jobs import Jobs
from omni.server.routes import Route, body_of
from omni.server.webapi.conversations import chat_of
from omni.server.webapi.hub import hub_of
from omni.server.webapi.pace import Pace
from omni.server.webapi.problems import route
from omni.server.webapi.streams import streamed


class File(Struct, frozen=True, kw_only=True):
    """A file that goes along with a question: a `text`, or the bytes of an image as `data`, in base64."""

    path: str
    text: str = ""
    data: bytes = b""


class Ask(Struct, frozen=True, kw_only=True):
    """A question at the end of the branch."""

    text: str
    brain: str = ""
    files: tuple[File, ...] = ()


class Again(Struct, frozen=True, kw_only=True):
    """Another answer beside one."""

    answer: str
    brain: str = ""


class Anew(Struct, frozen=True, kw_only=True):
    """Another question in the place of one."""

    message: str
    text: str
    brain: str = ""


class GoOn(Struct, frozen=True, kw_only=True):
    """An answer that ended too early."""

    answer: str


class Sum(Struct, frozen=True, kw_only=True):
    """A summary of the branch."""

    brain: str = ""


def routes() -> list[Route]:
    """Every way to ask."""
    one = "/conversations/{id}"
    asked: list[tuple[str, Any, str, Any]] = [
        ("/ask", ask, "Ask.", Ask),
        ("/regenerate", regenerate, "Ask for another answer.", Again),
        ("/edit", edit, "Ask anew in the place of a question.", Anew),
        ("/resume", resume, "Go on with an answer.", GoOn),
        ("/compact", compact, "Sum the branch up.", Sum),
    ]
    answer = one + "/answers/{answer}"
    return [
        *(
            route("POST", one + path, endpoint, summary, request=kind, stream=ChatEvent)
            for path, endpoint, summary, kind in asked
        ),
        route("GET", answer, follow, "Follow an answer that is being written.", stream=ChatEvent),
        route("POST", answer + "/stop", stop, "Stop an answer that is being written.", status=204),
    ]


async def ask(request: Request) -> Response:
    """Below the end of the active branch."""
    wish = await body_of(request, Ask)
    if not wish.text.strip() and not wish.files:
        raise UsageError("There is nothing to ask.")
    turn = chat_of(request).ask(_id(request), wish.text, brain=wish.brain, attachments=_attachments(wish.files))
    return await _told(request, turn)


async def regenerate(request: Request) -> Response:
    """Perhaps by another brain."""
    wish = await body_of(request, Again)
    return await _told(request, chat_of(request).regenerate(_id(request), wish.answer, brain=wish.brain))


async def edit(request: Request) -> Response:
    """What was attached stays."""
    wish = await body_of(request, Anew)
    if not wish.text.strip():
        raise UsageError("There is nothing to ask.")
    return await _told(request, chat_of(request).edit(_id(request), wish.message, wish.text, brain=wish.brain))


async def resume(request: Request) -> Response:
    """The deltas are what is added."""
    wish = await body_of(request, GoOn)
    return await _told(request, chat_of(request).resume(_id(request), wish.answer))


async def compact(request: Request) -> Response:
    """Nothing is deleted."""
    wish = await body_of(request, Sum)
    return await _told(request, chat_of(request).compact(_id(request), brain=wish.brain))


async def follow(request: Request) -> Response:
    """All its events, also those that came already, whoever began it."""
    jobs, answer = _jobs(request), str(request.path_params["answer"])
    if (job := turn_here(jobs, answer=answer)) is not None:
        return await streamed(request, job.events())
    return await streamed(request, (await turn_elsewhere(jobs, answer=answer)).events(ChatEvent))


async def stop(request: Request) -> Response:
    """What came is kept."""
    jobs, answer = _jobs(request), str(request.path_params["answer"])
    job = turn_here(jobs, answer=answer)
    await (job or await turn_elsewhere(jobs, answer=answer)).stop()
    return Response(status_code=204)


def _jobs(request: Request) -> Jobs:
    jobs: Jobs = request.app.state.server.services.jobs
    return jobs


async def _told(request: Request, events: AsyncGenerator[ChatEvent]) -> Response:
    """A turn that begins now. A page that leaves before there is an answer has not asked."""
    await request.app.state.server.services.read_settings_again()
    job = begin_turn(_jobs(request), _id(request), _seen(events, hub_of(request).pace))

    async def left() -> None:
        if "answer" not in job.facts:
            await job.stop()

    return await streamed(request, job.events(), close=left)


async def _seen(events: AsyncGenerator[ChatEvent], pace: Pace) -> AsyncGenerator[ChatEvent]:
    async with aclosing(events):
        async for event in events:
            if isinstance(event, TextDelta | ReasoningDelta):
                pace.token()
            yield event


def _id(request: Request) -> str:
    return str(request.path_params["id"])


def _attachments(files: tuple[File, ...]) -> list[Attachment]:
    try:
        return [attachment_of(file.data or file.text.encode(), printable(file.path)) for file in files]
    except BadFile as error:  # what a page sends is no file of ours that broke
        raise UsageError(error.message, hint=error.hint) from error
