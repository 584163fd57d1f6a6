"""Which token comes next, by what a request asks for: llama.cpp's samplers in llama.cpp's order, in plain Python.

Of a vocabulary only the likely part is looked at one by one; what is done with all of it is done by the interpreter's own loops.
"""

import heapq
import math
import random
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import compress
from typing import Any, NamedTuple

from omni.engine.types import Sampling

REMEMBERED = 64  # tokens that penalties look back at, as llama.cpp's do
NEAR, FAR = 8.0, 25.0  # logits below the best: where candidates are looked for first, and where none is any more
_PLAIN = Sampling()


class Likelihood(NamedTuple):
    """A token and the logarithm of its probability."""

    token: int
    logprob: float


class TokenSampler:
    """The choices of one answer to a request with this `body`. `prompt` counts for penalties, `never` may not come."""

    def __init__(self, body: Mapping[str, Any], prompt: Sequence[int], never: Iterable[int] = ()) -> None:
        seed = int(body.get("seed", -1))
        self._dice = random.Random(seed if seed >= 0 else None)
        self._temperature = float(body.get("temperature", 0.8))
        self._top_k = int(body.get("top_k", _PLAIN.top_k))
        self._top_p = float(body.get("top_p", _PLAIN.top_p))
        self._min_p = float(body.get("min_p", _PLAIN.min_p))
        self._repeat = float(body.get("repeat_penalty", 1.0))
        self._presence = float(body.get("presence_penalty", 0.0))
        self._frequency = float(body.get("frequency_penalty", 0.0))
        self._bias = {int(token): float(bias) for token, bias in body.get("logit_bias", [])}
        self._bias |= dict.fromkeys(never, -math.inf)
        self._penalises = self._repeat != 1.0 or bool(self._presence or self._frequency)
        self._recent = list(prompt[-REMEMBERED:])

    def choose(self, logits: "array[float]", allowed: Sequence[int] | None = None) -> int:
        """The next token; of `allowed` ones only, where there is such a list. Raises ValueError where nothing was computed."""
        if not sum(logits) < math.inf:  # one that is no number makes all of it none
            raise ValueError("its likelihoods are no numbers, as of a damaged file")
        logits = self._weighed(logits)
        if allowed is not None:
            best = max(allowed, key=logits.__getitem__)
            return best if self._temperature <= 0 else self._drawn(logits, logits[best], allowed)
        highest = max(logits)
        return logits.index(highest) if self._temperature <= 0 else self._drawn(logits, highest, None)

    def took(self, token: int) -> None:
        """A token has come."""
        self._recent = [*self._recent[1 - REMEMBERED :], token]

    def _weighed(self, logits: "array[float]") -> "array[float]":
        """With what the request adds and takes."""
        if not self._bias and not self._penalises:
            return logits
        weighed = array("f", logits)
        for token, bias in self._bias.items():
            weighed[token] += bias
        if self._penalises:
            for token, count in Counter(self._recent).items():
                logit = weighed[token]
                logit = logit * self._repeat if logit <= 0 else logit / self._repeat
                weighed[token] = logit - count * self._frequency - self._presence
        return weighed

    def _drawn(self, logits: "array[float]", highest: float, allowed: Sequence[int] | None) -> int:
        most = self._top_k if self._top_k > 0 else len(logits)
        tokens = _within(logits, highest - NEAR, allowed)
        if len(tokens) < most:
            tokens = _within(logits, highest - FAR * max(1.0, self._temperature), allowed)
        tokens = heapq.nlargest(most, tokens, key=logits.__getitem__)
        chances = [math.exp(logits[token] - highest) for token in tokens]
        if self._top_p < 1.0:
            kept = _covering(chances, self._top_p)
            tokens, chances = tokens[:kept], chances[:kept]
        if self._min_p > 0.0:
            kept = max(1, sum(chance >= self._min_p * chances[0] for chance in chances))
            tokens, chances = tokens[:kept], chances[:kept]
        weights = [math.exp((logits[token] - highest) / self._temperature) for token in tokens]
        return self._dice.choices(tokens, weights)[0]


def likeliest(logits: "array[float]", count: int) -> list[Likelihood]:
    """The `count` likeliest tokens, the likeliest first."""
    highest = max(logits)
    near = _within(logits, highest - NEAR, None)
    tokens = near if len(near) >= count else range(len(logits))
    total = _total(logits, highest)
    best = heapq.nlargest(count, tokens, key=logits.__getitem__)
    return [Likelihood(token, logits[token] - total) for token in best]


def likelihood(logits: "array[float]", token: int) -> Likelihood:
    """How likely one token is."""
    return Likelihood(token, logits[token] - _total(logits, max(logits)))


def _total(logits: "array[float]", highest: float) -> float:
    """What is taken from a logit to make it the logarithm of a probability."""
    return highest + math.log(
        math.fsum(math.exp(logits[one] - highest) for one in _within(logits, highest - FAR, None))
    )


def _within(logits: "array[float]", least: float, allowed: Sequence[int] | None) -> list[int]:
    """The tokens whose logit is at least so much."""
    if allowed is not None:
        return [token for token in allowed if logits[token] >= least]
    return list(compress(range(len(logits)), map(least.__le__, logits)))


def _covering(chances: Sequence[float], share: float) -> int:
    """How many of the likeliest have that share of all together."""
    needed, total = share * math.fsum(chances), 0.0
    for count, chance in enumerate(chances, 1):
        total += chance
        if total >= needed:
            return count
    return len(chances)
