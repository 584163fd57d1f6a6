"""One answer of a `StepModel`: the prompt is read in small batches, then token after token is chosen and read."""

import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from omni.engine.protocol_server import common
from omni.engine.stepwise.grammars import GrammarRefused, Matcher
from omni.engine.stepwise.model import StepModel
from omni.engine.stepwise.sampling import Likelihood, TokenSampler, likeliest, likelihood
from omni.engine.stepwise.spoken import Speech


class StepSlot:
    """One place for an answer: what lies in its cache, and who has it. `used`: when it was given back; `claimed`: how many tokens its
    cache is about to have."""

    def __init__(self, number: int) -> None:
        self.number, self.busy, self.seed, self.used, self.claimed = number, False, -1, 0.0, 0
        self.known: list[int] = []


class PromptRead(NamedTuple):
    """So much of the prompt is read; `cached` of it was known."""

    done: int
    cached: int


class StepText(NamedTuple):
    """A token came: its text, where that can be told, and how likely it and others were, where that was asked for."""

    text: str
    token: int
    likelihood: Likelihood | None = None
    top: Sequence[Likelihood] = ()


class StepEnd(NamedTuple):
    """The answer is whole. `reason` as OpenAI names it; `text` is what was held back."""

    reason: str
    text: str
    timings: dict[str, float]


Take = Callable[[Callable[[], Any]], Any]
"""Has the model's own thread do something, and returns what came of it."""


class Answering:
    """An answer to a request with this `body`. `model` is asked by `take` only, `claim` makes room for so many tokens
    in all."""

    def __init__(
        self,
        model: StepModel,
        body: dict[str, Any],
        prompt: list[int],
        *,
        matcher: Matcher | None,
        batch: int,
        take: Take,
        claim: Callable[[StepSlot, int], None],
    ) -> None:
        self._model, self._prompt, self._matcher = model, prompt, matcher
        self._batch, self._take, self._claim = batch, take, claim
        self._sampler = TokenSampler(body, prompt, model.endings if body.get("ignore_eos") else ())
        self._speech = Speech(body.get("stop") or ())
        limit = body.get("max_tokens", body.get("n_predict"))
        self._limit = int(limit) if limit is not None and int(limit) >= 0 else 1 << 30
        self._cached = bool(body.get("cache_prompt", True))
        self._probable = int(body.get("top_logprobs" if body.get("logprobs") else "n_probs") or 0)

    def run(self, slot: StepSlot) -> Iterator[PromptRead | StepText | StepEnd]:
        """The answer, in a slot. Raises NoRoom, GrammarRefused."""
        model, prompt, started = self._model, self._prompt, time.perf_counter()
        cached = common(slot.known, prompt[:-1]) if self._cached else 0
        if not self._take(lambda: model.keep(slot.number, cached)):
            cached = 0
        slot.known = prompt[:cached]
        logits: array[float] = array("f")
        for at in range(cached, len(prompt), self._batch):
            logits = self._read(slot, prompt[at : at + self._batch])
            yield PromptRead(len(slot.known), cached)
        began, count, reason = time.perf_counter(), 0, "stop"
        while True:
            if count >= self._limit or len(slot.known) >= model.context:
                reason = "length"
                break
            token = self._chosen(logits)
            count += 1
            text = self._speech.add(b"" if token in model.endings else model.piece(token))
            if self._probable:
                yield StepText(text, token, likelihood(logits, token), likeliest(logits, self._probable))
            else:
                yield StepText(text, token)
            if token in model.endings:  # a token of the answer like the others, to llama.cpp as well
                break
            if self._speech.stopped or (self._matcher is not None and self._matcher.over):
                break
            if count < self._limit and len(slot.known) < model.context:
                logits = self._read(slot, [token])
        spent = time.perf_counter() - began
        yield StepEnd(
            reason,
            self._speech.add(b"", last=True),
            {
                "cache_n": cached,
                "prompt_n": len(prompt) - cached,
                "prompt_ms": (began - started) * 1000,
                "predicted_n": count,
                "predicted_ms": spent * 1000,
            },
        )

    def _read(self, slot: StepSlot, tokens: list[int]) -> "array[float]":
        at = len(slot.known)
        self._claim(slot, at + len(tokens))
        logits: array[float] = self._take(lambda: self._model.read(slot.number, at, tokens))
        slot.known += tokens
        return logits

    def _chosen(self, logits: "array[float]") -> int:
        """The next token: the one that would come anyway, where the grammar admits it."""
        token = self._sampler.choose(logits)
        if self._matcher is not None:
            if not self._matcher.admits(token):
                allowed = self._matcher.allowed()
                if not allowed:
                    raise GrammarRefused("empty grammar stack")
                token = self._sampler.choose(logits, allowed)
            self._matcher.take(token)
        self._sampler.took(token)
        return token
