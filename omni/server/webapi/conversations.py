"""The same conversations as in the shell."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response

from omni.chat import ChatMessage, ChatService, Conversation, SearchHit
from omni.core.errors import BadFile, UsageError
from omni.engine import image_kind
from omni.server.routes import Route, body_of, json_response
from omni.server.webapi.problems import route

MOST = 200  # conversations in one answer
LONGEST_TITLE = 200  # characters


class ConversationPage(Struct, frozen=True, kw_only=True):
    """Conversations, the most recent first; `more` when there are others."""

    conversations: list[Conversation]
    more: bool


class ConversationBranch(Struct, frozen=True, kw_only=True):
    """A conversation with its active branch, or the end of it."""

    conversation: Conversation
    messages: list[ChatMessage]


class SearchResults(Struct, frozen=True, kw_only=True):
    """Where something stands."""

    hits: list[SearchHit]


class New(Struct, frozen=True, kw_only=True):
    """A conversation to begin."""

    brain: str = ""
    system: str = ""


class Edit(Struct, frozen=True, kw_only=True):
    """What to change; None stays."""

    title: Annotated[str, Meta(max_length=LONGEST_TITLE)] | None = None
    brain: str | None = None
    system: str | None = None


class Choice(Struct, frozen=True, kw_only=True):
    """A message of the branch to show."""

    message: str


class Taken(Struct, frozen=True, kw_only=True):
    """A question that was taken back."""

    text: str


class Reread(Struct, frozen=True, kw_only=True):
    """What asking another brain costs first: about `tokens` are read, in `seconds` where that is known; `loaded` says
    whether it is in memory, `load` how many bytes it has else. `same` brains go on where they are."""

    tokens: int
    seconds: float | None
    loaded: bool
    load: int
    same: bool


def chat_of(request: Request) -> ChatService:
    """The conversations of this server."""
    chat: ChatService = request.app.state.server.services.chat
    return chat


def routes() -> list[Route]:
    """Listing, reading, changing; asking stands in `turns`."""
    one = "/conversations/{id}"
    paged = {"query": "What titles hold.", "limit": "How many.", "offset": "How many are left out."}
    return [
        route("GET", "/conversations", listed, "List conversations.", response=ConversationPage, query=paged),
        route(
            "POST", "/conversations", create, "Begin a conversation.", request=New, response=Conversation, status=201
        ),
        route(
            "POST",
            "/conversations/load",
            load,
            "Take in an exported conversation.",
            request=dict[str, Any],
            response=Conversation,
            status=201,
        ),
        route(
            "GET",
            "/search",
            search,
            "Search titles and messages.",
            response=SearchResults,
            query={"text": "What is looked for."},
        ),
        route(
            "GET",
            one,
            shown,
            "Read a conversation.",
            response=ConversationBranch,
            query={"last": "Read so many messages."},
        ),
        route("PATCH", one, change, "Change title, brain or instructions.", request=Edit, response=Conversation),
        route("DELETE", one, delete, "Remove a conversation.", status=204),
        route(
            "GET",
            one + "/export",
            export,
            "Read it as Markdown or JSON.",
            response=str,
            media="text/markdown",
            query={"form": '"json" for JSON.'},
        ),
        route("POST", one + "/switch", switch, "Show another branch.", request=Choice, response=ConversationBranch),
        route(
            "GET",
            one + "/messages/{message}/contents/{number}",
            content,
            "Read what a file or an image of a message holds.",
            response=bytes,
            media="application/octet-stream",
        ),
        route("POST", one + "/undo", undo, "Take the last question back.", response=Taken),
        route(
            "GET",
            one + "/reread",
            reread,
            "Say what another brain must read first.",
            response=Reread,
            query={"brain": "The other brain."},
        ),
    ]


async def listed(request: Request) -> Response:
    """`query` finds, `limit` and `offset` page."""
    limit, offset = min(_number(request, "limit", 100), MOST), _number(request, "offset", 0)
    query = request.query_params.get("query", "")
    conversations = await chat_of(request).conversations(query=query, limit=limit + 1, offset=offset)
    return json_response(ConversationPage(conversations=conversations[:limit], more=len(conversations) > limit))


async def create(request: Request) -> Response:
    """Without a message yet."""
    new = await body_of(request, New)
    return json_response(await chat_of(request).create(brain=new.brain, system=new.system), 201)


async def load(request: Request) -> Response:
    """The body is what `export?form=json` gave."""
    try:
        text = (await request.body()).decode()
    except UnicodeDecodeError as error:
        raise UsageError("The file is no UTF-8.") from error
    try:
        conversation = await chat_of(request).load(text)
    except BadFile as error:  # what a page sends is no file of ours that broke
        raise UsageError(error.message, hint=error.hint) from error
    return json_response(conversation, 201)


async def search(request: Request) -> Response:
    """`text` is what is looked for."""
    return json_response(SearchResults(hits=await chat_of(request).search(request.query_params.get("text", ""))))


async def shown(request: Request) -> Response:
    """`last` reads the end only."""
    last = _number(request, "last", 0) or None
    return json_response(await _shown(request, last))


async def change(request: Request) -> Response:
    """Each field by itself."""
    edit, chat, name = await body_of(request, Edit), chat_of(request), request.path_params["id"]
    if edit.title is not None:
        await chat.rename(name, edit.title)
    if edit.brain is not None:
        if edit.brain:
            await request.app.state.server.services.library.get(edit.brain)
        await chat.choose(name, brain=edit.brain)
    if edit.system is not None:
        await chat.instruct(name, edit.system)
    return json_response(await chat.conversation(name))


async def delete(request: Request) -> Response:
    """With all branches."""
    await chat_of(request).delete(request.path_params["id"])
    return Response(status_code=204)


async def export(request: Request) -> Response:
    """As a file."""
    form: Literal["markdown", "json"] = "json" if request.query_params.get("form") == "json" else "markdown"
    conversation = await chat_of(request).conversation(request.path_params["id"])
    text = await chat_of(request).export(conversation.id, form)
    plain = "".join(c if c.isascii() and c.isalnum() else "-" for c in conversation.title.lower())
    name = "-".join(part for part in plain.split("-") if part)[:60] or "conversation"
    ending, kind = ("json", "application/json") if form == "json" else ("md", "text/markdown; charset=utf-8")
    return Response(text, media_type=kind, headers={"Content-Disposition": f'attachment; filename="{name}.{ending}"'})


async def switch(request: Request) -> Response:
    """And read it."""
    choice = await body_of(request, Choice)
    await chat_of(request).switch(request.path_params["id"], choice.message)
    return json_response(await _shown(request))


async def content(request: Request) -> Response:
    """Counted from 0. Never as anything that a browser would run: an image by its own kind, a file as plain text."""
    number = request.path_params["number"]
    if not number.isascii() or not number.isdigit() or len(number) > 4:
        raise UsageError(f"The number of a content is a number; {number!r} was sent.")
    data = await chat_of(request).content(request.path_params["id"], request.path_params["message"], int(number))
    kind = image_kind(data) if b"\0" in data or not data.isascii() else ""
    media = f"image/{kind}" if kind in ("png", "jpeg", "gif", "bmp") else "text/plain; charset=utf-8"
    headers = {"Cache-Control": "private, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
    return Response(data, media_type=media, headers=headers)


async def undo(request: Request) -> Response:
    """The question's text, to be edited."""
    return json_response(Taken(text=await chat_of(request).undo(request.path_params["id"])))


async def reread(request: Request) -> Response:
    """Counted from what the last answer took; another brain counts a little differently."""
    services = request.app.state.server.services
    brain = await services.library.get(request.query_params.get("brain", ""))
    conversation = await chat_of(request).conversation(request.path_params["id"])
    messages = await chat_of(request).messages(conversation.id, last=4)
    usage = next((message.usage for message in reversed(messages) if message.usage is not None), None)
    tokens = usage.prompt_tokens + usage.completion_tokens if usage is not None else 0
    base = brain.base.id if brain.base else ""
    speed = (await services.budget()).notes.speeds.get(base)
    return json_response(
        Reread(
            tokens=tokens,
            seconds=tokens / speed.prompt if speed is not None and speed.prompt else None,
            loaded=base in await services.in_use(),
            load=brain.base.size if brain.base else brain.size,
            same=brain.name == conversation.brain,
        )
    )


async def _shown(request: Request, last: int | None = None) -> ConversationBranch:
    chat, name = chat_of(request), request.path_params["id"]
    messages = await chat.messages(name, last=last)
    return ConversationBranch(conversation=await chat.conversation(name), messages=messages)


def _number(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, "")
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise UsageError(f"`{name}` is a number; {text!r} was sent.")
    return int(text)
