"""Texts on their way to vectors: what a worker is sent at a time, and what it answers."""

import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any

from omni.core.errors import ContextOverflow, EngineError
from omni.engine.types import Embeddings

PIECE_TEXTS = 16  # of one request to the worker: it ends those that it has begun, and who asks meanwhile waits for them
PIECE_LETTERS = 8192  # of them together: 2,000 tokens


def pieces(texts: Sequence[str]) -> Iterator[list[int]]:
    """The numbers of all texts, as many at a time as are sent together. The longest ones first: one that is too long is
    noticed before others were read in vain."""
    piece: list[int] = []
    letters = 0
    for at in sorted(range(len(texts)), key=lambda at: len(texts[at]), reverse=True):
        if piece and (len(piece) == PIECE_TEXTS or letters + len(texts[at]) > PIECE_LETTERS):
            yield piece
            piece, letters = [], 0
        piece.append(at)
        letters += len(texts[at])
    if piece:
        yield piece


def readable(text: str, tokenizer: str) -> str:
    """The text as a tokenizer wants it. BERT's vocabulary has Korean in parts of syllables, and llama.cpp takes apart all
    that Unicode says except them."""
    return unicodedata.normalize("NFD", text) if tokenizer == "bert" else text


def too_long(error: ContextOverflow) -> ContextOverflow:
    """What is said of a text that is too long for one vector, in the same words whatever kind of model refused it."""
    most = min(error.allocated, error.needed - 1)  # one that is causal needs a token more than it reads
    return ContextOverflow(
        f"A text has {error.needed:,} tokens; {most:,} can be read for one vector.",
        hint="Send it in parts.",
        needed=error.needed,
        allocated=most,
    )


def vectors_of(answer: Any) -> Embeddings:
    """What a worker answered. Raises EngineError where that is of another form."""
    try:
        entries = sorted(answer["data"], key=lambda one: one["index"])
        vectors = [list(map(float, one["embedding"])) for one in entries]
        return Embeddings(vectors, tokens=int(answer["usage"]["prompt_tokens"]))
    except (KeyError, TypeError, ValueError) as error:
        raise EngineError("The brain's process sent vectors of an unknown form.") from error
