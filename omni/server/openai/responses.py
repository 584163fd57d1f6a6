"""`/v1/responses`: answers as lists of items, which are kept so that the next request need not send them again."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from omni.core.errors import ContextOverflow, OmniError, StorageError
from omni.server.app import Server
from omni.server.callers import lane_of, owner_of
from omni.server.errors import BadParameter, NotHere, explained, said, status_of
from omni.server.generation import GenerationRequest, tokens_of
from omni.server.images import made
from omni.server.openai import responses_types as shown
from omni.server.openai.choices import Choices
from omni.server.openai.problems import problem
from omni.server.openai.responses_answer import answer_of
from omni.server.openai.responses_items import IMAGES, MOST, USUAL, ItemQuery
from omni.server.openai.responses_requests import items_of, spaces_of, top_of, wish_of
from omni.server.openai.responses_store import ResponseStore, StoredTurn
from omni.server.openai.responses_types import Event, ItemIn, ResponseBody, ResponseObject
from omni.server.openai.responses_writer import ResponseWriter
from omni.server.routes import Route, body_of, json_response, route
from omni.server.streams import Streamed, sse, while_there

_CODES = {400: "invalid_prompt", 429: "rate_limit_exceeded"}  # of failures, as OpenAI's clients know them


def routes() -> list[Route]:
    """What is answered to."""
    for_chat = partial(route, reach="chat", problem=problem)
    for_admin = partial(route, reach="admin", problem=problem)
    one = "/v1/responses/{response_id}"
    unstreamed = {"stream": "Anything but true: what is kept is not streamed again."}
    page = {
        "order": "asc or desc, which is the usual one: the newest item first.",
        "after": "The id of the item that the page before ended with.",
        "limit": f"How many items, at most {MOST}; {USUAL} where nothing is said.",
        "include": f"{IMAGES}, for images.",
    }
    return [
        for_chat("POST", "/v1/responses", respond, "An answer as a list of items; kept, and gone on from by its id.",
                 request=ResponseBody, response=ResponseObject, stream=Event),
        for_chat("GET", "/v1/responses", no_socket,
                 "A connection for many answers: not there, which is what it answers.", status=501),
        for_chat("POST", "/v1/responses/input_tokens", count, "How many tokens a prompt has.",
                 request=ResponseBody, response=shown.InputTokens),
        for_chat("POST", "/v1/responses/compact", no_compaction,
                 "A conversation made shorter: not there, which is what it answers.", status=501),
        for_admin("GET", one, fetch, "An answer that was kept.", response=ResponseObject, query=unstreamed),
        for_admin("DELETE", one, forget, "Forget an answer.", response=shown.Deleted),
        for_admin("POST", f"{one}/cancel", cancel, "End an answer that is being written without a connection: there is none."),
        for_admin("GET", f"{one}/input_items", input_items, "What an answer that was kept was made from.",
                  response=shown.ItemList, query=page),
        *(
            for_chat("GET POST DELETE", path, no_conversations,
                     "Conversations that a server keeps: not there, which is what it answers.", status=501)
            for path in ("/v1/conversations", "/v1/conversations/{rest:path}")
        ),
    ]  # fmt: skip


async def respond(request: Request) -> Response:
    """An answer, as a whole or as a stream of events."""
    body = await body_of(request, ResponseBody)
    asked = _ResponseRequest(request, body)
    answers = await while_there(request, asked.begin())
    if body.stream:
        return Streamed(asked.events(answers), close=answers.close, headers=answers.headers)
    return json_response(await while_there(request, asked.whole(answers)), headers=answers.headers)


async def fetch(request: Request) -> Response:
    """An answer that was kept, byte for byte."""
    if request.query_params.get("stream", "").lower() == "true":
        raise BadParameter("A kept answer is not streamed again.", hint="Ask without `stream`.", param="stream")
    kept = await store_of(request).get(request.path_params["response_id"], owner_of(request))
    return Response(kept, media_type="application/json")


async def forget(request: Request) -> Response:
    """Forget an answer that was kept."""
    ident = request.path_params["response_id"]
    await store_of(request).delete(ident, owner_of(request))
    return json_response(shown.Deleted(ident))


async def count(request: Request) -> Response:
    """How long a prompt is, by the brain's own template and tokenizer. Loads the brain."""
    asked = _ResponseRequest(request, await body_of(request, ResponseBody))
    return json_response(await while_there(request, asked.counted()))


async def input_items(request: Request) -> Response:
    """What an answer that was kept was made from: all that came before it, and what it was asked."""
    query = request.query_params
    page = ItemQuery(query, [*query.getlist("include"), *query.getlist("include[]")])
    turns = await store_of(request).led_to(request.path_params["response_id"], owner_of(request))
    return json_response(await asyncio.to_thread(page.of, turns))


async def cancel(request: Request) -> Response:
    """Nothing to cancel: an answer is written for as long as its connection is open."""
    ident = request.path_params["response_id"]
    await store_of(request).get(ident, owner_of(request))
    raise BadParameter(
        "Only an answer that was asked for with `background` can be cancelled, and there is none here.",
        hint="An answer ends when its connection is closed.",
        param="response_id",
    )


async def no_socket(request: Request) -> Response:  # noqa: ARG001 - an endpoint's signature
    """A WebSocket: not there."""
    raise NotHere("/v1/responses takes POST only: there is no WebSocket here.", hint="POST, with `stream`: true.")


async def no_compaction(request: Request) -> Response:  # noqa: ARG001 - an endpoint's signature
    """A conversation made shorter: not there."""
    raise NotHere("Nothing is compacted here.", hint="Ask for a summary as for any answer, and go on from that.")


async def no_conversations(request: Request) -> Response:  # noqa: ARG001 - an endpoint's signature
    """Conversations: not there."""
    raise NotHere(
        "No conversations are kept here.",
        hint="Answers of /v1/responses are: go on from one by `previous_response_id`.",
    )


def store_of(request: Request) -> ResponseStore:
    """The store of this server."""
    server: Server = request.app.state.server
    return server.kept("responses", lambda: ResponseStore(server.services.home.responses))


class _ResponseRequest:
    """One request for an answer."""

    def __init__(self, request: Request, body: ResponseBody) -> None:
        self._server: Server = request.app.state.server
        self._store, self._lane, self._owner = store_of(request), lane_of(request), owner_of(request)
        self._body = body

    async def begin(self) -> Choices:
        """Admit it. Raises NothingBefore, and what `generation.begin` raises."""
        wish = await self._wish()
        if self._body.store is False or self._owner is None:
            self._body.input = []  # else it is kept with the answer
        return await Choices.begin(self._server, self._lane, [wish])

    async def counted(self) -> shown.InputTokens:
        """How long its prompt is; nothing is answered, and nothing kept."""
        return shown.InputTokens(input_tokens=await tokens_of(self._server, await self._wish()))

    async def _wish(self) -> GenerationRequest:
        history: list[ItemIn] = []
        if self._body.previous_response_id:
            for turn in await self._store.turns(self._body.previous_response_id, self._owner):
                for kept in (turn.input, turn.output):
                    history += msgspec.json.decode(kept, type=list[ItemIn])
        if not isinstance(self._body.input, str):
            self._body.input = await self._store.resolved(self._body.input, self._owner)
        brain = await self._server.names.find(self._body.model or "")
        return await made(
            brain, lambda: wish_of(self._body, history, brain), bound=bool(self._body.text or self._body.tools)
        )

    async def whole(self, answers: Choices) -> ResponseObject:
        """The answer, when it is there."""
        writer = self._writer(answers)
        async with aclosing(answers.events()) as events:
            async for _, event in events:
                for _ in writer.read(event):
                    pass
        await self._finish(answers, writer)
        return writer.answer

    async def events(self, answers: Choices) -> AsyncGenerator[bytes]:
        """The answer as it comes. A failure is the last event."""
        writer = self._writer(answers)
        try:
            for told in writer.begin():
                yield _line(told)
            async with aclosing(answers.events()) as events:
                async for _, event in events:
                    for told in writer.read(event):
                        yield _line(told)
            await self._finish(answers, writer)
            yield _line(writer.end())
        except Exception as error:  # noqa: BLE001 - it is logged and told
            yield _line(writer.fail(failure_of(explained(error, "A stream"))))

    def _writer(self, answers: Choices) -> ResponseWriter:
        store = self._body.store is not False and self._owner is not None
        answer = answer_of(self._body, answers.brain, answers.sampling, store=store)
        return ResponseWriter(answer, top=top_of(self._body), spaces=spaces_of(self._body.tools or ()))

    async def _finish(self, answers: Choices, writer: ResponseWriter) -> None:
        """Say what it took, and keep it, before the client hears that it is whole and goes on from it."""
        answer, used = writer.answer, await answers.used()
        answer.usage = shown.ResponseUsage(
            input_tokens=used.prompt_tokens,
            input_tokens_details=shown.InputDetails(used.prompt_tokens_details.cached_tokens),
            output_tokens=used.completion_tokens,
            output_tokens_details=shown.OutputDetails(used.completion_tokens_details.reasoning_tokens),
            total_tokens=used.total_tokens,
        )
        if writer.cut:
            answer.status, answer.incomplete_details = "incomplete", shown.IncompleteDetails()
        else:
            answer.status, answer.completed_at = "completed", int(time.time())
        if not answer.store or self._owner is None:
            return
        encode = msgspec.json.encode
        turn = StoredTurn(encode(items_of(self._body.input)), encode(answer.output))
        try:
            await self._store.put(
                answer.id, self._owner, turn, encode(answer), previous=self._body.previous_response_id or None
            )
        except StorageError as error:  # the answer is there; that it cannot be gone on from, it says itself
            logging.getLogger(__name__).warning("An answer was not kept: %s", error.message)
            answer.store = False


def _line(event: Event) -> bytes:
    return sse(msgspec.json.encode(event), event.__struct_config__.tag)  # type: ignore[arg-type] # all tags are texts


def failure_of(error: OmniError) -> shown.ResponseError:
    """Why a response failed, in the codes that OpenAI's clients know."""
    if isinstance(error, ContextOverflow):
        return shown.ResponseError("context_length_exceeded", said(error))
    return shown.ResponseError(_CODES.get(status_of(error), "server_error"), said(error))
