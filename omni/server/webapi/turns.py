"""Asking: each answer is a stream of the very events that the shell shows. Leaving the stream stops the answer."""

from collections.abc import AsyncGenerator
from typing import Any

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from omni.chat import Attachment
from omni.core.errors import UsageError
from omni.core.events import ChatEvent, ReasoningDelta, TextDelta
from omni.server.routes import Route, body_of
from omni.server.webapi.conversations import chat_of
from omni.server.webapi.hub import hub_of
from omni.server.webapi.problems import route
from omni.server.webapi.streams import streamed

LONGEST = 1 << 20  # bytes of one attached file
SORRY = "This file is no text"


class File(Struct, frozen=True, kw_only=True):
    """A text file that stands in a question."""

    path: str
    text: str


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
    return [
        route("POST", one + path, endpoint, summary, request=kind, stream=ChatEvent)
        for path, endpoint, summary, kind in asked
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


async def _told(request: Request, turn: AsyncGenerator[ChatEvent]) -> Response:
    pace = hub_of(request).pace

    def see(event: ChatEvent) -> None:
        if isinstance(event, TextDelta | ReasoningDelta):
            pace.token()

    await request.app.state.server.services.read_settings_again()
    return await streamed(request, turn, see)


def _id(request: Request) -> str:
    return str(request.path_params["id"])


def _attachments(files: tuple[File, ...]) -> list[Attachment]:
    found = []
    for file in files:
        size = len(file.text.encode())
        if size > LONGEST:
            raise UsageError(f"{file.path} has {size} bytes; an attached file may have {LONGEST}.")
        if "\0" in file.text:
            raise UsageError(f"{SORRY}: {file.path}.")
        path = "".join(c if c.isprintable() else "?" for c in file.path)
        found.append(Attachment(path=path, bytes=size, lines=len(file.text.splitlines()), text=file.text))
    return found
