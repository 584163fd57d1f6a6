"""The tensors of a GGUF file, added up as its header is read: how many, how large, of what types and kinds."""

import re
from collections import Counter

from omni.cartridges.ggml import FILE_TYPES, TENSOR_TYPES

MAX_LAYERS = 4096  # whose bytes are told apart
MAX_KINDS = 1024  # kinds of tensors that are told apart; the richest models have about 60

_LAYER = re.compile(r"^((?:enc\.|dec\.)?(?:blk|posnet|convnext))\.(\d{1,6})\.")
_TABLES = ("token_embd.weight", "per_layer_token_embd.weight")  # have a row for each text of the vocabulary
_EXPERT = re.compile(r"_(?:ch)?exps\.")


class Weights:
    """Sums over the tensors of one file, whose places are multiples of `alignment`."""

    def __init__(self, alignment: int) -> None:
        self.elements = self.bytes = self.end = 0
        self.unknown: set[int] = set()
        self.rows = dict.fromkeys(_TABLES, 0)
        self.kinds: Counter[str] = Counter()
        self.blocks = 0  # one more than the highest number of a layer
        self._alignment = alignment
        self.tensors: dict[str, tuple[int, tuple[int, ...], int]] = {}  # type, shape, place
        self._next: int | None = 0  # where the next tensor begins; None once the length of one is not known
        self.type_bytes: Counter[str] = Counter()
        self._types: Counter[str] = Counter()
        self._layers: Counter[int] = Counter()
        self._experts: Counter[int] = Counter()
        self._tables: Counter[str] = Counter()

    def add(self, name: str, kind: int, shape: list[int], *, elements: int, offset: int) -> str:
        """Take one in; what is wrong with it, or "". ggml reads them only one after the other, without holes."""
        if name in self.tensors:
            return "stands in it twice"
        self.tensors[name] = kind, tuple(shape), offset
        if offset % self._alignment:
            return f"begins at {offset:,}, which is not a multiple of {self._alignment}"
        if self._next is not None and offset != self._next:
            return f"begins at {offset:,}, where {self._next:,} is expected"
        self._tell_apart(name)
        if name in _TABLES:
            self.rows[name] = shape[1] if len(shape) > 1 else 1
        self.elements += elements
        if kind not in TENSOR_TYPES:
            self.unknown.add(kind)
            self.end, self._next = max(self.end, offset), None
            return ""
        title, block, size = TENSOR_TYPES[kind]
        if shape[0] % block:
            return f"has rows that are no multiple of {block}, as {title} needs"
        length = elements // block * size
        self._types[title] += elements
        self.type_bytes[title] += length
        self.bytes += length
        self._place(name, length)
        self.end = max(self.end, offset + length)
        if self._next is not None:
            self._next = -(-(offset + length) // self._alignment) * self._alignment
        return ""

    @property
    def layer_bytes(self) -> tuple[int, ...]:
        """Bytes of each layer."""
        return tuple(self._layers[at] for at in range(min(self.blocks, MAX_LAYERS)))

    @property
    def expert_bytes(self) -> tuple[int, ...]:
        """Bytes of each layer's experts; empty where there are none."""
        return tuple(self._experts[at] for at in range(min(self.blocks, MAX_LAYERS))) if self._experts else ()

    @property
    def output_bytes(self) -> int:
        """Bytes of what comes after the layers: where that has no table of its own, it is the one of the texts again."""
        rest = self.bytes - sum(self._layers.values()) - sum(self._tables.values())
        return rest if "output.weight" in self.kinds else rest + self._tables[_TABLES[0]]

    def quantisation(self, claimed: object) -> str:
        """The file's word where a tensor agrees with it, else the type of most weights."""
        if isinstance(claimed, int) and (entry := FILE_TYPES.get(claimed & ~1024)):
            name, types = entry
            if any(self._types[each] for each in types):
                return name
        return self._types.most_common(1)[0][0] if self._types else ""

    def _place(self, name: str, length: int) -> None:
        """Count the bytes of a tensor where an engine puts them."""
        if name in _TABLES:
            self._tables[name] += length
        elif (match := _LAYER.match(name)) and match[1] == "blk" and int(match[2]) < MAX_LAYERS:
            self._layers[int(match[2])] += length
            if _EXPERT.search(name):
                self._experts[int(match[2])] += length

    def _tell_apart(self, name: str) -> None:
        short = name
        if match := _LAYER.match(name):
            short = f"{match[1]}.{name[match.end() :]}"
            if match[1] == "blk":
                self.blocks = max(self.blocks, int(match[2]) + 1)
        if short in self.kinds or len(self.kinds) < MAX_KINDS:
            self.kinds[short] += 1


def plain(text: str) -> str:
    """Without characters that could move a terminal's cursor or reorder a line."""
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()
