"""Finds the models that other programs keep on this machine, under the names that their users know. Opens no model.

Every finder yields what it sees and says what it may not see, or what is not whole yet; none raises for a broken or
half-written store.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from omni.cartridges._hub import quant_of
from omni.cartridges.inspection import model_stem
from omni.cartridges.ollama import find_ollama
from omni.cartridges.projectors import is_projector
from omni.cartridges.stores import (
    ForeignModel,
    Surroundings,
    denied,
    json_of,
    listed,
    not_whole,
    projector_of,
    shelves,
    text_of,
)

_INCOMPLETE = "incomplete-"  # before the names of what GPT4All fetches


def find_all(around: Surroundings) -> Iterator[ForeignModel]:
    """Everything, the stores with the best known names first."""
    if around.others:
        yield from find_ollama(around)
        yield from find_lm_studio(around)
        yield from find_hugging_face(around)
        yield from find_llama_cpp(around)
        yield from find_gpt4all(around)
        yield from find_jan(around)
    yield from find_folders(around)


def find_lm_studio(around: Surroundings) -> Iterator[ForeignModel]:
    """LM Studio: `PUBLISHER/REPOSITORY/FILE.gguf` below its models folder, wherever its settings put that."""
    homes = [around.user / ".lmstudio", around.user / ".cache" / "lm-studio"]
    if pointer := text_of(around.user / ".lmstudio-home-pointer").strip():
        homes.insert(0, Path(pointer))
    stores = [home / "models" for home in homes]
    for home in homes:
        settings = json_of(home / "settings.json")
        folder = settings.get("downloadsFolder") if isinstance(settings, dict) else None
        if isinstance(folder, str) and folder:
            stores.insert(0, Path(os.path.expanduser(folder)))
    for store in dict.fromkeys(stores):
        if (shut := denied(store, "LM Studio's models", "lm studio")) is not None:
            yield shut
            continue
        shelf = shelves(store)
        files = shelf.models
        per_folder: dict[Path, int] = {}
        for path in files:
            per_folder[path.parent] = per_folder.get(path.parent, 0) + (not is_projector(path.name))
        for path in files:
            name = re.sub(r"[-_]gguf$", "", path.parent.name, flags=re.IGNORECASE).lower()
            if path.parent == store or is_projector(path.name):
                name = model_stem(path.name).lower()
            elif per_folder[path.parent] > 1:  # as LM Studio tells them apart
                name += "@" + (quant_of(path.name).lower() or model_stem(path.name).lower())
            yield ForeignModel(name=name, origin="lm studio", path=str(path), projector=projector_of(path, files))
        yield from shelf.unfinished("lm studio")


def find_hugging_face(around: Surroundings) -> Iterator[ForeignModel]:
    """The cache of huggingface_hub: `models--OWNER--NAME/snapshots/REVISION/FILE.gguf`, links to blobs."""
    hub = around.folder("HF_HOME", ".cache", "huggingface") / "hub"
    if not around.environment.get("HF_HOME") and (cache := around.environment.get("XDG_CACHE_HOME")):
        hub = Path(cache) / "huggingface" / "hub"
    store = around.folder("HF_HUB_CACHE", str(hub))
    if (shut := denied(store, "the Hugging Face cache", "hugging face")) is not None:
        yield shut
        return
    for folder in listed(store):
        if not folder.name.startswith("models--"):
            continue
        repository = "/".join(folder.name.split("--")[1:])
        current = text_of(folder / "refs" / "main").strip()
        snapshots = sorted(listed(folder / "snapshots"), key=lambda path: (path.name != current, path.name))
        seen = set[str]()
        for snapshot in snapshots:
            files = shelves(snapshot).models
            for path in files:
                inside = str(path.relative_to(snapshot))
                if inside in seen:  # an older revision of the same file
                    continue
                seen.add(inside)
                blob = Path(os.path.realpath(path)).name
                yield ForeignModel(
                    name=f"hf.co/{repository}:{quant_of(inside) or model_stem(path.name)}",
                    origin="hugging face",
                    path=str(path),
                    sha256=blob if re.fullmatch("[0-9a-f]{64}", blob) and "-of-" not in path.name else None,
                    projector=projector_of(path, files),
                )
        if not seen and "gguf" in repository.lower():  # its blobs do not tell the names of their files
            for part in [path for path in listed(folder / "blobs") if path.suffix == ".incomplete"][:1]:
                yield not_whole(f"hf.co/{repository}", part, "hugging face")


def find_llama_cpp(around: Surroundings) -> Iterator[ForeignModel]:
    """llama.cpp's own cache of `-hf` downloads: files with a list beside them that says where they came from."""
    stores = [around.folder("LLAMA_CACHE", ".cache", "llama.cpp")]
    if not around.environment.get("LLAMA_CACHE"):
        if cache := around.environment.get("XDG_CACHE_HOME"):
            stores = [Path(cache) / "llama.cpp"]
        stores.append(around.user / "Library" / "Caches" / "llama.cpp")
    for store in stores:
        if (shut := denied(store, "llama.cpp's cache", "llama.cpp")) is not None:
            yield shut
            continue
        names = {model: (name, projector) for model, name, projector in _llama_cpp_names(store)}
        shelf = shelves(store)
        for path in shelf.models:
            name, projector = names.get(path.name, (model_stem(path.name), ""))
            projector = str(store / projector) if projector else ""
            yield ForeignModel(name=name, origin="llama.cpp", path=str(path), projector=projector)
        yield from shelf.unfinished("llama.cpp")


def _llama_cpp_names(store: Path) -> Iterator[tuple[str, str, str]]:
    """A model's file, its name, and the file of its projector or ""."""
    for path in listed(store):
        if match := re.fullmatch(r"manifest=([^=]+)=([^=]+)=([^=]+)\.json", path.name):
            content = json_of(path)
            model, projector = (
                _llama_cpp_file(content, key, f"{match[1]}_{match[2]}_") for key in ("ggufFile", "mmprojFile")
            )
            if model:
                yield model, f"hf.co/{match[1]}/{match[2]}:{match[3]}", projector


def _llama_cpp_file(content: Any, key: str, start: str) -> str:
    file = content.get(key) if isinstance(content, dict) else None
    name = file.get("rfilename") if isinstance(file, dict) else None
    return start + name.replace("/", "_") if isinstance(name, str) and name else ""


def find_gpt4all(around: Surroundings) -> Iterator[ForeignModel]:
    """GPT4All's downloads."""
    for store in (
        around.user / ".local" / "share" / "nomic.ai" / "GPT4All",
        around.user / "Library" / "Application Support" / "nomic.ai" / "GPT4All",
    ):
        shelf = shelves(store)
        for path in shelf.models:
            name = path.name.removeprefix(_INCOMPLETE)
            if name == path.name:
                yield ForeignModel(name=model_stem(name), origin="gpt4all", path=str(path))
            elif not path.with_name(name).exists():
                yield not_whole(name, path, "gpt4all")
        yield from shelf.unfinished("gpt4all")


def find_jan(around: Surroundings) -> Iterator[ForeignModel]:
    """Jan's models: one folder each, named as Jan names it."""
    for base in (
        around.user / ".local" / "share" / "Jan" / "data",
        around.user / ".config" / "Jan" / "data",
        around.user / "jan",
    ):
        for store in (base / "llamacpp" / "models", base / "models"):
            shelf = shelves(store)
            for path in shelf.models:
                name = "/".join(path.relative_to(store).parts[:-1])
                yield ForeignModel(name=name, origin="jan", path=str(path), projector=projector_of(path, shelf.models))
            yield from shelf.unfinished("jan")


def find_folders(around: Surroundings) -> Iterator[ForeignModel]:
    """The person's own folders: each model under its file's name."""
    for folder in around.folders:
        if (shut := denied(folder, str(folder), "folder")) is not None:
            yield shut
            continue
        shelf = shelves(folder)
        for path in shelf.models:
            projector = projector_of(path, shelf.models)
            yield ForeignModel(name=model_stem(path.name), origin="folder", path=str(path), projector=projector)
        yield from shelf.unfinished("folder")
