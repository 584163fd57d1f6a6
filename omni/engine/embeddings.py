"""Texts on their way to vectors, or to their ranks: what a worker is sent at a time, and what it answers."""

import math
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from omni.core.errors import ContextOverflow, EngineError, UsageError
from omni.engine.types import Embeddings, Relevances

PIECE_TEXTS = 16  # of one request to the worker: it ends those that it has begun, and who asks meanwhile waits for them
PIECE_LETTERS = 8192  # of them together: 2,000 tokens
ROUNDING = 1e-6  # of a length in numbers of 32 bits


def pieces(texts: Sequence[str], *, beside: int = 0) -> Iterator[list[int]]:
    """The numbers of all texts, as many at a time as are sent together; `beside` letters are read with each. The longest ones
    first: one that is too long is noticed before others were read in vain."""
    piece: list[int] = []
    letters = 0
    for at in sorted(range(len(texts)), key=lambda at: len(texts[at]), reverse=True):
        length = len(texts[at]) + beside
        if piece and (len(piece) == PIECE_TEXTS or letters + length > PIECE_LETTERS):
            yield piece
            piece, letters = [], 0
        piece.append(at)
        letters += length
    if piece:
        yield piece


def readable(text: str, tokenizer: str) -> str:
    """The text as a tokenizer wants it. BERT's vocabulary has Korean in parts of syllables, and llama.cpp takes apart all
    that Unicode says except them."""
    return unicodedata.normalize("NFD", text) if tokenizer == "bert" else text


def unit_vector(vector: list[float], dimensions: int | None = None) -> list[float]:
    """The first `dimensions` of a vector (None: all of them), of length 1 whatever the engine gave. Raises UsageError when it
    has fewer."""
    if dimensions is not None and dimensions > len(vector):
        raise UsageError(
            f"The vectors of this brain have {len(vector)} dimensions; {dimensions} were asked for.",
            hint=f"Ask for {len(vector)} or fewer.",
        )
    truncated = vector[:dimensions]
    length = math.hypot(*truncated)
    if not length or abs(length - 1) < ROUNDING:  # all zeros have no direction
        return truncated
    return [value / length for value in truncated]


def ranks(settings: Mapping[str, object]) -> bool:
    """Whether a worker was loaded to say how well texts answer a question."""
    return settings.get("pooling") == "rank"


def too_long(error: ContextOverflow, *, ranking: bool = False) -> ContextOverflow:
    """What is said of a text that is too long for one vector, or of one that is `ranking` together with its question, in the
    same words whatever kind of model refused it."""
    most = min(error.allocated, error.needed - 1)  # one that is causal needs a token more than it reads
    what, read = ("A text and the question have", "at once") if ranking else ("A text has", "for one vector")
    return ContextOverflow(
        f"{what} {error.needed:,} tokens; {most:,} can be read {read}.",
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


def relevances_of(answer: Any, *, logits: bool) -> Relevances:
    """What a reranker's worker answered, in the order of the texts and between 0 and 1: `logits` become chances, as the makers
    of rerankers count them. Raises EngineError where the answer is of another form."""
    try:
        entries = sorted(answer["results"], key=lambda one: one["index"])
        scores = [float(one["relevance_score"]) for one in entries]
        tokens = int(answer["usage"]["prompt_tokens"])
    except (KeyError, TypeError, ValueError) as error:
        raise EngineError("The brain's process sent ranks of an unknown form.") from error
    return Relevances(map(chance, scores) if logits else scores, tokens=tokens)


def chance(logit: float) -> float:
    """The chance that a logit stands for, at both ends as well."""
    small = math.exp(-abs(logit))
    return 1 / (1 + small) if logit >= 0 else small / (1 + small)
