"""What `llama.parameters` says, as the command line of llama.cpp's own server: one line for each.

Builds differ in what they know. What a build does not name in its `--help` is left out where a worker is right without it,
and refused in words where it is not.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from omni.core.errors import SetupError
from omni.engine.llama import CHECKPOINTS, DRAFTED, KNOWN, QUIET, SPEAKERS, batches, looked_up, used_devices

_FLAGS = re.compile(r"^\s{0,8}(-{1,2}[a-zA-Z][\w-]*(?:,\s+-{1,2}[a-zA-Z][\w-]*)*)", re.MULTILINE)
_LEVELS = re.compile(r"\b2: warning\b")  # builds that have none of this count verbosity the other way around


class ServerHelp:
    """What a server knows, by its `--help`."""

    def __init__(self, text: str) -> None:
        self.flags = frozenset(flag for match in _FLAGS.findall(text) for flag in re.split(r",\s+", match))
        self.has_levels = _LEVELS.search(text) is not None
        self.has_heads = "draft-mtp" in text
        self.joins_adapters = "comma-separated values to load multiple" in " ".join(text.split())


def arguments(path: str, socket: str, key_file: str, settings: Mapping[str, Any], known: ServerHelp) -> list[str]:
    """The arguments of a server for the GGUF at `path`; its key is read from `key_file`, and stands in no argument.

    Raises SetupError for a build that lacks what a worker needs.
    """
    slots, threads = int(settings.get("slots", 1)), int(settings.get("threads", 0)) or -1
    together, computed = batches(settings)
    line = _CommandLine(known)
    line.needs("--model", path)
    line.needs("--host", socket)
    line.needs("--api-key-file", key_file)
    line.needs("--parallel", str(slots))
    line.needs("--kv-unified")
    line.needs("--ctx-size", str(int(settings.get("cells") or settings.get("context") or 4096)))
    line.needs("--batch-size", str(together))
    line.needs("--ubatch-size", str(computed))
    line.needs("--threads", str(threads))
    line.needs("--threads-batch", str(threads))
    line.needs("--slots")
    line.takes("--metrics")
    line.takes("--threads-http", str(slots + SPEAKERS))
    line.takes("--cache-ram", "0")
    line.takes("--no-cache-idle-slots")
    line.takes("--ctx-checkpoints", str(CHECKPOINTS))
    line.takes("--slot-prompt-similarity", "0.5")
    if settings.get("mapped", 1):
        line.takes("--load-mode", "mmap")
    else:
        line.takes("--load-mode", "none") or line.takes("--no-mmap")
    line.takes("--fit", "off")
    line.takes("--no-warmup")
    line.takes("--no-ui") or line.takes("--no-webui")
    line.takes("--offline")
    _place(line, settings)
    if threads > 0:
        line.takes("--poll", "0")
    if cache := str(settings.get("cache", "")):
        line.needs("--cache-type-k", cache)
        line.needs("--cache-type-v", cache)
    guessing = []
    if settings.get("speculation") and line.takes("--spec-ngram-map-k4v-size-n", str(KNOWN)):
        guessing.append("ngram-map-k4v")
        line.takes("--spec-ngram-map-k4v-size-m", str(looked_up(settings)))
    draft = str(settings.get("draft", ""))
    if settings.get("mtp") and known.has_heads:
        guessing.append("draft-mtp")
    elif draft and line.takes("--spec-draft-model", draft):
        guessing.append("draft-simple")
    if guessing and guessing[-1].startswith("draft-"):
        line.takes("--spec-draft-n-max", str(DRAFTED[0]))
        line.takes("--spec-draft-p-min", str(DRAFTED[1]))
        line.takes("--spec-draft-ngl", "0")
    if guessing:
        line.takes("--spec-type", ",".join(guessing))
    if folder := str(settings.get("prefixes", "")):
        line.takes("--slot-save-path", f"{folder}/")
    if known.has_levels:
        line.takes("--verbosity", str(QUIET))
    line.takes("--log-prefix")
    line.takes("--log-timestamps")
    template = str(settings.get("chat_template", ""))
    line.takes("--no-jinja" if template and "{" not in template else "--jinja")
    if template:
        line.needs("--chat-template", template)
    if settings.get("embeddings"):
        line.needs("--embeddings")
        if pooling := str(settings.get("pooling", "")):
            line.needs("--pooling", pooling)
    if projector := str(settings.get("projector", "")):
        line.needs("--mmproj", projector)
        line.takes("--no-mmproj-offload")
    adapters: list[str] = json.loads(str(settings.get("adapters", "[]")))
    if adapters:
        line.needs("--lora-init-without-apply")
        for files in [",".join(adapters)] if known.joins_adapters else adapters:
            line.needs("--lora", files)
    return line.words


def _place(line: "_CommandLine", settings: Mapping[str, Any]) -> None:
    """What lies where. Without devices a build that has some leaves them alone."""
    used = used_devices(settings)
    if not used:
        line.takes("--device", "none")
        line.takes("--gpu-layers", "0") or line.takes("--n-gpu-layers", "0")
        return
    layers = str(int(settings["gpu_layers"]))
    if not line.takes("--gpu-layers", layers):
        line.needs("--n-gpu-layers", layers)
    line.needs("--device", ",".join(name for name, _ in used))
    if len(used) > 1:
        line.needs("--tensor-split", ",".join(str(count) for _, count in used))
    if experts := int(settings.get("cpu_experts", 0)):
        line.needs("--n-cpu-moe", str(experts))


class _CommandLine:
    def __init__(self, known: ServerHelp) -> None:
        self._known = known
        self.words: list[str] = []

    def takes(self, flag: str, *value: str) -> bool:
        """Add a flag where the build knows it; returns whether it does."""
        if flag not in self._known.flags:
            return False
        self.words += [flag, *value]
        return True

    def needs(self, flag: str, *value: str) -> None:
        """The same for a flag without which nothing is right."""
        if not self.takes(flag, *value):
            raise SetupError(
                f"This build of llama-server does not know {flag}, which a worker needs.",
                hint="Add a newer build, and choose another engine meanwhile: `omni engine use auto`.",
            )
