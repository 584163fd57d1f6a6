"""One request over the lives of several workers: when it is asked again, how it goes on, and when it fails.

Who had nothing said is asked again. Who was in the middle of a plain answer goes on: what was said so far becomes the
beginning that the next worker writes on. Where the answer must follow a grammar, calls tools, tells likelihoods or had
a thought, that cannot be: the next worker says it again (`replaying.py`), and only where that comes out otherwise it fails.
The one that ended the worker fails (`_suspects.py`).
"""

import secrets
import signal
from collections.abc import Iterable, Iterator
from enum import Enum, auto
from typing import NamedTuple

import msgspec

from omni.core.errors import EngineError, OmniError
from omni.core.events import EngineEvent, PromptCounted, PromptProgress, TextDelta, TurnEnded, Usage
from omni.core.messages import Message
from omni.engine._suspects import Carried
from omni.engine.http import ENDED, WorkerGone
from omni.engine.images import Blinding
from omni.engine.llama import ran_out
from omni.engine.refusals import Misasked, OutOfMemory
from omni.engine.replaying import Diverged, Replay
from omni.engine.types import ChatRequest, CompletionRequest
from omni.keeper import Fate

TRIES = 3  # a worker may end, for another base or by a kill, between being promised and being asked
DEATHS = 2  # of workers that had been asked, and nobody knows by whom: the request may be what ends them
PAUSE_SECONDS = 0.1  # until the keeper has seen that one ended
MOST = 6  # workers of one request, whoever ends them
ENDED_BY_EYES = "The brain's process ended whenever it looked at the images."
_FROM_OUTSIDE = (-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP, 0)


class Cause(Enum):
    """Why a worker ended."""

    MEMORY = auto()  # it reached its ceiling
    CRASH = auto()  # by itself, otherwise
    OUTSIDE = auto()  # by a kill
    ORDER = auto()  # because somebody wanted it to
    UNKNOWN = auto()  # or it lives


BLAMED = (Cause.MEMORY, Cause.CRASH)  # what a request may have done


def cause_of(fate: Fate | None) -> Cause:
    """Why a worker ended, as far as its keeper can tell."""
    if fate is None:
        return Cause.UNKNOWN
    if fate.stopped:
        return Cause.ORDER
    if fate.code not in _FROM_OUTSIDE and ran_out(fate.log):
        return Cause.MEMORY
    return Cause.OUTSIDE if fate.code is None or fate.code in _FROM_OUTSIDE else Cause.CRASH


class Otherwise(Exception):
    """A worker ended (`error`) in the middle of an answer, and the next one says something else."""

    def __init__(self, error: OmniError) -> None:
        super().__init__(error.message)
        self.error = error


class WorkerEnd(NamedTuple):
    """The end of a worker, and the suspects among whom it worked for; `late`: it was known before, or it was asked nothing."""

    cause: Cause = Cause.UNKNOWN
    suspects: frozenset[str] = frozenset()
    late: bool = False


def is_end(error: OmniError) -> bool:
    """Whether a request failed because its worker ended, as far as its line to it tells."""
    return isinstance(error, WorkerGone) or (isinstance(error, EngineError) and error.message == ENDED)


class Retries:
    """What has come of a request so far. `request` is what the next worker is asked, `alone`: while no other suspect is."""

    def __init__(self, request: ChatRequest | CompletionRequest, carried: Carried, *, shows: bool, name: str) -> None:
        if request.sampling.seed is None:  # who has to say something again says the same
            sampling = msgspec.structs.replace(request.sampling, seed=secrets.randbits(31))
            request = msgspec.structs.replace(request, sampling=sampling)
        self.request, self.alone = request, False
        self._first, self._carried, self._shows, self._name = request, carried, shows, name
        self._tries = self._deaths = 0
        self._replay = Replay()
        self._repeats = not _can_go_on(request)
        self._heard = False  # who asked has got something
        self._counted = PromptCounted(tokens=0, max_completion_tokens=0, allocated=0)
        self._spent = 0  # tokens of what earlier workers said
        self._lost: OmniError | None = None  # how the last of them ended

    @property
    def said(self) -> str:
        """The answer so far, which the next worker goes on with; "" when there is none, or it is said again."""
        return "" if self._repeats else self._replay.text

    def heard(self, event: EngineEvent) -> Iterable[EngineEvent]:
        """What an event of one worker is to who asked: of one answer, to a prompt that is counted and read once. Raises
        Otherwise."""
        if isinstance(event, TextDelta) and event.text and self._lost is None:  # a token, as nearly all of them are
            self._replay.say(event.text)
            self._heard = True
            return (event,)
        return self._new(event)

    def _new(self, event: EngineEvent) -> Iterator[EngineEvent]:
        match event:
            case PromptCounted(tokens=tokens) if self._lost is not None:
                self._spent = 0 if self._repeats else max(1, tokens - self._counted.tokens)
                return
            case PromptCounted():
                self._counted = event
            case PromptProgress() if self._lost is not None:
                return
            case TurnEnded() if self._lost is not None:
                event = self._joined(event)
        try:
            yield from self._replay.new(event)
        except Diverged as error:
            assert self._lost is not None
            raise Otherwise(self._lost) from error
        finally:
            self._heard = bool(self._replay)

    def failed(self, error: OmniError, end: WorkerEnd, *, suspicious: bool) -> None:
        """An attempt of a suspect, or of none, has failed. Returns when there is another; else raises why there is none."""
        self._tries += 1
        if isinstance(error, OutOfMemory) and not (suspicious or self._heard) and self._tries < TRIES:
            return  # what took the memory is somebody else's, and soon gone
        if not is_end(error):
            raise self._lost or error  # a brain that cannot go on from what it said fails as it did at first
        suspected = self._carried.key in end.suspects
        if suspected and (end.cause is Cause.MEMORY or not self._shows):  # a projector is blamed for its second only
            if len(end.suspects) == 1:
                raise culprit(end.cause, self._carried.helps or "less at once") from error
            self.alone = True
        others = bool(end.suspects) and not suspected
        self._deaths += error.message == ENDED and not (others or end.late)
        if self._shows and not self._heard and self._deaths == DEATHS:
            raise Blinding(ENDED_BY_EYES, hint=f"Leave out the images: {self._name} answers without.") from error
        if self._deaths == DEATHS or self._tries >= (MOST if others else TRIES):
            if end.cause is Cause.MEMORY:
                raise culprit(end.cause, self._carried.helps or "less at once") from error
            raise error
        if self._heard:
            if end.cause in (Cause.ORDER, Cause.UNKNOWN) and not end.late:
                raise error
            self._lost, self._repeats = error, self._repeats or not self._replay.plain
            if self._repeats:
                self.request = self._first
                self._replay.again()

    def go_on(self, spent: int) -> TurnEnded | None:
        """Make the request of what is left of the answer, of which `spent` tokens were said; the end, when nothing is."""
        self._spent = spent
        left = self._first.sampling.max_tokens - spent
        if left <= 0:
            ended = TurnEnded(reason="length", usage=Usage(), context_allocated=self._counted.allocated)
            return self._joined(ended)
        sampling = msgspec.structs.replace(self._first.sampling, max_tokens=left)
        if isinstance(self._first, CompletionRequest):
            prompt = self._first.prompt + self.said
            self.request = msgspec.structs.replace(self._first, prompt=prompt, sampling=sampling)
            return None
        messages, begun = self._first.messages, self.said
        if messages and messages[-1].role == "assistant":
            *rest, last = messages
            messages, begun = tuple(rest), last.text + begun
        messages = (*messages, Message.of("assistant", begun))
        self.request = msgspec.structs.replace(self._first, messages=messages, sampling=sampling)
        return None

    def _joined(self, event: TurnEnded) -> TurnEnded:
        """The end of the whole answer: its tokens are those of all workers, at the speed of the last."""
        usage, answer = event.usage, self._spent + event.usage.completion_tokens
        prompt, times = self._counted.tokens, answer / (event.usage.completion_tokens or answer or 1)
        usage = msgspec.structs.replace(
            usage,
            prompt_tokens=prompt,
            cached_tokens=min(prompt, usage.cached_tokens),
            completion_tokens=answer,
            completion_seconds=usage.completion_seconds * times,
        )
        return msgspec.structs.replace(event, usage=usage, context_used=prompt + answer)


def culprit(cause: Cause, helps: str) -> OmniError:
    """What who has ended a worker is told; `helps`: what to send instead."""
    if cause is Cause.MEMORY:
        return OutOfMemory(
            "The brain's process ran out of its memory while it worked on this request.",
            hint=f"Send {helps}, or let the process take more (engine.ceiling).",
        )
    return Misasked(
        "The brain's process ended while it worked on this request, which is not asked again.", hint=f"Send {helps}."
    )


def _can_go_on(request: ChatRequest | CompletionRequest) -> bool:
    """Whether what is said of an answer may become the beginning of the rest; else it is said again."""
    if request.schema is not None or request.logprobs is not None:
        return False
    return request.suffix is None if isinstance(request, CompletionRequest) else not request.tools
