"""A `StepModel` over mlx-lm's models, with weights and vocabulary of a GGUF file.

On a graphics processor what MLX has a form for (Q4_0, Q4_1, Q4_K, Q8_0) stays as it is, and other quantised weights are quantised anew to eight
bits. On a processor all of them become plain numbers: with packed ones MLX reads a prompt there at one or two tokens a second. mlx-lm's own way to load is not used: it brings another program's library, and asks for a model in other files.
On Apple silicon nobody has tried it here.
"""

import os
import re
import sys
from array import array
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any

from omni.cartridges import read_header, read_tensors
from omni.core.errors import BadFile
from omni.engine.llama import CANNOT_LOAD
from omni.engine.stepwise.gguf_weights import put_right, unread
from omni.engine.stepwise.vocabulary import CUTS, Vocabulary, VocabularyFacts

ARCHITECTURES = ("llama", "qwen2")
BITS, GROUP = 8, 32  # of weights that are quantised anew
_NAMES = (
    (r"^token_embd\.", "model.embed_tokens."),
    (r"^output_norm\.", "model.norm."),
    (r"^output\.", "lm_head."),
    (r"^blk\.", "model.layers."),
    (r"\.attn_norm\.", ".input_layernorm."),
    (r"\.ffn_norm\.", ".post_attention_layernorm."),
    (r"\.attn_output\.", ".self_attn.o_proj."),
    (r"\.attn_([qkv])\.", r".self_attn.\1_proj."),
    (r"\.ffn_(gate|up|down)\.", r".mlp.\1_proj."),
)
_KNOWN = re.compile(
    r"(token_embd|output_norm|output|blk\.\d+\.(attn_(norm|output|[qkv])|ffn_(norm|gate|up|down)))\.\w+"
)


class MlxModel:
    """The GGUF at `path`, as the `settings` of a worker say; `packed`: quantised weights stay so, else only where there is a graphics
    processor. Raises BadFile for one that it has no model or tokenizer for."""

    def __init__(self, packages: Path, path: str, settings: Mapping[str, Any], *, packed: bool | None = None) -> None:
        os.environ["MLX_DISABLE_COMPILE"] = "1"  # on a processor it would start a compiler
        self._mx = mx = import_module("mlx.core")
        header, tensors = read_header(path), read_tensors(path)
        if header.architecture not in ARCHITECTURES:
            known = " and ".join(ARCHITECTURES)
            raise _refused(path, f"the engine mlx has {known}, and no {header.architecture or 'unnamed architecture'}")
        if kind := unread(tensors):
            raise _refused(path, f"the engine mlx reads no weights of the type {kind}")
        try:
            weights, told = mx.load(path, format="gguf", return_metadata=True)
        except (RuntimeError, ValueError) as error:
            raise _refused(path, str(error)) from error
        facts = _MlxHeader(path, told)
        facts.check(weights)
        put_right(mx, Path(path), tensors, weights)
        self._on_gpu = mx.default_device() == mx.Device(mx.gpu)
        self._packed = self._on_gpu if packed is None else packed
        self._vocabulary = vocabulary = Vocabulary(facts.vocabulary())
        self._model, self._caches = self._built(packages, facts, weights), import_module("mlx_lm.models.cache")
        self._slots: dict[int, Any] = {}
        try:
            self.name = f"mlx-lm {version('mlx-lm')}"
        except PackageNotFoundError:
            self.name = "mlx-lm"
        listed = facts.vocabulary()
        self.vocabulary = len(listed.texts)
        cells = int(settings.get("cells") or settings.get("context") or 4096)
        self.context = min(cells, facts.number("context_length", cells)) if facts.number("context_length", 0) else cells
        self.template = str(told.get("tokenizer.chat_template", ""))
        self.begins = listed.adds_bos
        self.end = max(0, listed.eos)
        self.endings = vocabulary.endings or frozenset([self.end])
        self.marks = {
            "bos_token": listed.texts[listed.bos] if listed.bos >= 0 else "",
            "eos_token": listed.texts[listed.eos] if listed.eos >= 0 else "",
        }
        self.tokens, self.piece, self.words = vocabulary.tokens, vocabulary.piece, vocabulary.words

    def keep(self, slot: int, count: int) -> bool:
        """See `StepModel`."""
        cache = self._slots.get(slot)
        if cache is None or count == 0:
            self._slots.pop(slot, None)
            return count == 0
        self._caches.trim_prompt_cache(cache, cache[0].offset - count)
        return True

    def read(self, slot: int, at: int, tokens: Sequence[int]) -> "array[float]":
        """See `StepModel`."""
        mx = self._mx
        cache = self._slots.get(slot)
        if cache is None:
            cache = self._slots[slot] = self._caches.make_prompt_cache(self._model)
        assert cache[0].offset == at, "a slot has read something else"
        states = self._model.model(mx.array([list(tokens)]), cache=cache)[
            :, -1:
        ]  # no more rows of likelihoods than one
        if "lm_head" in self._model:
            last = self._model.lm_head(states)
        else:
            last = self._model.model.embed_tokens.as_linear(states)
        last = last.reshape(-1).astype(mx.float32)
        mx.eval(last, [layer.state for layer in cache])
        logits = array("f")
        logits.frombytes(bytes(memoryview(last))[: self.vocabulary * logits.itemsize])
        return logits

    def vector(self, tokens: Sequence[int]) -> list[float]:
        """Not offered."""
        raise NotImplementedError

    def _built(self, packages: Path, facts: "_MlxHeader", weights: dict[str, Any]) -> Any:
        """mlx-lm's model with these weights."""
        mx = self._mx
        module = _module(packages, facts.architecture)
        model = module.Model(module.ModelArgs(**facts.arguments("output.weight" in weights)))
        kind = mx.float16 if self._on_gpu else mx.float32  # which a processor computes faster
        named = {}
        for name in list(weights):
            value = weights.pop(name)
            named[_renamed(name)] = value.astype(kind) if value.dtype != mx.uint32 else value
        if facts.quantised:  # some of it, at least
            for part in [name.removesuffix(".weight") for name in named if name.endswith(".weight")]:
                self._pack(part, named) if self._packed else self._unpack(part, named)

        if not self._on_gpu:
            for name, value in named.items():
                if value.ndim == 2 and value.dtype != mx.uint32 and "embed_tokens" not in name:
                    named[name] = mx.contiguous(value.T).T  # MLX's own way through a processor's memory is half as fast
                    mx.eval(named[name])

        def quantised(path: str, _layer: Any) -> Any:
            if f"{path}.scales" not in named:
                return False
            return {"group_size": GROUP, "bits": _bits(named, path)}

        import_module("mlx.nn").quantize(model, group_size=GROUP, bits=BITS, class_predicate=quantised)
        try:
            model.load_weights(list(named.items()))
        except ValueError as error:
            raise _refused(facts.path, f"its weights are not those of its architecture: {str(error)[:200]}") from error
        mx.eval(model.parameters())
        model.eval()
        return model

    def _pack(self, part: str, named: dict[str, Any]) -> None:
        """Quantise what MLX has read as plain numbers."""
        whole = named[f"{part}.weight"]
        if f"{part}.scales" in named or whole.ndim != 2 or whole.shape[-1] % GROUP:
            return
        packed, scales, biases = self._mx.quantize(whole, group_size=GROUP, bits=BITS)
        self._mx.eval(packed, scales, biases)  # one after the other: all of them together take more memory
        named |= {f"{part}.weight": packed, f"{part}.scales": scales, f"{part}.biases": biases}

    def _unpack(self, part: str, named: dict[str, Any]) -> None:
        """Make plain numbers of what MLX has kept packed."""
        if f"{part}.scales" not in named:
            return
        bits = _bits(named, part)
        packed, scales, biases = (named.pop(f"{part}.{name}") for name in ("weight", "scales", "biases"))
        whole = self._mx.dequantize(packed, scales, biases, group_size=GROUP, bits=bits)
        self._mx.eval(whole)
        named[f"{part}.weight"] = whole


class _MlxHeader:
    """What the file says of itself, as MLX reads it."""

    def __init__(self, path: str, told: Mapping[str, Any]) -> None:
        self.path, self._told = path, told
        self.architecture = str(told.get("general.architecture", ""))
        self.quantised = self._number("general.file_type", 0) not in (0, 1, 32)  # plain floats of 32 and 16 bits

    def check(self, weights: Mapping[str, Any]) -> None:
        """Raise BadFile for what would be computed wrongly, or not at all."""
        unknown = next((name for name in weights if not _KNOWN.fullmatch(name)), None)
        if unknown is not None:
            raise _refused(self.path, f"the engine mlx does not know what its tensor {unknown[:80]} is for")
        if (scaling := self._told.get(f"{self.architecture}.rope.scaling.type", "none")) not in ("none", ""):
            raise _refused(self.path, f"the engine mlx does not scale positions by {str(scaling)[:40]}")
        kind, cut = self._told.get("tokenizer.ggml.model"), self._told.get("tokenizer.ggml.pre", "")
        if kind != "gpt2" or cut not in CUTS:
            raise _refused(self.path, f"the engine mlx has no tokenizer {str(kind)[:40]}, {str(cut)[:40]}")

    def number(self, name: str, otherwise: int) -> int:
        """An entry of the architecture."""
        return self._number(f"{self.architecture}.{name}", otherwise)

    def arguments(self, has_output: bool) -> dict[str, Any]:
        """What mlx-lm's model is made with."""
        heads = self.number("attention.head_count", 1)
        arguments: dict[str, Any] = {
            "model_type": self.architecture,
            "hidden_size": self.number("embedding_length", 0),
            "num_hidden_layers": self.number("block_count", 0),
            "intermediate_size": self.number("feed_forward_length", 0),
            "num_attention_heads": heads,
            "num_key_value_heads": self.number("attention.head_count_kv", heads),
            "rms_norm_eps": self._real("attention.layer_norm_rms_epsilon", 1e-5),
            "vocab_size": len(self._told["tokenizer.ggml.tokens"]),
            "rope_theta": self._real("rope.freq_base", 10_000.0),
            "rope_traditional": self.architecture == "llama",  # whose rows llama.cpp's converter puts in another order
            "tie_word_embeddings": not has_output,
        }
        if self.architecture == "llama" and (width := self.number("rope.dimension_count", 0)):
            arguments["head_dim"] = width
        return arguments

    def vocabulary(self) -> VocabularyFacts:
        """Its tokens."""
        told = self._told
        return VocabularyFacts(
            texts=told["tokenizer.ggml.tokens"],
            kinds=told["tokenizer.ggml.token_type"].tolist(),
            merges=told["tokenizer.ggml.merges"],
            cut=told["tokenizer.ggml.pre"],
            bos=self._number("tokenizer.ggml.bos_token_id", -1),
            eos=self._number("tokenizer.ggml.eos_token_id", -1),
            adds_bos=bool(self._number("tokenizer.ggml.add_bos_token", 0)),
        )

    def _number(self, name: str, otherwise: int) -> int:
        value = self._told.get(name)
        return otherwise if value is None else int(value.item())

    def _real(self, name: str, otherwise: float) -> float:
        value = self._told.get(f"{self.architecture}.{name}")
        return otherwise if value is None else float(value.item())


def _module(packages: Path, architecture: str) -> Any:
    """mlx-lm's module for an architecture, without all else that its package imports."""
    package = ModuleType("mlx_lm")
    package.__path__ = [str(packages / "mlx_lm")]
    sys.modules["mlx_lm"] = package
    return import_module(f"mlx_lm.models.{architecture}")


def _renamed(name: str) -> str:
    for pattern, name_there in _NAMES:
        name = re.sub(pattern, name_there, name)
    return name


def _bits(named: Mapping[str, Any], part: str) -> int:
    """How many a packed weight has for each number."""
    return int(named[f"{part}.weight"].shape[-1]) * 32 // (int(named[f"{part}.scales"].shape[-1]) * GROUP)


def _refused(path: str, why: str) -> BadFile:
    return BadFile(
        f"{CANNOT_LOAD} {Path(path).name}: {why.rstrip('.')}.",
        hint="Another engine may: `omni engine use auto`.",
    )
