"""What the person decided, and the themes to choose from."""

import asyncio
from typing import Any, Literal, get_args, get_origin

from msgspec import Struct
from msgspec.structs import asdict
from starlette.requests import Request
from starlette.responses import Response

from omni.core.errors import OmniError, UsageError
from omni.core.paths import resources
from omni.core.settings import described, value_of
from omni.core.themes import Themes
from omni.server.routes import Route, body_of, json_response
from omni.server.webapi.problems import route

HIDDEN = ("ui.glyphs", "ui.mouse", "ui.keys", "ui.ready")  # a terminal's
SettingKind = Literal["bool", "int", "text", "choice", "toml", "other"]
KINDS: dict[Any, SettingKind] = {bool: "bool", int: "int", str: "text"}


class Setting(Struct, frozen=True, kw_only=True):
    """One setting. `kind` is "bool", "int", "text", "choice", "toml" (it is changed by a text that is written as in the
    file) or "other", which a page shows and does not change."""

    key: str
    kind: SettingKind
    value: Any
    default: Any
    description: str
    choices: list[str] = []


class Palette(Struct, frozen=True, kw_only=True):
    """A theme: its colours under the names that its file has. With `high_contrast` scrollbars are drawn as text is."""

    name: str
    title: str
    dark: bool
    high_contrast: bool
    colours: dict[str, str]


class Settled(Struct, frozen=True, kw_only=True):
    """All of both; `path` is the file."""

    settings: list[Setting]
    themes: list[Palette]
    path: str


class Set(Struct, frozen=True, kw_only=True):
    """A new value."""

    key: str
    value: Any


def routes() -> list[Route]:
    """Reading and changing."""
    return [
        route("GET", "/settings", read, "Read settings and themes.", response=Settled),
        route("PATCH", "/settings", change, "Change one setting.", request=Set, response=Settled),
    ]


async def read(request: Request) -> Response:
    """As the file has them now."""
    return json_response(await _settled(request))


async def change(request: Request) -> Response:
    """The file keeps its comments and its order."""
    wish, services = await body_of(request, Set), request.app.state.server.services
    if wish.key in HIDDEN or wish.key.startswith("serve."):
        raise UsageError(f"{wish.key} is not changed here.", hint=f"Use `omni config set {wish.key} …`.")
    if wish.key == "ui.theme":
        await asyncio.to_thread(themes_of(services).read, str(wish.value))
    value, sections = wish.value, dict[str, type[Struct]]()
    if wish.key.startswith("plugins."):
        sections = await asyncio.to_thread(services.plugins.settings_sections)
    if wish.key == "chat.brain" and value:
        value = (await services.library.get(str(value))).name
    await services.change_setting(wish.key, value, sections)
    await services.changed("settings", {"key": wish.key})
    return json_response(await _settled(request))


def setting(key: str, kind: Any, value: Any, default: Any, description: str) -> Setting:
    """One that was described, as a page has it."""
    choices = [str(each) for each in get_args(kind)] if get_origin(kind) is Literal else []
    table = kind is dict or get_origin(kind) is dict
    shown = "other" if table or key.startswith("serve.") else KINDS.get(kind, "toml")
    return Setting(
        key=key,
        kind="choice" if choices else shown,
        value=value,
        default=default,
        description=description,
        choices=choices,
    )


def themes_of(services: Any) -> Themes:
    """Those that are shipped, and the person's own."""
    return Themes([resources("themes"), services.home.themes()])


def palettes(themes: Themes) -> list[Palette]:
    """All that can be read. Blocking."""
    readable = []
    for name in themes.paths():
        try:
            file = themes.read(name)
        except OmniError:
            continue  # the shell says what is wrong with it
        colours = asdict(file.colours)
        readable.append(
            Palette(name=name, title=file.title, dark=file.dark, high_contrast=file.high_contrast, colours=colours)
        )
    return readable


async def _settled(request: Request) -> Settled:
    services = request.app.state.server.services
    values = await services.read_settings_again()
    settings = []
    for key, (kind, default, description) in described().items():
        if key in HIDDEN:
            continue
        settings.append(setting(key, kind, value_of(values, key), default, description))
    themes = await asyncio.to_thread(palettes, themes_of(services))
    return Settled(settings=settings, themes=themes, path=str(services.home.config))
