"""`/v1/responses`: answers as lists of items, which are kept so that the next request need not send them again."""

import logging
import secrets
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
from omni.server.errors import BadParameter, explained, said
from omni.server.images import made
from omni.server.openai import responses_types as shown
from omni.server.openai.problems import problem
from omni.server.openai.responses_asked import items_of, spaces_of, tools_of, top_of, wish_of
from omni.server.openai.responses_store import ResponseStore, Turn
from omni.server.openai.responses_types import Answer, Event, ItemIn, ResponseBody
from omni.server.openai.responses_writer import ResponseWriter
from omni.server.openai.together import Together
from omni.server.routes import Route, body_of, json_response, route
from omni.server.streams import Streamed, sse, while_there


def routes() -> list[Route]:
    """What is answered to."""
    for_chat = partial(route, reach="chat", problem=problem)
    for_admin = partial(route, reach="admin", problem=problem)
    one = "/v1/responses/{response_id}"
    unstreamed = {"stream": "Anything but true: what is kept is not streamed again."}
    return [
        for_chat("POST", "/v1/responses", respond, "An answer as a list of items; kept, and gone on from by its id.",
                 request=ResponseBody, response=Answer, stream=Event),
        for_admin("GET", one, fetch, "An answer that was kept.", response=Answer, query=unstreamed),
        for_admin("DELETE", one, forget, "Forget an answer.", response=shown.Deleted),
    ]  # fmt: skip


async def respond(request: Request) -> Response:
    """An answer, as a whole or as a stream of events."""
    body = await body_of(request, ResponseBody)
    asked = _Asked(request, body)
    answers = await while_there(request, asked.begin())
    if body.stream:
        return Streamed(asked.events(answers), close=answers.close)
    return json_response(await while_there(request, asked.whole(answers)))


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


def store_of(request: Request) -> ResponseStore:
    """The store of this server."""
    server: Server = request.app.state.server
    return server.kept("responses", lambda: ResponseStore(server.services.home.responses))


class _Asked:
    """One request for an answer."""

    def __init__(self, request: Request, body: ResponseBody) -> None:
        self._server: Server = request.app.state.server
        self._store, self._lane, self._owner = store_of(request), lane_of(request), owner_of(request)
        self._body = body

    async def begin(self) -> Together:
        """Admit it. Raises NothingBefore, and what `generation.begin` raises."""
        history: list[ItemIn] = []
        if self._body.previous_response_id:
            for turn in await self._store.turns(self._body.previous_response_id, self._owner):
                for kept in (turn.input, turn.output):
                    history += msgspec.json.decode(kept, type=list[ItemIn])
        if not isinstance(self._body.input, str):
            self._body.input = await self._store.resolved(self._body.input, self._owner)
        brain = await self._server.names.find(self._body.model or "")
        wish = await made(brain, lambda: wish_of(self._body, history, brain))
        if self._body.store is False or self._owner is None:
            self._body.input = []  # else it is kept with the answer
        return await Together.begin(self._server, self._lane, [wish])

    async def whole(self, answers: Together) -> Answer:
        """The answer, when it is there."""
        writer = self._writer(answers)
        async with aclosing(answers.events()) as events:
            async for _, event in events:
                for _ in writer.read(event):
                    pass
        await self._finish(answers, writer)
        return writer.answer

    async def events(self, answers: Together) -> AsyncGenerator[bytes]:
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
            yield _line(writer.fail(_failure(explained(error, "A stream"))))

    def _writer(self, answers: Together) -> ResponseWriter:
        body = self._body
        answer = Answer(
            id=f"resp_{secrets.token_hex(24)}",
            created_at=int(time.time()),
            status="in_progress",
            model=body.model or answers.brain,
            output=[],
            instructions=body.instructions,
            previous_response_id=body.previous_response_id,
            store=body.store is not False and self._owner is not None,
            tools=[
                shown.FunctionTool(name=tool.name, description=tool.description, parameters=tool.parameters)
                for tool in tools_of(body.tools or ())
            ],
            tool_choice=body.tool_choice or "auto",
            parallel_tool_calls=body.parallel_tool_calls is not False,
            text=body.text if body.text and body.text.format else shown.TextIn(format=shown.FormatIn(type="text")),
            reasoning=body.reasoning or shown.ReasoningIn(),
            max_output_tokens=body.max_output_tokens,
            temperature=body.temperature,
            top_p=body.top_p,
            top_logprobs=body.top_logprobs or 0,
            metadata=body.metadata or {},
        )
        return ResponseWriter(answer, top=top_of(body), spaces=spaces_of(body.tools or ()))

    async def _finish(self, answers: Together, writer: ResponseWriter) -> None:
        """Say what it took, and keep it, before the client hears that it is whole and goes on from it."""
        answer, used = writer.answer, await answers.used()
        answer.usage = shown.Usage(
            input_tokens=used.prompt_tokens,
            input_tokens_details=shown.InputDetails(used.prompt_tokens_details.cached_tokens),
            output_tokens=used.completion_tokens,
            output_tokens_details=shown.OutputDetails(used.completion_tokens_details.reasoning_tokens),
            total_tokens=used.total_tokens,
        )
        if writer.cut:
            answer.status, answer.incomplete_details = "incomplete", shown.Incomplete()
        else:
            answer.status, answer.completed_at = "completed", int(time.time())
        if not answer.store or self._owner is None:
            return
        encode = msgspec.json.encode
        turn = Turn(encode(items_of(self._body.input)), encode(answer.output))
        try:
            await self._store.put(
                answer.id, self._owner, turn, encode(answer), previous=self._body.previous_response_id or None
            )
        except StorageError as error:  # the answer is there; that it cannot be gone on from, it says itself
            logging.getLogger(__name__).warning("An answer was not kept: %s", error.message)
            answer.store = False


def _line(event: Event) -> bytes:
    return sse(msgspec.json.encode(event), event.__struct_config__.tag)  # type: ignore[arg-type] # all tags are texts


def _failure(error: OmniError) -> shown.Failure:
    code = "context_length_exceeded" if isinstance(error, ContextOverflow) else "server_error"
    return shown.Failure(code, said(error))
