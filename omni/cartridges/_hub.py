"""Hugging Face repositories: `hf.co/OWNER/REPOSITORY[:QUANT]`. Sizes and hashes come from the hub's own listing.

The listing is asked for one fixed revision, which is then the one that is downloaded and remembered.
"""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

import msgspec

from omni.cartridges.brains import licence_name
from omni.cartridges.inspection import is_later_part, model_stem, part_names
from omni.cartridges.manifest import HubBase
from omni.cartridges.projectors import in_repository
from omni.cartridges.sources import Access, Headers, RemoteFile, Resolved
from omni.core.errors import BadFile, NotFound, UsageError, nearest
from omni.core.words import size_words

if TYPE_CHECKING:
    from omni.hardware import Budget

_NAME = re.compile(
    r"^(?:https?://)?(?:www\.)?(?:hf\.co|huggingface\.co)/(?P<repository>[A-Za-z0-9][\w.-]*/[\w.-]+?)"
    r"(?:/(?:blob|resolve|tree)/(?P<revision>[^/]+)(?:/(?P<file>.+?))?)?(?::(?P<quant>[\w.-]+))?/?(?:\?.*)?$",
    re.IGNORECASE,
)
_QUANT = re.compile(
    r"(?:^|[-._/])((?:UD-)?(?:I?Q\d(?:_[A-Z0-9]+)*|TQ\d_\d|BF16|F16|F32|FP16|MXFP4(?:_MOE)?|NVFP4))(?=$|[-._/])",
    re.IGNORECASE,
)
MAX_FILES = 20_000
WHOLE = ("BF16", "F16", "FP16", "F32")  # what can be made smaller without losing twice
QUARTER = 4.9 / 16  # of 16 bits, which Q4_K_M takes of most models
_ANY = 1 << 62  # bytes: what a person asked for by its name is not measured


class HubModel(NamedTuple):
    """One model of a repository: its files in order, what kind of quantisation its name says, bytes in all."""

    paths: tuple[str, ...]
    quant: str
    size: int


class _Lfs(msgspec.Struct):
    oid: str
    size: int


class _Item(msgspec.Struct):
    path: str
    type: str
    size: int = 0
    lfs: _Lfs | None = None


class HubSource:
    """`hf.co/OWNER/REPOSITORY:QUANT`, also as an address copied from a browser."""

    name = "hugging face"

    def matches(self, reference: str) -> bool:
        """Names and addresses of the hub."""
        return _NAME.match(reference) is not None

    async def resolve(self, reference: str, access: Access) -> Resolved:
        """The quantisation asked for, else one that suits this machine."""
        match = _NAME.match(reference)
        if match is None:
            raise UsageError(f"{reference!r} names no repository.", hint="Like hf.co/OWNER/REPOSITORY:Q4_K_M.")
        return await resolve_hub(
            match["repository"],
            access,
            file=match["file"] or "",
            quant=match["quant"] or "",
            revision=match["revision"] or "main",
        )


async def resolve_hub_base(name: str, base: HubBase, access: Access) -> Resolved:
    """A catalogue entry: its file, or what the repository calls by the same quantisation now."""
    resolved = await resolve_hub(
        base.repository,
        access,
        file=base.file,
        quant=base.quantisation,
        revision=base.revision,
        lenient=True,
        projector=base.projector,
    )
    if (base.sha256 and resolved.sha256 != base.sha256) or (base.size and resolved.size != base.size):
        raise BadFile(
            f"{base.repository} holds another {base.file} than the one that {name} was made for.",
            hint=f"To take it nevertheless: omni pull {resolved.name}",
        )
    return msgspec.structs.replace(
        resolved, name=name, reference=name, title=base.title, template=base.template or resolved.template
    )


async def resolve_hub(
    repository: str,
    access: Access,
    *,
    file: str = "",
    quant: str = "",
    revision: str = "main",
    lenient: bool = False,
    projector: str | None = None,
) -> Resolved:
    """The files of one model of a repository with their sizes and hashes, at a fixed revision. `projector` names the file
    that it sees with ("": none is wanted); without it the repository's own is taken along, where there is one.

    Raises NotFound, naming what there is, when the repository, file or quantisation is not there; NetworkBlocked when the hub
    does not answer or wants an account.
    """
    end = (access.environment.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")
    headers = tuple(_headers(access))
    about = _decode(
        await access.page(f"{end}/api/models/{repository}/revision/{quote(revision)}", headers=headers), dict
    )
    commit = about.get("sha") if isinstance(about.get("sha"), str) else revision
    listing = await access.page(
        f"{end}/api/models/{repository}/tree/{quote(str(commit))}?recursive=true", headers=headers
    )
    items = {item.path: item for item in _decode(listing, list[_Item])[:MAX_FILES] if item.type == "file"}
    models = models_of({path: item.lfs.size if item.lfs else item.size for path, item in items.items()})
    chosen = _choose(repository, models, file=file, quant=quant, budget=access.budget, lenient=lenient)
    if projector is None:
        projector = in_repository(chosen.paths[0], items)
    elif projector and projector not in items:
        raise NotFound(f"{repository} holds no {projector!r}, which is to let the brain see.")

    def remote(path: str) -> RemoteFile:
        lfs = items[path].lfs
        return RemoteFile(
            url=f"{end}/{repository}/resolve/{quote(str(commit))}/{quote(path)}",
            name=path.rpartition("/")[2],
            size=(lfs and lfs.size) or items[path].size,
            sha256=lfs.oid.lower() if lfs and re.fullmatch("[0-9a-fA-F]{64}", lfs.oid) else None,
            headers=headers,
        )

    files = tuple(map(remote, chosen.paths))
    name = f"hf.co/{repository}:{chosen.quant or model_stem(chosen.paths[0].rpartition('/')[2])}"
    return Resolved(
        name=name,
        reference=name,
        files=files,
        projector=remote(projector) if projector else None,
        join=len(files) == 1,
        size=chosen.size,
        sha256=files[0].sha256 if len(files) == 1 else None,
        title=repository.partition("/")[2].removesuffix("-GGUF").removesuffix("_gguf"),
        licence=licence_name(_licence(about)),
        verdict=f"sha256 of the hub checked, revision {str(commit)[:10]}",
    )


def models_of(sizes: dict[str, int]) -> list[HubModel]:
    """The models among a repository's files: parts put together, eyes and unusable names left out."""
    models = []
    for path in sizes:
        folder, _, file = path.rpartition("/")
        lower = file.lower()
        if not lower.endswith(".gguf") or is_later_part(file) or "mmproj" in lower or "imatrix" in lower:
            continue
        if not file.isprintable() or file.startswith(".") or ".." in path.split("/"):
            continue
        paths = tuple(f"{folder}/{part}".lstrip("/") for part in part_names(file))
        if all(part in sizes for part in paths):
            models.append(HubModel(paths, quant_of(path), sum(sizes[part] for part in paths)))
    return models


def quant_of(path: str) -> str:
    """The quantisation that a file's name (or its folder's) tells, in capitals; "" when it tells none."""
    folder, _, file = path.rpartition("/")
    for text in (model_stem(file), folder):
        if quants := _QUANT.findall(text):
            return str(quants[-1]).upper()
    return ""


def _choose(
    repository: str, models: list[HubModel], *, file: str, quant: str, budget: "Budget | None", lenient: bool
) -> HubModel:
    from omni.hardware import Budget

    offered = ", ".join(dict.fromkeys(model.quant or model.paths[0] for model in models))
    if not models:
        raise NotFound(f"{repository} holds no GGUF file.", hint=f"Look for a repository named like {repository}-GGUF.")
    for model in models:
        if file and file in (model.paths[0], model.paths[0].rpartition("/")[2]):
            return model
    if file and not lenient:
        raise NotFound(f"{repository} holds no {file!r}.", hint=f"It offers: {offered}.")
    if quant:
        for model in models:
            if quant.upper() in (model.quant, model_stem(model.paths[0]).upper()):
                return model
        raise NotFound(
            f"{repository} holds no {quant!r}.",
            hint=nearest(quant.upper(), [model.quant for model in models]) or f"It offers: {offered}.",
        )
    budget = budget or Budget(memory=_ANY, free=_ANY, context=0)
    sizes: dict[str, int] = {}
    for model in sorted(models, key=lambda model: model.size):
        if model.quant not in sizes or model.size <= budget.weights:
            sizes[model.quant] = model.size
    suits = budget.quantisation(sizes)
    if suits is None:
        raise NotFound(
            f"Nothing in {repository} fits into this machine; the smallest has {size_words(min(m.size for m in models))}.",
            hint=_smaller(repository, sizes, budget)
            or "Name a quantisation to take it nevertheless: hf.co/OWNER/REPOSITORY:QUANT",
        )
    return next(model for model in models if (model.quant, model.size) == (suits, sizes[suits]))


def _smaller(repository: str, sizes: Mapping[str, int], budget: "Budget") -> str:
    """How something that fits can be made of what a repository has; "" where it cannot."""
    for quant in WHOLE:
        about = int(sizes.get(quant, 0) * QUARTER * (0.5 if quant == "F32" else 1))
        if 0 < about <= budget.weights:
            name = f"hf.co/{repository}:{quant}"
            return (
                f"Made smaller it would: about {size_words(about)} in Q4_K_M. `omni pull {name}`, then `omni quantise {name}`, "
                "which says what that costs."
            )
    return ""


def _headers(access: Access) -> Headers:
    token = access.environment.get("HF_TOKEN", "")
    return (("Authorization", f"Bearer {token}"),) if token.isascii() and token.isprintable() and token else ()


def _licence(about: dict[str, Any]) -> str:
    card = about.get("cardData")
    licence = card.get("license") if isinstance(card, dict) else None
    return licence[:60] if isinstance(licence, str) and licence.isprintable() else ""


def _decode(data: bytes, kind: Any) -> Any:
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.DecodeError as error:
        raise BadFile("The hub's answer is not what its interface promises.", hint="Try again later.") from error
