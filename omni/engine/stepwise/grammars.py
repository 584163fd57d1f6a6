"""Which tokens may come next: Omni's own grammars, kept by LLGuidance where the engine's packages have it."""

import json
from collections.abc import Callable, Sequence
from itertools import compress
from threading import Lock
from typing import Any

from omni.engine.stepwise.model import StepModel

MARK = "%llguidance"  # begins the grammars that are read
_PLAIN = {"x-guidance": {"whitespace_flexible": False}}  # else an answer may be spaces without an end


class GrammarRefused(Exception):
    """No grammar can be made of what a request has."""


class Grammars:
    """The grammars of one model. Its vocabulary is given to LLGuidance once, when the first grammar comes."""

    def __init__(self, model: StepModel) -> None:
        self._model = model
        self._making = Lock()
        self._tokenizer: Any = None

    def of(self, body: dict[str, Any]) -> "Matcher | None":
        """What an answer to a request must follow; None where it is free. Raises GrammarRefused."""
        text = str(body.get("grammar") or "")
        if not text and isinstance(schema := body.get("json_schema"), dict):
            text = f"{MARK} {{}}\nstart: %json {json.dumps(schema | _PLAIN)}\n"
        if not text:
            return None
        if not text.startswith(MARK):
            raise GrammarRefused("Failed to parse grammar: this engine reads those of LLGuidance only")
        try:
            from llguidance import LLMatcher
        except ImportError as error:
            raise GrammarRefused(f"Failed to parse grammar: {error}") from error
        with self._making:
            if self._tokenizer is None:
                self._tokenizer = _tokenizer(self._model)
        matcher = LLMatcher(self._tokenizer, text, log_level=0)
        if matcher.is_error():
            raise GrammarRefused(f"Failed to parse grammar: {matcher.get_error()}")
        return Matcher(matcher, self._model)


class Matcher:
    """How far one answer has come in its grammar."""

    def __init__(self, matcher: Any, model: StepModel) -> None:
        self._matcher, self._end, self._endings = matcher, model.end, model.endings

    def admits(self, token: int) -> bool:
        """Whether this token may come next."""
        if token in self._endings:
            return bool(self._matcher.is_accepting())
        return bool(self._matcher.validate_tokens([token]) == 1)

    def allowed(self) -> list[int]:
        """All that may come next. Raises GrammarRefused where the grammar became too much."""
        bias = self._matcher.compute_logit_bias()
        self._check()
        return list(compress(range(len(bias)), bias))

    def take(self, token: int) -> None:
        """A token has come. Raises GrammarRefused."""
        self._matcher.consume_token(self._end if token in self._endings else token)
        self._check()

    @property
    def over(self) -> bool:
        """Whether nothing may come any more."""
        return bool(self._matcher.is_stopped())

    def _check(self) -> None:
        if self._matcher.is_error():
            raise GrammarRefused(f"Failed to parse grammar: {self._matcher.get_error()}")


class _GrammarVocabulary:
    """A model's words in the form that LLGuidance asks for."""

    bos_token_id = None
    is_tokenizer_wrapper = True

    def __init__(self, model: StepModel) -> None:
        self.eos_token_id = model.end
        self.tokens: Sequence[bytes] = [word.removeprefix(b"\xff") for word in model.words()]
        self.special_token_ids = [at for at, word in enumerate(model.words()) if word.startswith(b"\xff")]
        self._tokens: Callable[..., list[int]] = model.tokens

    def __call__(self, text: str) -> list[int]:
        return self._tokens(text, special=False, beginning=False)


def _tokenizer(model: StepModel) -> Any:
    from llguidance import LLTokenizer

    return LLTokenizer(_GrammarVocabulary(model), n_vocab=model.vocabulary, eos_token=model.end)  # type: ignore[arg-type]  # by its form
