"""`/v1/models`: brains, and the names that the user gave them."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from omni.server.app import Server
from omni.server.routes import json_response

if TYPE_CHECKING:
    from omni.cartridges import Brain


class Model(Struct, kw_only=True):
    """One model. `created` is the time of its file; `root` is the brain that an alias stands for, else itself."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str
    root: str


class ModelList(Struct, kw_only=True):
    """All models, the default one first."""

    object: Literal["list"] = "list"
    data: list[Model]


async def models(request: Request) -> Response:
    """What can be asked: brains that chat, those that make vectors or rank texts, and aliases."""
    server: Server = request.app.state.server
    await server.services.read_settings_again()
    brains = await server.names.usable()
    known = {brain.name: brain for brain in brains}
    for brain in await server.names.computing():
        known.setdefault(brain.name, brain)
    entries = [await _model(server, brain) for brain in known.values()]
    by_name = {one.id: one for one in entries}
    for alias, name in server.names.aliases().items():
        if name in by_name and alias not in by_name:
            entries.append(_alias(alias, by_name[name]))
    return json_response(ModelList(data=entries))


async def model(request: Request) -> Response:
    """One of them, by its name."""
    server: Server = request.app.state.server
    name: str = request.path_params["id"]
    if not name:
        return await models(request)
    entry = await _model(server, await server.names.find(name, "texts"))
    return json_response(entry if entry.id == name else _alias(name, entry))


async def _model(server: Server, brain: "Brain") -> Model:
    owner, slash, _ = brain.name.removeprefix("@").partition("/")
    owned_by = owner if slash and brain.name.startswith("@") else brain.origin or "omni"
    return Model(id=brain.name, created=await _created(server, brain), owned_by=owned_by, root=brain.name)


async def _created(server: Server, brain: "Brain") -> int:
    if brain.base is not None:
        path = Path(brain.base.path)
        try:
            return int((await asyncio.to_thread(path.stat)).st_mtime)
        except OSError:  # it has just gone, which the next list will say
            pass
    return int(server.started)


def _alias(alias: str, target: Model) -> Model:
    return Model(id=alias, created=target.created, owned_by=target.owned_by, root=target.root)
