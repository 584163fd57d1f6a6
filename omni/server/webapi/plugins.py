"""What plug-ins add to the web interface: settings of theirs, and links to their pages."""

import asyncio
from contextlib import suppress
from urllib.parse import quote

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from omni.core.errors import OmniError, UsageError
from omni.core.plugins import Plugins
from omni.core.settings import Settings, described, value_of
from omni.server.routes import Route, json_response
from omni.server.webapi.problems import route
from omni.server.webapi.settings import Setting, setting


class PluginPage(Struct, frozen=True, kw_only=True):
    """A page of a plug-in that has a title, and where it is on this server."""

    plugin: str
    title: str
    address: str


class PluginParts(Struct, frozen=True, kw_only=True):
    """All that plug-ins add."""

    settings: list[Setting]
    pages: list[PluginPage]


def routes() -> list[Route]:
    """Reading; their settings are changed as all others are."""
    return [route("GET", "/plugins", read, "Read what plug-ins add to the pages.", response=PluginParts)]


async def read(request: Request) -> Response:
    """Imports the plug-ins when it is asked for the first time; the page itself does not wait for that."""
    services = request.app.state.server.services
    values = await services.read_settings_again()
    return json_response(await asyncio.to_thread(_parts, services.plugins, values))


def _parts(plugins: Plugins, values: Settings) -> PluginParts:
    settings: list[Setting] = []
    for plugin, section in plugins.settings_sections().items():
        with suppress(OmniError):  # it stands in `failures`, and the others are shown
            settings += plugins.call(plugin, "hook", _settings_of, plugin, section, values)
    pages = [
        PluginPage(plugin=plugin, title=item.title, address=f"/plugins/{quote(plugin)}/{quote(item.path)}")
        for plugin, item in plugins.offers("omni_web_routes")
        if item.title
    ]
    return PluginParts(settings=settings, pages=pages)


def _settings_of(plugin: str, section: type[Struct], values: Settings) -> list[Setting]:
    """The settings of one plug-in: what its section says runs its code. What stands in the file and does not fit is
    shown as it is there."""
    sections, table = {plugin: section}, values.plugins.get(plugin, {})
    settings = []
    for key, (kind, default, description) in described(sections).items():
        if not key.startswith("plugins."):
            continue
        try:
            value = value_of(values, key, sections)
        except UsageError:
            value = table.get(key.rpartition(".")[2], default)
        settings.append(setting(key, kind, msgspec.to_builtins(value), msgspec.to_builtins(default), description))
    return settings
