"""The pages of the web interface: built files that travel with Omni. Nothing in them comes from anywhere else."""

import asyncio
import mimetypes
from functools import cache
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from omni.core.errors import NotFound, OmniError
from omni.server.routes import Endpoint, Route

if TYPE_CHECKING:
    from omni.app import Services

FOLDER = Path(__file__).parent / "static"
THEME = b"<!-- theme -->"
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self'",
        "connect-src 'self'",
        "manifest-src 'self'",
        "worker-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
FRESH = "no-cache"
FOREVER = "public, max-age=31536000, immutable"  # the name of the file changes with what is in it
TYPES = {".js": "text/javascript", ".webmanifest": "application/manifest+json", ".woff2": "font/woff2"}


def routes() -> list[Route]:
    """The page, what it is made of, and what an installed one needs."""
    page_routes = [
        _route("/", page, "The web interface."),
        _route("/assets/{name}", asset, "A part of the web interface."),
    ]
    return page_routes + [_route(f"/{name}", plain, "A part of the web interface.") for name in _beside()]


def _route(path: str, endpoint: Endpoint, summary: str) -> Route:
    from omni.server.webapi.problems import problem

    return Route(
        path=path,
        methods=("GET", "HEAD"),
        endpoint=endpoint,
        reach="anyone",
        problem=problem,
        summary=summary,
        response=str,
        media="text/html" if path == "/" else "*/*",
    )


async def page(request: Request) -> Response:
    """`index.html` in the colours that the person has chosen, so that nothing flashes; programs that ask whether Ollama
    is there find what they look for."""
    if "text/html" not in request.headers.get("accept", ""):
        return PlainTextResponse("Ollama is running")
    body = await asyncio.to_thread(_index, request.app.state.server.services)
    return Response(body, media_type="text/html", headers={**HEADERS, "Cache-Control": FRESH})


async def asset(request: Request) -> Response:
    """A file with a hash in its name."""
    return await _file(f"assets/{request.path_params['name']}", FOREVER)


async def plain(request: Request) -> Response:
    """A file whose name must stay."""
    return await _file(request.url.path.lstrip("/"), FRESH)


@cache
def _files() -> dict[str, Path]:
    """Everything there is: what is not listed here is not served, whatever a path says."""
    return {str(path.relative_to(FOLDER)): path for path in FOLDER.rglob("*") if path.is_file()}


def _beside() -> list[str]:
    return sorted(name for name in _files() if "/" not in name and name != "index.html")


async def _file(name: str, age: str) -> Response:
    path = _files().get(name)
    if path is None:
        raise NotFound(f"There is no {name} in this version.", hint="Reload the page.")
    kind = TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    body = await asyncio.to_thread(path.read_bytes)
    return Response(body, media_type=kind, headers={**HEADERS, "Cache-Control": age})


def _index(services: "Services") -> bytes:
    """The page with the theme of the settings in it. Blocking."""
    from omni.server.webapi.settings import palettes, themes_of

    path = _files().get("index.html")
    if path is None:
        raise NotFound("The web interface was not built.", hint="Run `make web` in the clone.")
    wanted = services.settings.ui.theme
    try:
        by_name = {palette.name: palette for palette in palettes(themes_of(services))}
    except OmniError:
        by_name = {}
    theme = by_name.get(wanted) or next(iter(by_name.values()), None)
    style = b""
    if theme is not None:
        colours = "".join(f"--{name}:{value};" for name, value in theme.colours.items())
        colours += f"--bar:var(--{'third' if theme.high_contrast else 'line'});"
        scheme = "dark" if theme.dark else "light"
        style = f'<style id="theme" data-name="{escape(theme.name)}">:root{{color-scheme:{scheme};{colours}}}</style>'.encode()
    return path.read_bytes().replace(THEME, style)
