"""Reads the header of a GGUF file: what a brain is, without loading it, and whether the file is whole.

The file is taken for hostile. Nothing is allocated from a length that stands in it, only what Omni needs is kept (a
few numbers, names and the chat template), token lists are stepped over, and the number of entries, the length of the
header and the time are bounded. Source: docs/gguf.md of ggml; versions 2 and 3, little endian.
"""

import hashlib
import math
import os
import stat
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal, NoReturn

import msgspec

from omni.cartridges._weights import Weights, plain
from omni.cartridges.ggml import (
    DRAFTING_ARCHITECTURES,
    EMBEDDING_ARCHITECTURES,
    OTHER_ARCHITECTURES,
    POOLINGS,
    TENSOR_TYPES,
)
from omni.cartridges.jinja import fault_of
from omni.core.errors import BadFile, NotFound

MAX_HEADER = 256 << 20  # the largest vocabularies in use take 20 MB
MAX_ENTRIES = 1 << 16  # metadata entries; models have about 50
MAX_TENSORS = 1 << 18  # the largest models have some 10,000
MAX_STRINGS = 8 << 20  # strings in all arrays together; models have about 1 million
MAX_TEXT = 1 << 20  # a text that is kept
MAX_NUMBERS = 4096  # an array of numbers that is kept
MAX_NAME = 63  # bytes of a tensor's name; the engine has no room for more
MAX_KEYS = 512  # entries of its architecture that are remembered by name
_WINDOW = 1 << 18

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_ENDS = ("bos_token_id", "eos_token_id", "add_bos_token", "add_eos_token")
_U32, _U64 = struct.Struct("<I"), struct.Struct("<Q")

Kind = Literal["model", "embedding", "reranker", "adapter", "mmproj", "other"]


class GgufHeader(msgspec.Struct, frozen=True, kw_only=True):
    """What a GGUF file says about itself; sizes in bytes, counts 0 where the file does not say.

    `kv_heads` is the mean over the layers, rounded up, and `kv_elements` the exact number of values that one token
    keeps in the cache of keys and values. `quantisation` is by the file's own word where its tensors agree, else the
    type of most of its weights. `unknown_types` are tensor types that this Omni does not know. `width` is how many
    numbers a token is inside: of a projector what it gives, 0 where an old file does not say. `projector` is a projector's
    kind, and `vision` whether it is for images (others are for sound). `tokenizer` is what llama.cpp calls its kind, and `pooling`
    how a text's vector is made of those of its tokens: "none" where the file does not say.

    What follows decides whether an engine can load it. `kinds` are its tensors without the numbers of their layers
    (`blk.attn_q.weight`), and how many of each there are, `blocks` one more than the highest of those numbers; `keys` the entries of its architecture (`rope.freq_base`);
    `tokens` the texts of its vocabulary, `rows` and `layer_rows` those that its tables of them have; `pretokenizer` what
    llama.cpp calls its way to cut texts, and `merges` whether it says how to join the pieces; `scaling` its way to longer contexts.
    `draft_layers` of its layers only draft. `all_tensors` is how many a model in several files says that it has.
    `template_fault` is why its chat template cannot be read. `type_bytes` is how many bytes there are of each tensor type,
    `layer_bytes` and `expert_bytes` how many of each layer and of its experts, `output_bytes` of what comes after the layers.
    Empty `kinds`: nobody looked. `base_name` is the model that it was trained from, and `base_repository` its place on the hub.
    """

    version: int
    architecture: str
    kind: Kind
    name: str = ""
    size_label: str = ""
    quantisation: str = ""
    licence: str = ""
    context_length: int = 0
    chat_template: str | None = None
    layers: int = 0
    heads: int = 0
    kv_heads: int = 0
    head_dim: int = 0
    kv_elements: int = 0
    width: int = 0
    projector: str = ""
    vision: bool = False
    tokenizer: str = ""
    pooling: str = ""
    sliding_window: int = 0
    experts: int = 0
    experts_used: int = 0
    parameters: int = 0
    tensors: int = 0
    weights_bytes: int = 0
    file_bytes: int = 0
    part: int = 1
    parts: int = 1
    unknown_types: tuple[int, ...] = ()
    kinds: dict[str, int] = {}
    blocks: int = 0
    keys: tuple[str, ...] = ()
    tokens: int = 0
    rows: int = 0
    layer_rows: int = 0
    pretokenizer: str = ""
    merges: bool = False
    scaling: str = ""
    draft_layers: int = 0
    all_tensors: int = 0
    template_fault: str = ""
    type_bytes: dict[str, int] = {}
    layer_bytes: tuple[int, ...] = ()
    expert_bytes: tuple[int, ...] = ()
    output_bytes: int = 0
    base_name: str = ""
    base_repository: str = ""

    @property
    def drafts_ahead(self) -> bool:
        """Whether it has a layer that drafts what follows (multi-token prediction) and that the engine has the code for. More than
        one such layer ends its process in most families."""
        known = self.architecture in DRAFTING_ARCHITECTURES
        return known and self.draft_layers == 1 and self.kinds.get("blk.nextn.eh_proj.weight", 0) == 1

    @property
    def encodes(self) -> bool:
        """Whether every token looks at all others of its text, which must therefore be read at once; nothing follows it."""
        return self.architecture in EMBEDDING_ARCHITECTURES


class Tensor(msgspec.Struct, frozen=True, kw_only=True):
    """One tensor of a file: its type as ggml names it ("?" where this Omni does not know it), the length of its rows first in
    its `shape`, and the byte of the file that it begins at."""

    name: str
    type: str
    shape: tuple[int, ...]
    offset: int


def read_header(path: str | os.PathLike[str]) -> GgufHeader:
    """Read the header of one file.

    Raises NotFound when it is not there and BadFile, with what was expected and what was found, when it cannot be read,
    is no GGUF, is cut off (its tensors reach beyond the end) or contradicts itself.
    """
    with _opened(path) as header:
        return header.read()


def read_shapes(path: str | os.PathLike[str]) -> dict[str, tuple[int, ...]]:
    """The tensors of one file and their lengths in each dimension, the innermost first. Raises as `read_header` does."""
    return {tensor.name: tensor.shape for tensor in read_tensors(path)}


def read_tensors(path: str | os.PathLike[str]) -> list[Tensor]:
    """The tensors of one file, in their order. Raises as `read_header` does."""
    with _opened(path) as header:
        header.read()
        return [
            Tensor(name=name, type=TENSOR_TYPES.get(kind, ("?",))[0], shape=shape, offset=header.begin + offset)
            for name, (kind, shape, offset) in header.tensors.items()
        ]


def read_vocabulary(path: str | os.PathLike[str]) -> str:
    """What tells vocabularies of files apart, "" for a file without one: equal for those whose tokens have equal texts in equal
    order, and begin and end a text alike. Raises as `read_header` does."""
    with _opened(path) as header:
        header.read()
        return header.vocabulary()


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator["_Header"]:
    name = Path(path)
    try:
        # O_NONBLOCK: a named pipe would wait for its writer.
        with os.fdopen(os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise BadFile(f"{name} is no regular file, so it cannot be a model.", hint="Name the GGUF file itself.")
            yield _Header(_Cursor(file, status.st_size, name))
    except FileNotFoundError as error:
        raise NotFound(f"There is no file {name}.") from error
    except OSError as error:
        raise BadFile(f"{name} cannot be read: {error.strerror}.", hint=f"Look at it with `ls -l {name}`.") from error


class _Cursor:
    """Reads forward through a window of the file; a step beyond the end of file or header is a BadFile."""

    def __init__(self, file: IO[bytes], size: int, path: Path) -> None:
        self._file, self.size, self.path = file, size, path
        self._window, self._start, self._at = b"", 0, 0

    @property
    def position(self) -> int:
        return self._start + self._at

    def wrong(self, what: str) -> NoReturn:
        raise BadFile(f"{self.path} is no usable GGUF file: {what}.", hint="Download or copy it again.")

    def truncated(self, needed: int) -> NoReturn:
        raise BadFile(
            f"{self.path} is truncated: it has {self.size:,} bytes and should have at least {needed:,}.",
            hint="Download or copy it again.",
        )

    def _need(self, count: int) -> None:
        """Have `count` bytes (at most a window) at hand."""
        if self._at + count <= len(self._window):
            return
        position = self.position
        if position + count > self.size:
            self.truncated(position + count)
        if position + count > MAX_HEADER:
            self.wrong(f"its header is longer than {MAX_HEADER >> 20} MiB")
        self._file.seek(position)
        self._window, self._start, self._at = self._file.read(max(count, _WINDOW)), position, 0
        if len(self._window) < count:  # it shrank while it was read
            self.truncated(position + count)

    def skip(self, count: int) -> None:
        target = self.position + count
        if target > self.size:
            self.truncated(target)
        if target > MAX_HEADER:
            self.wrong(f"its header is longer than {MAX_HEADER >> 20} MiB")
        if count <= len(self._window) - self._at:
            self._at += count
        else:
            self._window, self._start, self._at = b"", target, 0

    def sum(self, begin: int, end: int) -> str:
        """The SHA-256 of what stands between two places of the file."""
        digest = hashlib.sha256()
        self._file.seek(begin)
        while begin < end and (part := self._file.read(min(_WINDOW, end - begin))):
            digest.update(part)
            begin += len(part)
        return digest.hexdigest()

    def bytes(self, count: int) -> bytes:
        """At most MAX_TEXT bytes; the callers see to that."""
        self._need(count)
        self._at += count
        return self._window[self._at - count : self._at]

    def unpack(self, layout: struct.Struct) -> Any:
        self._need(layout.size)
        self._at += layout.size
        return layout.unpack_from(self._window, self._at - layout.size)[0]

    def u32(self) -> int:
        return int(self.unpack(_U32))

    def u64(self) -> int:
        return int(self.unpack(_U64))

    def text(self, limit: int, what: str) -> str:
        length = self.u64()
        if length > limit:
            self.wrong(f"{what} is {length:,} bytes long, more than {limit:,}")
        return self.bytes(length).decode("utf-8", "replace")

    def skip_strings(self, count: int) -> None:
        """Step over `count` strings, which is where the time goes: hence the local names."""
        unpack, window, at = _U64.unpack_from, self._window, self._at
        for _ in range(count):
            if at + 8 > len(window):
                self._at = at
                self._need(8)
                window, at = self._window, self._at
            at += 8 + unpack(window, at)[0]
            if at > len(window):  # the string ends in a later window, or beyond the file
                self._at = len(window)
                self.skip(at - len(window))
                window, at = self._window, self._at
        self._at = at


class _Header:
    """One reading of one header."""

    def __init__(self, cursor: _Cursor) -> None:
        self._cursor = cursor
        self.begin = 0  # of the tensors
        self._values: dict[str, Any] = {}
        self._lengths: dict[str, int] = {}  # of lists, which are hardly ever kept
        self._strings = 0
        self._no_numbers: dict[str, float] = {}
        self._tokens = (0, 0)  # where their texts stand
        self.tensors: dict[str, tuple[int, tuple[int, ...], int]] = {}

    def read(self) -> GgufHeader:
        cursor = self._cursor
        if cursor.size < 24:
            cursor.wrong(f"it has only {cursor.size} bytes")
        if (magic := cursor.bytes(4)) != b"GGUF":
            cursor.wrong(f"it begins with {magic!r} instead of b'GGUF'")
        version = cursor.u32()
        if version & 0xFFFF == 0 and version:
            cursor.wrong("it is big endian, which no supported machine is")
        if version not in (2, 3):
            cursor.wrong(f"its version is {version}; Omni reads 2 and 3")
        tensors, entries = cursor.u64(), cursor.u64()
        if tensors > MAX_TENSORS or entries > MAX_ENTRIES:
            cursor.wrong(f"it claims {tensors:,} tensors and {entries:,} entries")
        self._read_values(entries)
        weights = self._read_tensors(tensors)
        self.tensors = weights.tensors
        return self._describe(version, tensors, weights)

    def vocabulary(self) -> str:
        """See `read_vocabulary`; of a header that was read."""
        begin, end = self._tokens
        told = [self._values.get(f"tokenizer.ggml.{key}") for key in ("model", *_ENDS)]
        return f"{self._cursor.sum(begin, end)} {told}" if end > begin else ""

    def _read_values(self, entries: int) -> None:
        cursor, seen = self._cursor, set[str]()
        for _ in range(entries):
            key = cursor.text(1024, "the name of an entry")
            if not key:
                cursor.wrong("one of its entries has no name")
            if key in seen:
                cursor.wrong(f"the entry {plain(key)!r} stands in it twice")
            seen.add(key)
            value = self._value(key, cursor.u32())
            if value is not None:
                self._values[key] = value
        prefix = self._text("general.architecture") + "."
        for key, value in self._no_numbers.items():
            if key.startswith(prefix):  # an engine would compute with it, and answer nonsense
                cursor.wrong(f"its entry {plain(key)!r} is {value}, and a number is expected")
        self._keys = tuple(sorted(key.removeprefix(prefix) for key in seen if key.startswith(prefix))[:MAX_KEYS])

    def _value(self, key: str, kind: int) -> Any:
        """The value of an entry, or None when it is stepped over."""
        cursor, wanted = self._cursor, _wanted(key)
        if kind in _SCALARS:
            value = cursor.unpack(struct.Struct("<" + _SCALARS[kind]))
            if isinstance(value, float) and not math.isfinite(value):
                self._no_numbers[key] = value
            return value if wanted else None
        if kind == _STRING:
            if wanted:
                return cursor.text(MAX_TEXT, plain(key))
            cursor.skip(cursor.u64())
            return None
        if kind == _ARRAY:
            return self._array(key, wanted)
        return cursor.wrong(f"the entry {plain(key)!r} has the unknown type {kind}")

    def _array(self, key: str, wanted: bool) -> tuple[int, ...] | None:
        cursor = self._cursor
        kind, count = cursor.u32(), cursor.u64()
        self._lengths[key] = count
        if kind == _STRING:
            self._strings += count
            if self._strings > MAX_STRINGS:
                cursor.wrong(f"its lists hold more than {MAX_STRINGS:,} texts")
            begin = cursor.position
            cursor.skip_strings(count)
            if key == "tokenizer.ggml.tokens":
                self._tokens = (begin, cursor.position)
            return None
        if kind not in _SCALARS:
            cursor.wrong(f"the list {plain(key)!r} has the unknown type {kind}")
        layout = struct.Struct("<" + _SCALARS[kind])
        if not wanted or count > MAX_NUMBERS or _SCALARS[kind] in "fd":
            cursor.skip(count * layout.size)
            return None
        return tuple(int(cursor.unpack(layout)) for _ in range(count))

    def _read_tensors(self, count: int) -> Weights:
        cursor = self._cursor
        alignment = self._values.get("general.alignment", 32)
        if not isinstance(alignment, int) or not 0 < alignment <= 1 << 20 or alignment & (alignment - 1):
            cursor.wrong(f"its alignment {alignment!r} is no power of two")
        weights = Weights(alignment)
        for _ in range(count):
            name = cursor.text(MAX_NAME, "the name of a tensor")
            if (dimensions := cursor.u32()) > 4:
                cursor.wrong(f"the tensor {plain(name)!r} has {dimensions} dimensions")
            shape = [cursor.u64() for _ in range(dimensions)]
            kind, offset = cursor.u32(), cursor.u64()
            elements = 1
            for length in shape:
                elements *= length
            if not 0 < elements < 1 << 48 or offset >= 1 << 48:
                cursor.wrong(f"the tensor {plain(name)!r} has an impossible shape or place")
            if fault := weights.add(plain(name), kind, shape or [1], elements=elements, offset=offset):
                cursor.wrong(f"the tensor {plain(name)!r} {fault}")
        self.begin = -(-cursor.position // alignment) * alignment
        if weights.end and self.begin + weights.end > cursor.size:
            cursor.truncated(self.begin + weights.end)
        return weights

    def _describe(self, version: int, tensors: int, weights: Weights) -> GgufHeader:
        values = self._values
        architecture, template = self._text("general.architecture"), values.get("tokenizer.chat_template")
        kind = _kind(architecture, self._text("general.type"), values, tensors)
        if kind == "model" and not architecture:
            if not _count(values.get("split.no", 0)):
                self._cursor.wrong("it does not say its architecture")
            kind = "other"  # llama.cpp writes what a model is into the first of its files only
        layers, heads = self._number("block_count"), self._mean("attention.head_count")
        width = self._number("embedding_length")
        head_dim = self._number("attention.key_length") or (width // heads if heads else 0)
        return GgufHeader(
            version=version,
            architecture=architecture,
            kind=kind,
            name=self._text("general.name"),
            size_label=self._text("general.size_label"),
            quantisation=weights.quantisation(values.get("general.file_type")),
            licence=self._text("general.license"),
            context_length=self._number("context_length"),
            chat_template=template if isinstance(template, str) else None,
            layers=layers,
            heads=heads,
            kv_heads=self._mean("attention.head_count_kv") or heads,
            head_dim=head_dim,
            kv_elements=self._kv_elements(layers, heads, head_dim),
            width=self._given() if kind == "mmproj" else width,
            projector=self._text("clip.vision.projector_type") or self._text("clip.projector_type"),
            vision=kind == "mmproj" and bool(values.get("clip.has_vision_encoder")),
            tokenizer=self._text("tokenizer.ggml.model"),
            pooling=_pooling(architecture, values),
            sliding_window=self._number("attention.sliding_window"),
            experts=self._number("expert_count"),
            experts_used=self._number("expert_used_count"),
            parameters=weights.elements,
            tensors=tensors,
            weights_bytes=weights.bytes,
            file_bytes=self._cursor.size,
            part=_count(values.get("split.no", 0)) + 1,
            parts=max(1, _count(values.get("split.count", 1))),
            unknown_types=tuple(sorted(weights.unknown)),
            kinds=dict(sorted(weights.kinds.items())),
            blocks=weights.blocks,
            keys=self._keys,
            tokens=self._lengths.get("tokenizer.ggml.tokens", 0),
            rows=weights.rows["token_embd.weight"],
            layer_rows=weights.rows["per_layer_token_embd.weight"],
            pretokenizer=self._text("tokenizer.ggml.pre"),
            merges="tokenizer.ggml.merges" in self._lengths,
            scaling=self._text(f"{architecture}.rope.scaling.type"),
            draft_layers=self._number("nextn_predict_layers"),
            all_tensors=_count(values.get("split.tensors.count", 0)),
            template_fault=fault_of(template) if isinstance(template, str) else "",
            type_bytes=dict(sorted(weights.type_bytes.items())),
            layer_bytes=weights.layer_bytes,
            expert_bytes=weights.expert_bytes,
            output_bytes=weights.output_bytes,
            base_name=self._text("general.base_model.0.name"),
            base_repository=self._text("general.base_model.0.repo_url").partition("huggingface.co/")[2].strip("/"),
        )

    def _given(self) -> int:
        """The width of what a projector gives. Files from before `general.type` was written mean another width by it."""
        return _count(self._values.get("clip.vision.projection_dim", 0)) if "general.type" in self._values else 0

    def _kv_elements(self, layers: int, heads: int, head_dim: int) -> int:
        """Values that one token keeps, over all layers."""
        if rank := self._number("attention.kv_lora_rank"):  # multi-head latent attention keeps one compressed row
            return layers * (rank + self._number("rope.dimension_count"))
        row = head_dim + (self._number("attention.value_length") or head_dim)
        each = self._values.get(f"{self._text('general.architecture')}.attention.head_count_kv")
        if isinstance(each, tuple):
            return sum(_count(number) for number in each) * row
        interval = self._number("full_attention_interval")  # hybrids: only every n-th layer has a cache that grows
        return (layers // interval if interval else layers) * (_count(each) or heads) * row

    def _text(self, key: str) -> str:
        value = self._values.get(key)
        return plain(value)[:200] if isinstance(value, str) else ""

    def _number(self, key: str) -> int:
        value = self._values.get(f"{self._text('general.architecture')}.{key}")
        return max(map(_count, value), default=0) if isinstance(value, tuple) else _count(value)

    def _mean(self, key: str) -> int:
        value = self._values.get(f"{self._text('general.architecture')}.{key}")
        if isinstance(value, tuple):
            return -(-sum(map(_count, value)) // len(value)) if value else 0
        return _count(value)


def _wanted(key: str) -> bool:
    if key.startswith("tokenizer."):
        return key in ("tokenizer.chat_template", *(f"tokenizer.ggml.{each}" for each in ("model", "pre", *_ENDS)))
    return True


def _kind(architecture: str, stated: str, values: Mapping[str, Any], tensors: int) -> Kind:
    if stated == "adapter" or "adapter.type" in values:
        return "adapter"
    if stated in ("mmproj", "projector") or architecture == "clip":
        return "mmproj"
    if stated not in ("", "model") or architecture in OTHER_ARCHITECTURES or not tensors:
        return "other"
    if (pooling := _pooling(architecture, values)) == "rank":
        return "reranker"
    return "embedding" if architecture in EMBEDDING_ARCHITECTURES or pooling != "none" else "model"


def _pooling(architecture: str, values: Mapping[str, Any]) -> str:
    number = values.get(f"{architecture}.pooling_type")
    return POOLINGS.get(number, "unknown") if isinstance(number, int) else "none"


def _count(value: object) -> int:
    """A number of things as a header states it: 0 when it is missing, negative or absurd."""
    return value if isinstance(value, int) and 0 <= value < 1 << 40 else 0
