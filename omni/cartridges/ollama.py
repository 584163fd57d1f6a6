"""Finds the models of Ollama: by the manifests of its store, under the names that its users type. Opens no model."""

import re
from collections.abc import Iterator
from pathlib import Path

from omni.cartridges._instead import ANY
from omni.cartridges.stores import ForeignModel, Surroundings, denied, json_of, text_of, walk


def find_ollama(around: Surroundings) -> Iterator[ForeignModel]:
    """Ollama's stores, by their manifests."""
    stores = [
        Path(value) if (value := around.environment.get("OLLAMA_MODELS", "")) else None,
        around.user / ".ollama" / "models",
        around.root / "usr" / "share" / "ollama" / ".ollama" / "models",
    ]
    for store in dict.fromkeys(path for path in stores if path is not None):
        yield from _ollama_store(store)


def _ollama_store(store: Path) -> Iterator[ForeignModel]:
    manifests = store / "manifests"
    if (shut := denied(manifests, "Ollama's models", "ollama")) is not None:
        yield shut
        return
    for path in walk(manifests):
        parts = path.relative_to(manifests).parts
        if len(parts) >= 3 and (model := _ollama_model(store, path, _ollama_name(parts))):
            yield model


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


def _ollama_model(store: Path, manifest: Path, name: str) -> ForeignModel | None:
    content = json_of(manifest)
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
        return ForeignModel(
            name=name,
            origin="ollama",
            path=str(manifest),
            problem="unloadable",
            reason="Ollama keeps it in a form of its own, not as GGUF",
            command=ANY,
        )
    if problem := _not_one_file(layers["model"]):
        return ForeignModel(name=name, origin="ollama", path=str(manifest), problem="unloadable", reason=problem)
    path, sha256 = layers["model"][0]
    chosen = json_of(layers["params"][0][0]) if "params" in layers else {}
    chosen = chosen if isinstance(chosen, dict) else {}
    parameters = {
        ours: chosen[theirs] for theirs, ours in _OLLAMA_NAMES.items() if type(chosen.get(theirs)) in (int, float)
    }
    if parameters.get("max_tokens", 1) < 1:  # -1 and -2 mean "as long as it likes"
        del parameters["max_tokens"]
    stop = chosen.get("stop")
    if isinstance(stop, list) and all(isinstance(word, str) for word in stop):
        parameters["stop"] = tuple(stop[:16])
    licence = text_of(layers["license"][0][0]) if "license" in layers else ""
    return ForeignModel(
        name=name,
        origin="ollama",
        path=str(path),
        sha256=sha256,
        go_template=text_of(layers["template"][0][0]) if "template" in layers else "",
        system=text_of(layers["system"][0][0]) if "system" in layers else "",
        parameters=parameters,
        licence=licence_of(licence),
        adapter=str(layers["adapter"][0][0]) if "adapter" in layers else "",
        projector=str(layers["projector"][0][0]) if "projector" in layers else "",
    )


def _not_one_file(layers: list[tuple[Path, str]]) -> str:
    """Why the model that these layers are cannot be opened; "" where it is one file."""
    if len(layers) > 1:
        return f"Ollama keeps it in {len(layers)} files, whose names do not tell this engine that they are one model"
    path = layers[0][0]
    if not path.exists() and path.with_name(f"{path.name}-partial").exists():
        return "Ollama has not finished its download"
    return ""


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
