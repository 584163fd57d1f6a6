"""An embedding model of random numbers, small enough to be computed here as well: what the engine makes of it can be
compared with what BERT's paper says."""

import math
import random
import struct
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

WIDTH, INSIDE, HEADS, CONTEXT = 32, 64, 2, 64
EPSILON = 1e-12
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORDS = ("▁the", "▁a", "▁sea", "▁hill", "▁uber", "▁海", "s", "▁ᄒ", "ᅡ", "ᆫ", "▁!", "▁word")
VOCABULARY = SPECIAL + WORDS

Matrix = list[list[float]]
Weights = dict[str, Matrix]


RANK = 4


class Bert:
    """One layer of BERT with random weights. `pooling` as llama.cpp numbers it; None: the file does not say. With RANK it has
    the head of a cross-encoder, which makes one number of a question and a text."""

    def __init__(self, *, pooling: int | None = 1) -> None:
        self.pooling = pooling
        dice = random.Random(7)
        shapes = {"token_embd": (len(VOCABULARY), WIDTH), "token_types": (2, WIDTH), "position_embd": (CONTEXT, WIDTH)}
        shapes |= {f"blk.0.attn_{part}": (WIDTH, WIDTH) for part in ("q", "k", "v", "output")}
        shapes |= {"blk.0.ffn_up": (INSIDE, WIDTH), "blk.0.ffn_down": (WIDTH, INSIDE)}
        self.weights: Weights = {
            f"{name}.weight": [[dice.gauss(0, 0.4) for _ in range(width)] for _ in range(height)]
            for name, (height, width) in shapes.items()
        }
        for name, (height, _) in shapes.items():
            if name.startswith("blk"):
                self.weights[f"{name}.bias"] = [[dice.gauss(0, 0.2) for _ in range(height)]]
        for name in ("token_embd_norm", "blk.0.attn_output_norm", "blk.0.layer_output_norm"):
            self.weights[f"{name}.weight"] = [[dice.gauss(1, 0.2) for _ in range(WIDTH)]]
            self.weights[f"{name}.bias"] = [[dice.gauss(0, 0.2) for _ in range(WIDTH)]]
        if pooling == RANK:
            self.weights["cls.weight"] = [[dice.gauss(0, 0.4) for _ in range(WIDTH)] for _ in range(WIDTH)]
            self.weights["cls.bias"] = [[dice.gauss(0, 0.2) for _ in range(WIDTH)]]
            self.weights["cls.output.weight"] = [[dice.gauss(0, 0.8) for _ in range(WIDTH)]]
            self.weights["cls.output.bias"] = [[-4.0]]

    def vector(self, *words: str) -> list[float]:
        """The vector of a text that is made of these entries of the vocabulary."""
        rows = self._read("[CLS]", *words, "[SEP]")
        pooled = rows[0] if self.pooling == 2 else [sum(column) / len(rows) for column in zip(*rows, strict=True)]
        length = math.sqrt(sum(value * value for value in pooled))
        return [value / length for value in pooled]

    def relevance(self, query: Sequence[str], text: Sequence[str]) -> float:
        """What the head makes of a question and a text, as sentence-transformers and transformers compute it; 0 to 1."""
        rows = self._read("[CLS]", *query, "[SEP]", *text, "[SEP]")
        pooled = [math.tanh(value) for value in self._linear("cls", rows[0])]
        return 1 / (1 + math.exp(-self._linear("cls.output", pooled)[0]))

    def _read(self, *entries: str) -> Matrix:
        """What becomes of every token of a text."""
        numbers = [VOCABULARY.index(word) for word in entries]
        weights = self.weights
        rows = [
            [
                one + kind + place
                for one, kind, place in zip(
                    weights["token_embd.weight"][number],
                    weights["token_types.weight"][0],
                    weights["position_embd.weight"][at],
                    strict=True,
                )
            ]
            for at, number in enumerate(numbers)
        ]
        rows = [self._norm("token_embd_norm", row) for row in rows]
        rows = [self._norm("blk.0.attn_output_norm", _sum(*both)) for both in zip(rows, self._seen(rows), strict=True)]
        return [self._norm("blk.0.layer_output_norm", _sum(row, self._thought(row))) for row in rows]

    def write(self, path: Path) -> Path:
        """As a GGUF file, with the names of llama.cpp's own conversion."""
        meta: dict[str, Any] = {
            "general.architecture": "bert",
            "general.type": "model",
            "general.name": "Tiny Bert",
            "general.file_type": 0,
            "bert.block_count": 1,
            "bert.context_length": CONTEXT,
            "bert.embedding_length": WIDTH,
            "bert.feed_forward_length": INSIDE,
            "bert.attention.head_count": HEADS,
            "bert.attention.layer_norm_epsilon": EPSILON,
            "bert.attention.causal": False,
            "tokenizer.ggml.model": "bert",
            "tokenizer.ggml.pre": "default",
            "tokenizer.ggml.tokens": list(VOCABULARY),
            "tokenizer.ggml.token_type": [3] * len(SPECIAL) + [1] * len(WORDS),
            "tokenizer.ggml.token_type_count": 2,
            "tokenizer.ggml.padding_token_id": 0,
            "tokenizer.ggml.unknown_token_id": 1,
            "tokenizer.ggml.bos_token_id": 2,
            "tokenizer.ggml.seperator_token_id": 3,
            "tokenizer.ggml.mask_token_id": 4,
        }
        if self.pooling == RANK:  # so that a pair is [CLS] question [SEP] text [SEP], as BERT has it
            meta |= {"tokenizer.ggml.eos_token_id": 3, "tokenizer.ggml.add_eos_token": True}
            meta["tokenizer.ggml.add_sep_token"] = False
        if self.pooling is not None:
            meta["bert.pooling_type"] = self.pooling
        return _write(path, meta, self.weights)

    def _seen(self, rows: Matrix) -> Matrix:
        """What every token takes from all others."""
        queries, keys, values = ([self._linear(f"blk.0.attn_{part}", row) for row in rows] for part in "qkv")
        size = WIDTH // HEADS
        attended: Matrix = [[] for _ in rows]
        for start in range(0, WIDTH, size):
            part = slice(start, start + size)
            for at, query in enumerate(queries):
                likely = [math.exp(_product(query[part], key[part]) / math.sqrt(size)) for key in keys]
                shares = [value / sum(likely) for value in likely]
                attended[at] += [
                    _product(shares, column) for column in zip(*(value[part] for value in values), strict=True)
                ]
        return [self._linear("blk.0.attn_output", row) for row in attended]

    def _thought(self, row: list[float]) -> list[float]:
        up = self._linear("blk.0.ffn_up", row)
        return self._linear("blk.0.ffn_down", [value * (1 + math.erf(value / math.sqrt(2))) / 2 for value in up])

    def _linear(self, name: str, row: list[float]) -> list[float]:
        products = [_product(line, row) for line in self.weights[f"{name}.weight"]]
        return _sum(products, self.weights[f"{name}.bias"][0])

    def _norm(self, name: str, row: list[float]) -> list[float]:
        mean = sum(row) / len(row)
        spread = math.sqrt(sum((value - mean) ** 2 for value in row) / len(row) + EPSILON)
        scaled = [(value - mean) / spread for value in row]
        (weight,), (bias,) = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        return _sum([value * each for value, each in zip(scaled, weight, strict=True)], bias)


RANK_TEMPLATE = "q: {query}\nd: {document}\n"


class Ranker:
    """One layer of Qwen3 with random weights and the head of its rerankers, which says yes or no; a letter is a token."""

    def __init__(self) -> None:
        dice = random.Random(11)
        self.tokens = [*"abcdefghijklmnopqrstuvwxyz:!", "Ġ", "Ċ", "<|endoftext|>", "qz"]
        shapes = {"token_embd": (len(self.tokens), WIDTH), "cls.output": (2, WIDTH)}
        shapes |= {"blk.0.attn_q": (WIDTH, WIDTH), "blk.0.attn_output": (WIDTH, WIDTH)}
        shapes |= {f"blk.0.attn_{part}": (WIDTH // HEADS, WIDTH) for part in "kv"}
        shapes |= {
            "blk.0.ffn_gate": (INSIDE, WIDTH),
            "blk.0.ffn_up": (INSIDE, WIDTH),
            "blk.0.ffn_down": (WIDTH, INSIDE),
        }
        self.weights: Weights = {
            f"{name}.weight": [[dice.gauss(0, 0.4) for _ in range(width)] for _ in range(height)]
            for name, (height, width) in shapes.items()
        }
        norms = {"output_norm": WIDTH, "blk.0.attn_norm": WIDTH, "blk.0.ffn_norm": WIDTH}
        norms |= {"blk.0.attn_q_norm": WIDTH // HEADS, "blk.0.attn_k_norm": WIDTH // HEADS}
        for name, width in norms.items():
            self.weights[f"{name}.weight"] = [[dice.gauss(1, 0.2) for _ in range(width)]]

    def relevance(self, query: str, text: str) -> float:
        """The chance of a yes beside that of a no, after the words that ask for it."""
        asked = RANK_TEMPLATE.format(query=query, document=text).replace(" ", "Ġ").replace("\n", "Ċ")
        rows = [list(self.weights["token_embd.weight"][self.tokens.index(letter)]) for letter in asked]
        normed = [self._norm("blk.0.attn_norm", row) for row in rows]
        last = _sum(rows[-1], self._seen(normed))
        thought = self._norm("blk.0.ffn_norm", last)
        gate, up = self._linear("blk.0.ffn_gate", thought), self._linear("blk.0.ffn_up", thought)
        gated = [one / (1 + math.exp(-one)) * other for one, other in zip(gate, up, strict=True)]
        last = self._norm("output_norm", _sum(last, self._linear("blk.0.ffn_down", gated)))
        yes, no = self._linear("cls.output", last)
        return math.exp(yes) / (math.exp(yes) + math.exp(no))

    def write(self, path: Path) -> Path:
        """As a GGUF file, with the names of llama.cpp's own conversion."""
        meta: dict[str, Any] = {
            "general.architecture": "qwen3",
            "general.type": "model",
            "general.name": "Tiny Ranker",
            "general.file_type": 0,
            "qwen3.block_count": 1,
            "qwen3.context_length": CONTEXT,
            "qwen3.embedding_length": WIDTH,
            "qwen3.feed_forward_length": INSIDE,
            "qwen3.attention.head_count": HEADS,
            "qwen3.attention.head_count_kv": 1,
            "qwen3.attention.key_length": WIDTH // HEADS,
            "qwen3.attention.value_length": WIDTH // HEADS,
            "qwen3.attention.layer_norm_rms_epsilon": EPSILON,
            "qwen3.rope.freq_base": 10000.0,
            "qwen3.pooling_type": RANK,
            "qwen3.classifier.output_labels": ["yes", "no"],
            "tokenizer.ggml.model": "gpt2",
            "tokenizer.ggml.pre": "qwen2",
            "tokenizer.ggml.tokens": self.tokens,
            "tokenizer.ggml.token_type": [1] * (len(self.tokens) - 2) + [3, 1],
            "tokenizer.ggml.merges": ["q z"],
            "tokenizer.ggml.eos_token_id": len(self.tokens) - 2,
            "tokenizer.ggml.padding_token_id": len(self.tokens) - 2,
            "tokenizer.ggml.add_bos_token": False,
            "tokenizer.chat_template": "{{ messages }}",
            "tokenizer.chat_template.rerank": RANK_TEMPLATE,
        }
        return _write(path, meta, self.weights)

    def _seen(self, rows: Matrix) -> list[float]:
        """What the last token takes from all before it and itself."""
        size = WIDTH // HEADS
        keys = [
            self._turned(self._norm("blk.0.attn_k_norm", self._linear("blk.0.attn_k", row)), at)
            for at, row in enumerate(rows)
        ]
        values = [self._linear("blk.0.attn_v", row) for row in rows]
        queries, attended = self._linear("blk.0.attn_q", rows[-1]), list[float]()
        for start in range(0, WIDTH, size):
            query = self._norm("blk.0.attn_q_norm", queries[start : start + size])
            query = self._turned(query, len(rows) - 1)
            likely = [math.exp(_product(query, key) / math.sqrt(size)) for key in keys]
            shares = [value / sum(likely) for value in likely]
            attended += [_product(shares, column) for column in zip(*values, strict=True)]
        return self._linear("blk.0.attn_output", attended)

    @staticmethod
    def _turned(row: list[float], at: int) -> list[float]:
        """Rotary places: each number of the first half with its fellow in the second."""
        half = len(row) // 2
        angles = [at * 10000.0 ** (-each / half) for each in range(half)]
        pairs = list(zip(row[:half], row[half:], angles, strict=True))
        return [one * math.cos(angle) - other * math.sin(angle) for one, other, angle in pairs] + [
            one * math.sin(angle) + other * math.cos(angle) for one, other, angle in pairs
        ]

    def _linear(self, name: str, row: list[float]) -> list[float]:
        return [_product(line, row) for line in self.weights[f"{name}.weight"]]

    def _norm(self, name: str, row: list[float]) -> list[float]:
        size = math.sqrt(sum(value * value for value in row) / len(row) + EPSILON)
        return [value / size * each for value, each in zip(row, self.weights[f"{name}.weight"][0], strict=True)]


def _write(path: Path, meta: dict[str, Any], weights: Weights) -> Path:
    facts = b"".join(_text(key) + _value(value) for key, value in meta.items())
    infos, data = b"", b""
    for name, rows in weights.items():
        flat = len(rows) == 1 and name != "cls.output.weight"
        shape = (len(rows[0]),) if flat else (len(rows[0]), len(rows))
        infos += _text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, len(data))
        data += array("f", (value for row in rows for value in row)).tobytes()
        data += bytes(-len(data) % 32)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(weights), len(meta)) + facts + infos
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(head + bytes(-len(head) % 32) + data)
    return path


def near(one: list[float], other: list[float]) -> float:
    """The cosine of two vectors of length 1."""
    return _product(one, other)


def _product(one: Any, other: Any) -> float:
    return math.fsum(a * b for a, b in zip(one, other, strict=True))


def _sum(one: list[float], other: list[float]) -> list[float]:
    return [a + b for a, b in zip(one, other, strict=True)]


def _text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def _value(value: Any) -> bytes:
    match value:
        case bool():
            return struct.pack("<IB", 7, value)
        case int():
            return struct.pack("<II", 4, value)
        case float():
            return struct.pack("<If", 6, value)
        case str():
            return struct.pack("<I", 8) + _text(value)
        case [str(), *_]:
            return struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(_text, value))
    return struct.pack(f"<IIQ{len(value)}i", 9, 5, len(value), *value)
