"""The vocabulary of a GGUF file as llama.cpp reads it, for engines that have no tokenizer of their own: `tokenizers` joins the
pieces, what is done before that is done here."""

import re
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, NamedTuple

_NORMAL, _CONTROL, _USER_DEFINED = 1, 3, 4  # types of tokens
_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"
_MODERN = (
    r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# How texts are cut, by llama.cpp's name for it; each cuts what the one before has left.
CUTS: Mapping[str, tuple[str, ...]] = {
    "smollm": (r"\p{N}", _GPT2),
    "gpt-2": (_GPT2,),
    "qwen2": (_MODERN % "",),
    "llama-bpe": (_MODERN % "{1,3}",),
}
_WHOLE = ("llama-bpe",)  # a piece that is a token is not put together from smaller ones
# Texts that end an answer wherever they are a token, and are marks then whatever the file says; as in llama.cpp.
_ENDS = frozenset(
    (
        *("<|im_end|>", "<|eot_id|>", "<|endoftext|>", "<|end_of_text|>", "<|eom_id|>", "</s>", "<|end|>", "<EOT>"),
        *("<|fim_pad|>", "<|repo_name|>", "<|file_sep|>", "<reponame>"),
    )
)


class VocabularyFacts(NamedTuple):
    """What a file says of its tokens. `cut` is the name of a way in `CUTS`."""

    texts: Sequence[str]
    kinds: Sequence[int]
    merges: Sequence[str]
    cut: str
    bos: int = -1
    eos: int = -1
    adds_bos: bool = False


class Vocabulary:
    """Makes tokens of texts and texts of tokens. Raises ImportError without `tokenizers`."""

    def __init__(self, facts: VocabularyFacts) -> None:
        tokenizers: Any = import_module("tokenizers")
        models, cutters = tokenizers.models, tokenizers.pre_tokenizers
        self._facts = facts
        self._kinds = kinds = [
            _CONTROL if text in _ENDS else kind for text, kind in zip(facts.texts, facts.kinds, strict=True)
        ]
        model = models.BPE(
            {text: at for at, text in enumerate(facts.texts)},
            [_pair(merge) for merge in facts.merges],
            ignore_merges=facts.cut in _WHOLE,
        )
        self._tokenizer: Any = tokenizers.Tokenizer(model)
        cuts = [cutters.Split(tokenizers.Regex(cut), "isolated") for cut in CUTS[facts.cut]]
        self._tokenizer.pre_tokenizer = cutters.Sequence(
            [*cuts, cutters.ByteLevel(add_prefix_space=False, use_regex=False)]
        )
        self._numbers = {text: at for at, text in enumerate(facts.texts)}
        marks = [text for text, kind in zip(facts.texts, kinds, strict=True) if kind in (_CONTROL, _USER_DEFINED)]
        always = [text for text in marks if kinds[self._numbers[text]] == _USER_DEFINED]
        self._splits = {True: _split(marks), False: _split(always)}
        self._bytes = {letter: byte for byte, letter in enumerate(_letters())}
        ends = {self._numbers[text] for text in _ENDS & self._numbers.keys()}
        self.endings = frozenset(ends | ({facts.eos} if facts.eos >= 0 else set()))

    def tokens(self, text: str, *, special: bool, beginning: bool) -> list[int]:
        """See `StepModel`."""
        tokens = [self._facts.bos] if beginning and self._facts.adds_bos else []
        text = text.encode("utf-8", "replace").decode()
        split = self._splits[special]
        parts = [text] if split is None else split.split(text)
        for at, part in enumerate(parts):
            if at % 2:
                tokens.append(self._numbers[part])
            elif part:
                tokens += self._tokenizer.encode(part, add_special_tokens=False).ids
        return tokens

    def piece(self, token: int) -> bytes:
        """See `StepModel`."""
        return b"" if self._kinds[token] == _CONTROL else self._word(token)

    def words(self) -> list[bytes]:
        """See `StepModel`."""
        return [(b"\xff" if kind == _CONTROL else b"") + self._word(token) for token, kind in enumerate(self._kinds)]

    def _word(self, token: int) -> bytes:
        """What a token is; of a mark, its name; nothing of those that only fill a table."""
        text = self._facts.texts[token]
        if self._kinds[token] in (_CONTROL, _USER_DEFINED):
            return text.encode()
        if self._kinds[token] != _NORMAL:
            return b""
        return bytes(self._bytes[letter] for letter in text if letter in self._bytes)


def _pair(merge: str) -> tuple[str, str]:
    left, _, right = merge.partition(" ")
    return left, right


def _split(marks: Sequence[str]) -> "re.Pattern[str] | None":
    """Finds marks in a text, the longest first."""
    longest = sorted(filter(None, marks), key=len, reverse=True)
    return re.compile(f"({'|'.join(map(re.escape, longest))})") if longest else None


def _letters() -> list[str]:
    """The letter for each byte, by GPT-2's table: bytes that are no letters have some of their own."""
    plain = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    return [chr(byte) if byte in plain else chr(next(others)) for byte in range(256)]
