"""Brains as Ollama's clients list them: what they are, what they can, what is loaded."""

import asyncio
import hashlib
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from omni.core.errors import OmniError
from omni.engine import supports_infill
from omni.server.brains import untaught
from omni.server.errors import BadParameter
from omni.server.ollama.keeping import keeping_of
from omni.server.ollama.times import FOREVER, rfc3339
from omni.server.ollama.types import (
    Details,
    ListedModel,
    NamedModel,
    Processes,
    RunningModel,
    ShownModel,
    Tags,
    Version,
)
from omni.server.routes import body_of, json_response

if TYPE_CHECKING:
    from omni.cartridges import Brain
    from omni.server.app import Server

VERSION = "0.12.0"  # of the API that is spoken here; VS Code wants 0.6.4 at least
_THINKS = ("enable_thinking", "<think>", "reasoning_content", "reasoning_effort", "<|channel|>")
_LONGEST_HEADER = 256 << 20
_FOR_EVER = 100 * 365 * 86400.0
_PARAMETERS = (
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "repeat_penalty",
    "presence_penalty",
    "frequency_penalty",
    "seed",
)


async def root(_request: Request) -> Response:
    """The text by which clients know that somebody is there."""
    return PlainTextResponse("Ollama is running")


async def version(_request: Request) -> Response:
    """A plain x.y.z, because clients compare it."""
    return json_response(Version(version=VERSION))


async def tags(request: Request) -> Response:
    """All brains that can be asked, those that make vectors or rank texts, and the names that the user gave them."""
    server: Server = request.app.state.server
    await server.services.read_settings_again()
    brains = {brain.name: brain for brain in await server.names.usable()}
    for brain in await server.names.computing():
        brains.setdefault(brain.name, brain)
    listed = {name: await asyncio.to_thread(_listed, server, brain) for name, brain in brains.items()}
    for alias, name in server.names.aliases().items():
        if name in brains and alias not in listed:
            listed[alias] = msgspec.structs.replace(listed[name], name=alias, model=alias)
    return json_response(Tags(models=list(listed.values())))


async def show(request: Request) -> Response:
    """What there is to know about one brain, without loading it."""
    server: Server = request.app.state.server
    body = await body_of(request, NamedModel)
    if not body.wanted:
        raise BadParameter("`model` is missing.", hint="GET /api/tags lists the models.", param="model")
    brain = await server.names.find(body.wanted, "texts")
    room = await allocated(server, brain)
    return json_response(await asyncio.to_thread(_shown, server, brain, room))


async def processes(request: Request) -> Response:
    """The brains that are loaded now, whoever asked for them."""
    server: Server = request.app.state.server
    keeper = await server.services.keeper()
    names = await server.services.brains_on()
    running: dict[str, RunningModel] = {}
    loaded = await keeper.processes()
    graphics = await server.services.graphics(loaded)
    for process in loaded:
        if process.kind != "worker" or not names.get(process.base):
            continue
        brain = await server.services.library.get(names[process.base][0])
        running.setdefault(brain.name, await _running(server, brain, vram=graphics.taken.get(process.pid) or 0))
    return json_response(Processes(models=list(running.values())))


def template_of(brain: "Brain") -> str:
    """The chat template, in Jinja."""
    base = brain.base
    return (base.template or base.header.chat_template or "") if base is not None else ""


def thinks(brain: "Brain") -> bool:
    """Whether its template knows of reasoning."""
    return any(mark in template_of(brain) for mark in _THINKS)


def inserts(brain: "Brain") -> bool:
    """Whether it was made to fill in between two texts. Blocking: reads the file's vocabulary."""
    base = brain.base
    if base is None or brain.embeds or brain.reranks:
        return False
    header = base.header
    longest = header.file_bytes - header.weights_bytes
    return supports_infill(base.path, longest if 0 < longest < _LONGEST_HEADER else _LONGEST_HEADER)


async def allocated(server: "Server", brain: "Brain") -> int:
    """Tokens that one chat with it may take on this machine; 0 where nobody knows before it is loaded."""
    if brain.base is None:
        return brain.context_max
    try:
        return int((await (await server.services.engines()).worker_spec(brain)).settings["context"])
    except OmniError:  # no keeper can be reached: what the file says is still worth telling
        return brain.context_max


def digest(brain: "Brain") -> str:
    """64 hexadecimal digits that no other brain has, and this one as long as it stays what it is: clients take brains of
    one digest for one, and ask whichever they saw first. Many brains may stand on one file, so its hash alone will not do.
    """
    base, adapter = brain.base, brain.adapter
    known = {
        "name": brain.name,
        "base": (base.sha256 or base.id) if base else "",
        "template": base.template if base else None,
        "eyes": base.projector.path if base and base.projector else None,
        "adapter": (adapter.sha256 or adapter.path, adapter.scale) if adapter else None,
        "prompt": brain.prompt,
        "sampling": (base.parameters if base else {}) | brain.sampling,
        "context": brain.context,
    }
    return hashlib.sha256(msgspec.json.encode(known, order="sorted")).hexdigest()


def _listed(server: "Server", brain: "Brain") -> ListedModel:
    return ListedModel(
        name=brain.name,
        model=brain.name,
        modified_at=rfc3339(_modified(server, brain)),
        size=brain.base.size if brain.base else brain.size,
        digest=digest(brain),
        details=_details(brain),
        capabilities=_capabilities(brain),
    )


def _shown(server: "Server", brain: "Brain", room: int) -> ShownModel:
    can = _capabilities(brain)
    template = template_of(brain)
    if "insert" in can:  # Continue looks for this field, in Ollama's language of templates
        template = "{{- /* fills in between .Prompt and .Suffix */ -}}\n" + template
    if "tools" in can and "tools" not in template:  # LiteLLM looks for the word, in any case
        template = "{{- /* calls .Tools */ -}}\n" + template
    return ShownModel(
        license=brain.licence,
        modelfile=f"# Omni needs no modelfile.\nFROM {brain.name}\n",
        parameters=_parameters(brain, room),
        template=template,
        system=brain.prompt,
        details=_details(brain),
        model_info=_info(brain, room),
        capabilities=can,
        modified_at=rfc3339(_modified(server, brain)),
    )


async def _running(server: "Server", brain: "Brain", *, vram: int) -> RunningModel:
    base = brain.base
    spec = await (await server.services.engines()).worker_spec(brain)
    left = keeping_of(server).left(base.id if base else "")
    return RunningModel(
        name=brain.name,
        model=brain.name,
        size=spec.need_bytes,
        digest=digest(brain),
        details=_details(brain),
        expires_at=rfc3339(time.time() + (_FOR_EVER if left == FOREVER else left)),
        size_vram=vram,
        context_length=int(spec.settings["context"]),
    )


def _capabilities(brain: "Brain") -> list[str]:
    """`tools` wherever it chats: a brain whose template knows none calls them by a grammar."""
    if brain.embeds:
        return ["embedding"]
    if brain.reranks:
        return ["rerank"]
    capabilities = ["completion"] if untaught(brain) else ["completion", "tools"]
    if inserts(brain):
        capabilities.append("insert")
    if brain.vision:
        capabilities.append("vision")
    if thinks(brain):
        capabilities.append("thinking")
    return capabilities


def _details(brain: "Brain") -> Details:
    header = brain.base.header if brain.base else None
    family = (header.architecture if header else "") or "unknown"
    return Details(
        parent_model="",
        format="gguf",
        family=family,
        families=[family, "clip"] if brain.vision else [family],  # by which older clients know who sees
        parameter_size=human(header.parameters if header else 0),
        quantization_level=(header.quantisation if header else "") or brain.quantisation or "unknown",
    )


def human(number: int) -> str:
    """A number of weights as Ollama writes it: 134.52M, 8B, 1.7B."""
    for unit, size, places in (("B", 10**9, 1), ("M", 10**6, 2), ("K", 10**3, 0)):
        if number >= size:
            return f"{number // size}{unit}" if number % size == 0 else f"{number / size:.{places}f}{unit}"
    return str(number)


def _parameters(brain: "Brain", room: int) -> str:
    """One a line, with a text as JSON: Continue reads it so. `num_ctx` is what a chat may really take here."""
    values: dict[str, Any] = dict(brain.base.parameters if brain.base else {}) | brain.sampling
    parameters: dict[str, list[Any]] = {"num_ctx": [room]} if room else {}
    parameters |= {name: [values[name]] for name in _PARAMETERS if values.get(name) is not None}
    stop = values.get("stop", ())
    parameters["stop"] = [json.dumps(text) for text in ([stop] if isinstance(stop, str) else stop)]
    return "\n".join(f"{name:<30} {value}" for name, each in parameters.items() for value in each)


def _info(brain: "Brain", room: int) -> dict[str, Any]:
    """The context is what fits here, not what the model was trained for: clients fill what they are told."""
    header = brain.base.header if brain.base else None
    family = (header.architecture if header else "") or "unknown"
    info: dict[str, Any] = {
        "general.architecture": family,
        "general.basename": (header.name if header else "") or brain.base_title or brain.name,
        "general.parameter_count": header.parameters if header else 0,
        f"{family}.context_length": room or (header.context_length if header else 0) or 4096,
    }
    if header is not None:
        info |= {
            "general.size_label": header.size_label,
            f"{family}.block_count": header.layers,
            f"{family}.embedding_length": header.width,
            f"{family}.attention.head_count": header.heads,
            f"{family}.attention.head_count_kv": header.kv_heads,
            "omni.context_length.trained": header.context_length,
        }
    return info


def _modified(server: "Server", brain: "Brain") -> float:
    try:
        return Path(brain.base.path).stat().st_mtime if brain.base else server.started
    except OSError:
        return server.started
