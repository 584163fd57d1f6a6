"""The names of brains: what a person typed, which brain that is, and what else may have been meant."""

import re
from collections.abc import Collection, Iterable
from pathlib import Path

from omni.cartridges.brains import Brain
from omni.cartridges.inspection import model_stem
from omni.cartridges.manifest import Facts
from omni.core.errors import NotFound, nearest

_OLLAMA = re.compile(r"[a-z0-9][\w.-]*(?:/[\w.-]+)*(?::[\w.-]+)?", re.IGNORECASE)
_EMBEDDERS = ("embed", "minilm", "bge-")  # in the names of models for vectors
_RERANKER = "rerank"  # in the names of those that rank texts
EMBEDDER_HINT = "`omni pull @omni/nomic-embed` fetches an embedding model (146 MB). Any other GGUF of one will do: `omni pull FILE`."
RERANKER_HINT = "`omni pull @omni/qwen3-reranker-0.6b` fetches a reranker (640 MB). Any other GGUF of one will do: `omni pull FILE`."


def find(name: str, names: Collection[str]) -> str | None:
    """The one of `names` that is meant: itself, with `:latest`, in another case, or `coder` for `@omni/coder`."""
    for candidate in (name, f"{name}:latest"):
        if candidate in names:
            return candidate
    lower = name.lower()
    folded = [each for each in names if each.lower() in (lower, f"{lower}:latest")]
    if len(folded) == 1:
        return folded[0]
    short = [each for each in names if each.startswith("@") and each.partition("/")[2].lower() == lower]
    return short[0] if len(short) == 1 else None


def ollama_form(name: str) -> bool:
    """Whether the name looks like one of Ollama's (`llama3.2:3b`)."""
    return _OLLAMA.fullmatch(name) is not None


def is_path(name: str) -> bool:
    """Whether a file or folder is meant: it begins like a path, ends in `.gguf`, or `~`."""
    if "://" in name or name.startswith(("hf.co/", "huggingface.co/", "@")):
        return False
    return name.startswith(("/", "./", "../", "~", ".")) or (name.lower().endswith(".gguf") and Path(name).exists())


def slug(file: str) -> str:
    """A file's name as the second half of a brain's name."""
    plain = re.sub(r"[^a-z0-9._-]+", "-", model_stem(file).lower()).strip("-._")
    return plain[:60] or "brain"


def not_found(name: str, brains: Iterable[Brain]) -> NotFound:
    """The error for a name that nothing has, with the nearest name and where such a brain could come from."""
    brains = list(brains)
    names = [brain.name for brain in brains]
    near = nearest(name, names)
    if near:
        return NotFound(f"There is no brain named {name!r}.", hint=near)
    if name.startswith(("hf.co/", "huggingface.co/", "https://", "http://")):
        return NotFound(f"{name} is not on this machine.", hint=f"Fetch it: omni pull {name}")
    if _RERANKER in name.lower():
        return NotFound(f"There is no brain named {name!r}.", hint=RERANKER_HINT)
    if any(word in name.lower() for word in _EMBEDDERS):
        return NotFound(f"There is no brain named {name!r}.", hint=EMBEDDER_HINT)
    if ollama_form(name):
        alike = nearest_offer(name, brains)
        suggestion = f"Nearest in the catalogue: {alike.name} ({alike.title}). " if alike else ""
        return NotFound(
            f"Neither Omni nor Ollama's store has a brain named {name!r}.",
            hint=f"{suggestion}Any GGUF of the hub: omni pull hf.co/OWNER/REPOSITORY:QUANT",
        )
    return NotFound(f"There is no brain named {name!r}.", hint="`omni ls` lists all brains.")


def nearest_offer(name: str, brains: Iterable[Brain]) -> Brain | None:
    """The catalogue entry that comes closest to a name of Ollama's: by family, else by the number of weights."""
    offers = [
        brain
        for brain in brains
        if brain.manifest is not None and brain.makes == "answers" and not brain.shares and not brain.starter
    ]
    if not offers:
        return None
    wanted = name.rpartition("/")[2].lower().removesuffix(":latest").replace(":", "-")
    by_word = {brain.name.partition("/")[2]: brain for brain in offers}
    from difflib import get_close_matches

    if closest := get_close_matches(wanted, by_word, n=1, cutoff=0.6):
        return by_word[closest[0]]
    size = re.search(r"(\d+(?:\.\d+)?)b(?![a-z0-9])", wanted)
    weights = float(size[1]) * 1e9 if size else 4e9
    return min(offers, key=lambda brain: abs(_weights(brain) - weights))


def _weights(brain: Brain) -> float:
    facts = brain.manifest.base if brain.manifest else None
    return float(facts.parameters) if isinstance(facts, Facts) else 0.0
