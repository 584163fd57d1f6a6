"""Addresses and pages of plug-ins, below `/plugins/`: behind the guard as all others, off the loop, bounded in time and size.

One route stands for all of them, so that the server starts without importing a plug-in.
"""

import asyncio
from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from omni.core.errors import UsageError
from omni.core.hooks import WebAnswer, WebRequest
from omni.server.errors import NoPath
from omni.server.routes import Route, route
from omni.server.web_assets import HEADERS

if TYPE_CHECKING:
    from omni.core.plugins import PluginOffer, Plugins

METHODS = "GET POST PUT PATCH DELETE"
LARGEST_BODY = 1 << 20
LARGEST_ANSWER = 16 << 20
# A page of a plug-in may send its forms and show its own styles, beside what Omni's own pages may.
POLICY = HEADERS["Content-Security-Policy"].replace("form-action 'none'", "form-action 'self'")


def routes() -> list[Route]:
    """The list of pages, and everything below it."""
    from omni.server.openai.problems import problem

    for_admin = partial(route, reach="admin", problem=problem)
    return [
        for_admin("GET", "/plugins/", pages, "The pages of plug-ins, as a page.", response=str, media="text/html"),
        for_admin(METHODS, "/plugins/{plugin}/{path:path}", answer, "What a plug-in answers.",
                  response=str, media="*/*"),
    ]  # fmt: skip


async def pages(request: Request) -> Response:
    """Links to all pages that have a title."""
    lines = [
        f'<li><a href="{escape(offer.plugin)}/{escape(offer.item.path)}">{escape(offer.item.title)}</a></li>'
        for offer in await _offers(_plugins(request))
        if offer.item.title
    ]
    body = f"<ul>{''.join(lines)}</ul>" if lines else "<p>No plug-in has a page here.</p>"
    return _response(WebAnswer(body=f"<!doctype html><title>Plug-ins</title><h1>Plug-ins</h1>{body}"))


async def answer(request: Request) -> Response:
    """Ask the plug-in whose route this is. Raises NoPath where there is none, UsageError for a body that is too long."""
    plugins, path = _plugins(request), request.path_params
    method = "GET" if request.method == "HEAD" else request.method
    for plugin, item in await _offers(plugins):
        if plugin == path["plugin"] and item.path == path["path"] and method in item.methods:
            asked = WebRequest(method=method, query=dict(request.query_params), body=await _body(request))
            return _response(await asyncio.to_thread(plugins.call, plugin, "web", _asked, item, asked))
    raise NoPath(f"Nothing answers to {request.method} {request.url.path}.", hint="/plugins/ lists the pages.")


def _plugins(request: Request) -> "Plugins":
    plugins: Plugins = request.app.state.server.services.plugins
    return plugins


async def _offers(plugins: "Plugins") -> "list[PluginOffer]":
    return await asyncio.to_thread(plugins.offers, "omni_web_routes")


async def _body(request: Request) -> bytes:
    body = bytearray()
    try:
        async for piece in request.stream():
            body += piece
            if len(body) > LARGEST_BODY:
                raise UsageError(f"The body is longer than {LARGEST_BODY} bytes.")
    except ClientDisconnect as error:
        raise UsageError("The request ended before its body was whole.") from error
    return bytes(body)


def _asked(item: Any, asked: WebRequest) -> WebAnswer:
    """What a plug-in answers. Raises TypeError for anything that cannot be sent."""
    result = item.run(asked)
    if not isinstance(result, WebAnswer) or len(result.body) > LARGEST_ANSWER or not 200 <= result.status < 600:
        raise TypeError(f"/{item.path} returned something else than a WebAnswer of up to {LARGEST_ANSWER >> 20} MiB")
    if not isinstance(result.body, (str, bytes)) or not isinstance(result.media, str) or not result.media.isprintable():
        raise TypeError(f"/{item.path} returned a WebAnswer with a body or a media type that is none")
    return result


def _response(result: WebAnswer) -> Response:
    headers = {**HEADERS, "Content-Security-Policy": POLICY, "Cache-Control": "no-store"}
    return Response(result.body, result.status, headers, result.media)
