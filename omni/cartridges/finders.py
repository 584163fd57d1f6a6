"""Finds the models that other programs keep on this machine, under the names that their users know. Opens no model.

Every finder yields what it sees and says what it may not see; none raises for a broken or half-written store.
"""

import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from omni.cartridges.brains import Origin
from omni.cartridges.eyes import beside, is_projector
from omni.cartridges.hub import quant_of
from omni.cartridges.inspection import is_later_part, model_stem
from omni.cartridges.unreadable import why_unreadable

MAX_DEPTH = 6
MAX_FILES = 5_000  # in one store
MAX_ENTRIES = 200_000  # looked at in one store
MAX_TEXT = 1 << 20


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A model of another program. With a `problem` there is nothing to open, only something to say."""

    name: str
    origin: Origin
    path: str
    sha256: str | None = None
    title: str = ""
    go_template: str = ""
    system: str = ""
    parameters: dict[str, Any] = {}
    licence: str = ""
    adapter: str = ""
    projector: str = ""
    problem: str = ""
    reason: str = ""
    command: str = ""


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """Where to look: the person's environment, home folder and own folders, and the root of the file system."""

    environment: Mapping[str, str]
    user: Path
    folders: tuple[Path, ...] = ()
    root: Path = Path("/")

    def folder(self, variable: str, *default: str) -> Path:
        """The folder that a variable names, else the one below the home folder."""
        value = self.environment.get(variable, "")
        return Path(os.path.expanduser(value)) if value else self.user.joinpath(*default)


def find_all(around: Surroundings, *, others: bool = True) -> Iterator[Found]:
    """Everything, the stores with the best known names first; `others` false: only the person's own folders."""
    if others:
        yield from find_ollama(around)
        yield from find_lm_studio(around)
        yield from find_hugging_face(around)
        yield from find_llama_cpp(around)
        yield from find_gpt4all(around)
        yield from find_jan(around)
    yield from find_folders(around)


def find_ollama(around: Surroundings) -> Iterator[Found]:
    """Ollama's stores, by their manifests."""
    stores = [
        Path(value) if (value := around.environment.get("OLLAMA_MODELS", "")) else None,
        around.user / ".ollama" / "models",
        around.root / "usr" / "share" / "ollama" / ".ollama" / "models",
    ]
    for store in dict.fromkeys(path for path in stores if path is not None):
        yield from _ollama_store(store)


def _ollama_store(store: Path) -> Iterator[Found]:
    manifests = store / "manifests"
    if (denied := _denied(manifests, "Ollama's models", "ollama")) is not None:
        yield denied
        return
    for path in _walk(manifests, ""):
        parts = path.relative_to(manifests).parts
        if len(parts) >= 3 and (found := _ollama_model(store, path, _ollama_name(parts))):
            yield found


def _ollama_name(parts: tuple[str, ...]) -> str:
    """`registry.ollama.ai/library/llama3.2/3b` is what its users call llama3.2:3b."""
    host, *path, tag = parts
    if host == "registry.ollama.ai":
        return f"{'/'.join(path[1:] if path[0] == 'library' else path)}:{tag}"
    return f"{host}/{'/'.join(path)}:{tag}"


_OLLAMA_NAMES = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "min_p": "min_p",
    "repeat_penalty": "repeat_penalty",
    "seed": "seed",
    "num_predict": "max_tokens",
}


def _ollama_model(store: Path, manifest: Path, name: str) -> Found | None:
    content = _json(manifest)
    layers: dict[str, list[tuple[Path, str]]] = {}
    if not isinstance(content, dict) or not isinstance(content.get("layers"), list):
        return None
    for layer in content["layers"]:
        if not isinstance(layer, dict):
            continue
        digest, kind = str(layer.get("digest", "")), str(layer.get("mediaType", ""))
        if re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
            path = store / "blobs" / digest.replace(":", "-")
            layers.setdefault(kind.rpartition(".")[2], []).append((path, digest[7:]))
    if "model" not in layers:
        if not layers:
            return None
        return Found(
            name=name,
            origin="ollama",
            path=str(manifest),
            problem="unloadable",
            reason="Ollama keeps it in a form of its own, not as GGUF",
        )
    path, sha256 = layers["model"][0]
    chosen = _json(layers["params"][0][0]) if "params" in layers else {}
    chosen = chosen if isinstance(chosen, dict) else {}
    parameters = {
        ours: chosen[theirs] for theirs, ours in _OLLAMA_NAMES.items() if type(chosen.get(theirs)) in (int, float)
    }
    if parameters.get("max_tokens", 1) < 1:  # -1 and -2 mean "as long as it likes"
        del parameters["max_tokens"]
    stop = chosen.get("stop")
    if isinstance(stop, list) and all(isinstance(word, str) for word in stop):
        parameters["stop"] = tuple(stop[:16])
    licence = _text(layers["license"][0][0]) if "license" in layers else ""
    return Found(
        name=name,
        origin="ollama",
        path=str(path),
        sha256=sha256,
        go_template=_text(layers["template"][0][0]) if "template" in layers else "",
        system=_text(layers["system"][0][0]) if "system" in layers else "",
        parameters=parameters,
        licence=licence_of(licence),
        adapter=str(layers["adapter"][0][0]) if "adapter" in layers else "",
        projector=str(layers["projector"][0][0]) if "projector" in layers else "",
    )


def licence_of(text: str) -> str:
    """The licence that a licence's text is; "" when it is none of the usual ones."""
    start = text[:2000].lower()
    for mark, name in (
        ("apache license", "Apache-2.0"),
        ("mit license", "MIT"),
        ("permission is hereby granted, free of charge", "MIT"),
        ("llama 3.3 community", "Llama 3.3"),
        ("llama 3.2 community", "Llama 3.2"),
        ("llama 3.1 community", "Llama 3.1"),
        ("llama 3 community", "Llama 3"),
        ("llama 2 community", "Llama 2"),
        ("gemma terms of use", "Gemma"),
        ("qwen research", "Qwen Research"),
        ("tongyi qianwen", "Qwen"),
    ):
        if mark in start:
            return name
    return ""


def find_lm_studio(around: Surroundings) -> Iterator[Found]:
    """LM Studio: `PUBLISHER/REPOSITORY/FILE.gguf` below its models folder, wherever its settings put that."""
    homes = [around.user / ".lmstudio", around.user / ".cache" / "lm-studio"]
    if pointer := _text(around.user / ".lmstudio-home-pointer").strip():
        homes.insert(0, Path(pointer))
    stores = [home / "models" for home in homes]
    for home in homes:
        settings = _json(home / "settings.json")
        folder = settings.get("downloadsFolder") if isinstance(settings, dict) else None
        if isinstance(folder, str) and folder:
            stores.insert(0, Path(os.path.expanduser(folder)))
    for store in dict.fromkeys(stores):
        if (denied := _denied(store, "LM Studio's models", "lm studio")) is not None:
            yield denied
            continue
        files = list(_models(store))
        per_folder: dict[Path, int] = {}
        for path in files:
            per_folder[path.parent] = per_folder.get(path.parent, 0) + (not is_projector(path.name))
        for path in files:
            name = re.sub(r"[-_]gguf$", "", path.parent.name, flags=re.IGNORECASE).lower()
            if path.parent == store or is_projector(path.name):
                name = model_stem(path.name).lower()
            elif per_folder[path.parent] > 1:  # as LM Studio tells them apart
                name += "@" + (quant_of(path.name).lower() or model_stem(path.name).lower())
            yield Found(name=name, origin="lm studio", path=str(path), projector=_projector(path, files))


def find_hugging_face(around: Surroundings) -> Iterator[Found]:
    """The cache of huggingface_hub: `models--OWNER--NAME/snapshots/REVISION/FILE.gguf`, links to blobs."""
    hub = around.folder("HF_HOME", ".cache", "huggingface") / "hub"
    if not around.environment.get("HF_HOME") and (cache := around.environment.get("XDG_CACHE_HOME")):
        hub = Path(cache) / "huggingface" / "hub"
    store = around.folder("HF_HUB_CACHE", str(hub))
    if (denied := _denied(store, "the Hugging Face cache", "hugging face")) is not None:
        yield denied
        return
    for folder in _listed(store):
        if not folder.name.startswith("models--"):
            continue
        repository = "/".join(folder.name.split("--")[1:])
        current = _text(folder / "refs" / "main").strip()
        snapshots = sorted(_listed(folder / "snapshots"), key=lambda path: (path.name != current, path.name))
        seen = set[str]()
        for snapshot in snapshots:
            files = list(_models(snapshot))
            for path in files:
                inside = str(path.relative_to(snapshot))
                if inside in seen:  # an older revision of the same file
                    continue
                seen.add(inside)
                blob = Path(os.path.realpath(path)).name
                yield Found(
                    name=f"hf.co/{repository}:{quant_of(inside) or model_stem(path.name)}",
                    origin="hugging face",
                    path=str(path),
                    sha256=blob if re.fullmatch("[0-9a-f]{64}", blob) and "-of-" not in path.name else None,
                    projector=_projector(path, files),
                )


def find_llama_cpp(around: Surroundings) -> Iterator[Found]:
    """llama.cpp's own cache of `-hf` downloads: files with a list beside them that says where they came from."""
    stores = [around.folder("LLAMA_CACHE", ".cache", "llama.cpp")]
    if not around.environment.get("LLAMA_CACHE"):
        if cache := around.environment.get("XDG_CACHE_HOME"):
            stores = [Path(cache) / "llama.cpp"]
        stores.append(around.user / "Library" / "Caches" / "llama.cpp")
    for store in stores:
        if (denied := _denied(store, "llama.cpp's cache", "llama.cpp")) is not None:
            yield denied
            continue
        names = {model: (name, eyes) for model, name, eyes in _llama_cpp_names(store)}
        for path in _models(store):
            name, eyes = names.get(path.name, (model_stem(path.name), ""))
            eyes = str(store / eyes) if eyes else ""
            yield Found(name=name, origin="llama.cpp", path=str(path), projector=eyes)


def _llama_cpp_names(store: Path) -> Iterator[tuple[str, str, str]]:
    """A model's file, its name, and the file of its projector or ""."""
    for path in _listed(store):
        if found := re.fullmatch(r"manifest=([^=]+)=([^=]+)=([^=]+)\.json", path.name):
            content = _json(path)
            model, eyes = (
                _llama_cpp_file(content, key, f"{found[1]}_{found[2]}_") for key in ("ggufFile", "mmprojFile")
            )
            if model:
                yield model, f"hf.co/{found[1]}/{found[2]}:{found[3]}", eyes


def _llama_cpp_file(content: Any, key: str, start: str) -> str:
    file = content.get(key) if isinstance(content, dict) else None
    name = file.get("rfilename") if isinstance(file, dict) else None
    return start + name.replace("/", "_") if isinstance(name, str) and name else ""


def find_gpt4all(around: Surroundings) -> Iterator[Found]:
    """GPT4All's downloads."""
    for store in (
        around.user / ".local" / "share" / "nomic.ai" / "GPT4All",
        around.user / "Library" / "Application Support" / "nomic.ai" / "GPT4All",
    ):
        for path in _models(store):
            yield Found(name=model_stem(path.name), origin="gpt4all", path=str(path))


def find_jan(around: Surroundings) -> Iterator[Found]:
    """Jan's models: one folder each, named as Jan names it."""
    for base in (
        around.user / ".local" / "share" / "Jan" / "data",
        around.user / ".config" / "Jan" / "data",
        around.user / "jan",
    ):
        for store in (base / "llamacpp" / "models", base / "models"):
            files = list(_models(store))
            for path in files:
                name = "/".join(path.relative_to(store).parts[:-1])
                yield Found(name=name, origin="jan", path=str(path), projector=_projector(path, files))


def find_folders(around: Surroundings) -> Iterator[Found]:
    """The person's own folders: each model under its file's name."""
    for folder in around.folders:
        if (denied := _denied(folder, str(folder), "folder")) is not None:
            yield denied
            continue
        files = list(_models(folder))
        for path in files:
            yield Found(name=model_stem(path.name), origin="folder", path=str(path), projector=_projector(path, files))


def _denied(store: Path, what: str, origin: Origin) -> Found | None:
    denied = why_unreadable(store)
    if denied is None:
        return None
    return Found(
        name=what,
        origin=origin,
        path=str(store),
        problem="unreadable",
        reason=denied.reason,
        command=denied.command,
    )


def _models(folder: Path) -> Iterator[Path]:
    """The GGUF files below a folder, the first part of those in several."""
    for count, path in enumerate(_walk(folder, ".gguf")):
        if count >= MAX_FILES:
            return
        if not is_later_part(path.name):
            yield path


def _walk(folder: Path, ending: str) -> Iterator[Path]:
    """Files below a folder, sorted, hidden ones left out, no deeper than MAX_DEPTH, links followed without loops."""
    looked, seen = 0, set[tuple[int, int]]()
    stack = [(folder, 0)]
    while stack:
        current, depth = stack.pop()
        try:
            found = current.stat()
            entries = sorted(os.scandir(current), key=lambda entry: entry.name)
        except OSError:
            continue
        if (found.st_dev, found.st_ino) in seen:
            continue
        seen.add((found.st_dev, found.st_ino))
        below = []
        for entry in entries:
            looked += 1
            if looked > MAX_ENTRIES:
                return
            if entry.name.startswith("."):
                continue
            try:
                if entry.is_dir():
                    below.append((Path(entry.path), depth + 1))
                elif entry.name.lower().endswith(ending) and (entry.is_file() or entry.is_symlink()):
                    yield Path(entry.path)
            except OSError:
                continue
        if depth < MAX_DEPTH:
            stack.extend(reversed(below))


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _projector(path: Path, files: list[Path]) -> str:
    return beside(str(path), map(str, files))


def _json(path: Path) -> Any:
    try:
        return json.loads(_text(path) or "null")
    except (ValueError, RecursionError):
        return None


def _text(path: Path) -> str:
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):  # a named pipe would wait for its writer
                return ""
            return file.read(MAX_TEXT).decode("utf-8", "replace")
    except OSError:
        return ""
