"""A `StepModel` over llama-cpp-python, by llama.cpp's own functions as that package declares them.

Its own classes are not used: they bring numpy, a disk cache and templates from elsewhere, and answer one chat at a time.
"""

import ctypes
import sys
from array import array
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any

from omni.core.errors import BadFile, SetupError
from omni.engine.llama import BATCH, CANNOT_LOAD, no_room, own_split, ran_out
from omni.engine.stepwise.model import NoRoom
from omni.runtimes import device_rows

PACKAGE = "llama_cpp"
_WARNING, _CONTINUED = 3, 5  # levels of llama.cpp's log
_CPU_TYPES = {"f16": 1, "q8_0": 8}  # ggml's numbers of types that a cache may have
_POOLING = {"": -1, "none": 0, "mean": 1, "cls": 2, "last": 3}
_LONGEST = 512  # bytes of a token; longer ones are asked for again


def functions(packages: Path) -> Any:
    """llama.cpp's functions, from the package below `packages`. Raises SetupError where they cannot be had."""
    package = ModuleType(PACKAGE)
    package.__path__ = [str(packages / PACKAGE)]
    sys.modules[PACKAGE] = package
    try:
        return import_module(f"{PACKAGE}.{PACKAGE}")
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        raise SetupError(
            f"llama-cpp-python cannot be used here: {error}.", hint="Add a wheel that was made for this machine."
        ) from error


class LlamaCppModel:
    """The GGUF at `path`, as the `settings` of a worker say. Raises BadFile with llama.cpp's reason, LoadFailed for want of
    memory, SetupError."""

    def __init__(self, packages: Path, path: str, settings: dict[str, Any]) -> None:
        self._api, self._packages = functions(packages), packages
        api = self._api
        self._log = _Log(api)
        try:
            self.name = f"llama-cpp-python {version('llama-cpp-python')}"
        except PackageNotFoundError:
            self.name = "llama-cpp-python"
        api.llama_backend_init()
        self._model = api.llama_model_load_from_file(path.encode(), self._model_wishes(settings))
        if not self._model:
            raise self._fault(path)
        self._batch_size = int(settings.get("batch", BATCH))
        self._context = api.llama_init_from_model(self._model, self._context_wishes(settings))
        if not self._context:
            raise self._fault(path)
        self._vocabulary = vocabulary = api.llama_model_get_vocab(self._model)
        self._memory = api.llama_get_memory(self._context)
        self._batch = api.llama_batch_init(self._batch_size, 0, 1)
        self._window = int(api.llama_model_n_swa(self._model))
        self.vocabulary = int(api.llama_vocab_n_tokens(vocabulary))
        self.context = int(api.llama_n_ctx_seq(self._context))
        self.template = (api.llama_model_chat_template(self._model, None) or b"").decode("utf-8", "replace")
        self.begins = bool(api.llama_vocab_get_add_bos(vocabulary))
        self.end = max(0, int(api.llama_vocab_eos(vocabulary)))
        self.endings = frozenset(
            token for token in range(self.vocabulary) if api.llama_vocab_is_eog(vocabulary, token)
        ) or frozenset([self.end])
        self.marks = {
            "bos_token": self._text(int(api.llama_vocab_bos(vocabulary))),
            "eos_token": self._text(int(api.llama_vocab_eos(vocabulary))),
        }

    def tokens(self, text: str, *, special: bool, beginning: bool) -> list[int]:
        """See `StepModel`."""
        data = text.encode("utf-8", "replace")
        room = len(data) + 8
        buffer = (ctypes.c_int32 * room)()
        count = self._api.llama_tokenize(self._vocabulary, data, len(data), buffer, room, beginning, special)
        if count < 0:
            raise ValueError("Failed to tokenize prompt")
        return list(buffer[:count])

    def piece(self, token: int) -> bytes:
        """See `StepModel`."""
        return self._piece(token, special=False)

    def words(self) -> list[bytes]:
        """See `StepModel`."""
        control = self._api.LLAMA_TOKEN_ATTR_CONTROL
        words = []
        for token in range(self.vocabulary):
            marked = self._api.llama_vocab_get_attr(self._vocabulary, token) & control
            words.append((b"\xff" if marked else b"") + self._piece(token, special=True))
        return words

    def keep(self, slot: int, count: int) -> bool:
        """See `StepModel`."""
        api, memory = self._api, self._memory
        if not memory:
            return count == 0
        kept = bool(api.llama_memory_seq_rm(memory, slot, count, -1))
        if kept and self._window and count:  # what lies outside of a window may be gone already
            kept = api.llama_memory_seq_pos_min(memory, slot) <= max(0, count - self._window)
        if not kept:
            api.llama_memory_seq_rm(memory, slot, -1, -1)
        return kept or count == 0

    def read(self, slot: int, at: int, tokens: Sequence[int]) -> "array[float]":
        """See `StepModel`."""
        self._decode(slot, at, tokens, every=False)
        start = self._api.llama_get_logits_ith(self._context, -1)
        logits = array("f")
        logits.frombytes(ctypes.string_at(start, self.vocabulary * ctypes.sizeof(ctypes.c_float)))
        return logits

    def vector(self, tokens: Sequence[int]) -> list[float]:
        """See `StepModel`; of length 1."""
        api = self._api
        if self._memory:
            api.llama_memory_clear(self._memory, True)
        self._decode(0, 0, tokens, every=True)
        start = api.llama_get_embeddings_seq(self._context, 0) or api.llama_get_embeddings_ith(self._context, -1)
        values = list(start[: api.llama_model_n_embd_out(self._model)])
        length = sum(value * value for value in values) ** 0.5 or 1.0
        return [value / length for value in values]

    def _decode(self, slot: int, at: int, tokens: Sequence[int], *, every: bool) -> None:
        batch = self._batch
        batch.n_tokens = len(tokens)
        for place, token in enumerate(tokens):
            batch.token[place], batch.pos[place] = token, at + place
            batch.n_seq_id[place], batch.seq_id[place][0] = 1, slot
            batch.logits[place] = every or place == len(tokens) - 1
        code = self._api.llama_decode(self._context, batch)
        if code == 1:
            raise NoRoom
        if code:
            raise RuntimeError(f"llama.cpp cannot compute this: code {code}")

    def _piece(self, token: int, *, special: bool, room: int = _LONGEST) -> bytes:
        buffer = ctypes.create_string_buffer(room)
        count = int(self._api.llama_token_to_piece(self._vocabulary, token, buffer, room, 0, special))
        return buffer.raw[:count] if count >= 0 else self._piece(token, special=special, room=-count)

    def _text(self, token: int) -> str:
        return self._piece(token, special=True).decode("utf-8", "replace") if token >= 0 else ""

    def _model_wishes(self, settings: dict[str, Any]) -> Any:
        wishes = self._api.llama_model_default_params()
        wishes.n_gpu_layers = int(settings.get("gpu_layers", 0))
        if not settings.get("mapped", 1):
            wishes.load_mode = self._api.LLAMA_LOAD_MODE_NONE
        if wishes.n_gpu_layers:
            rows = device_rows(self._packages)
            counts = own_split(settings, [(name, kind, card) for name, _, _, _, kind, card in rows])
            most = int(self._api.llama_max_devices())
            self._split = (ctypes.c_float * most)(*counts[:most])  # kept: llama.cpp reads it later
            wishes.tensor_split = self._split
        if settings.get("cpu_experts"):
            raise SetupError("llama-cpp-python cannot leave experts to the processor.", hint="Choose another engine.")
        return wishes

    def _context_wishes(self, settings: dict[str, Any]) -> Any:
        wishes = self._api.llama_context_default_params()
        wishes.n_ctx = int(settings.get("cells") or settings.get("context") or 4096)
        wishes.n_batch = wishes.n_ubatch = self._batch_size
        wishes.n_seq_max = int(settings.get("slots", 1))
        wishes.kv_unified = True
        threads = int(settings.get("threads", 0))
        if threads > 0:
            wishes.n_threads = wishes.n_threads_batch = threads
        if cache := str(settings.get("cache", "")):
            wishes.type_k = wishes.type_v = _CPU_TYPES[cache]
        wishes.offload_kqv = wishes.op_offload = bool(settings.get("gpu_layers", 0))
        wishes.no_perf = True
        if settings.get("embeddings"):
            wishes.embeddings = True
            wishes.pooling_type = _POOLING[str(settings.get("pooling", ""))]
        return wishes

    def _fault(self, path: str) -> Exception:
        """Why the file could not be loaded."""
        told = self._log.reason
        if ran_out(told):
            return no_room()
        return BadFile(
            f"{CANNOT_LOAD} {Path(path).name}: {told or 'llama.cpp does not say why'}.",
            hint="Verify the file, or try another quantisation of this brain.",
        )


class _Log:
    """Warnings and errors of llama.cpp go to the worker's log; the first error that says something is the `reason`."""

    def __init__(self, api: Any) -> None:
        self.reason = ""
        self._before = 0
        self._callback = api.llama_log_callback(self._hear)  # llama.cpp calls it as long as the process lives
        api.llama_log_set(self._callback, None)

    def _hear(self, level: int, text: bytes, _: Any) -> None:
        level = self._before if level == _CONTINUED else level
        self._before = level
        if level < _WARNING:
            return
        line = text.decode("utf-8", "replace")
        with suppress(OSError):
            sys.stderr.write(line)
            sys.stderr.flush()
        if level > _WARNING:
            told = line.strip().partition(": ")[2].removeprefix("error loading model: ").rstrip(".")
            self.reason = self.reason or told
