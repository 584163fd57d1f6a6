"""What happens during a turn, as frozen values that every front end renders the same way.

Events are equal, hashable and serialisable: `msgspec.json.encode(event)` writes one object whose `type` is the name of
the event in snake case, which is also what `omni chat --json` prints.
"""

from re import sub
from typing import Literal

import msgspec


def _snake(name: str) -> str:
    return sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag=_snake):
    """The base of all events."""


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What one turn took, counted by the engine; times in seconds."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    prompt_seconds: float = 0.0
    completion_seconds: float = 0.0
    first_token_seconds: float = 0.0
    drafted_tokens: int = 0  # guessed from what was said before, and
    accepted_tokens: int = 0  # what of it the brain said, too

    @property
    def speed(self) -> float:
        """Tokens of the answer per second; 0 when nothing was measured."""
        return self.completion_tokens / self.completion_seconds if self.completion_seconds > 0 else 0.0

    @property
    def drafted(self) -> float:
        """The share of the answer that was drafted from what was said before, and taken: it made the answer faster."""
        return self.accepted_tokens / self.completion_tokens if self.completion_tokens else 0.0


class TurnStarted(Event, frozen=True):
    """The question is stored and an answer is being made. `conversation`, `question` and `answer` are ids; what stood in
    the answer before is `prior_text` and `prior_reasoning`, where this turn goes on with one."""

    conversation: str
    question: str
    answer: str
    brain: str
    prior_text: str = ""
    prior_reasoning: str = ""


class TurnQueued(Event, frozen=True):
    """The turn waits; `place` counts from 1. `reason`: for memory, for a place in the worker, or for an earlier turn."""

    place: int
    reason: Literal["memory", "slot", "turn"]
    detail: str = ""


class BrainLoading(Event, frozen=True):
    """The base is being read into memory. `fraction` is 0 to 1, or None where nobody can tell."""

    brain: str
    seconds: float
    fraction: float | None = None


class BrainReplaced(Event, frozen=True):
    """Nobody had chosen a brain, and the best one here could not be loaded: `brain`, the next best, answers."""

    brain: str
    failed: str
    reason: str


class ContextCompacted(Event, frozen=True):
    """The oldest whole turns are left out of this prompt; they stay in the conversation."""

    left_out_turns: int
    left_out_tokens: int
    kept_tokens: int
    allocated: int
    reading_seconds: float | None = None


class PromptCounted(Event, frozen=True):
    """The whole prompt has `tokens`, the answer may take `max_completion_tokens` more, and both fit into what is `allocated`.

    What follows can fail, but not for want of context.
    """

    tokens: int
    max_completion_tokens: int
    allocated: int


class PromptProgress(Event, frozen=True):
    """Tokens of the prompt read so far; `cached` of them needed no reading."""

    done: int
    total: int
    cached: int = 0


class ReasoningDelta(Event, frozen=True):
    """More of what the brain thinks before it answers."""

    text: str


class TextDelta(Event, frozen=True):
    """More of the answer."""

    text: str


class TokenAlternative(msgspec.Struct, frozen=True, kw_only=True):
    """A token that was possible at a place: its text, its bytes (a token may be half a character), its log probability."""

    token: str
    logprob: float
    bytes: tuple[int, ...] = ()


class TokenLogprob(Event, frozen=True):
    """How likely a token of the text before was, and the likeliest ones; only where a request asks for it."""

    chosen: TokenAlternative
    top: tuple[TokenAlternative, ...] = ()


class ToolCallDelta(Event, frozen=True):
    """More of a call that the brain asks for. `id` and `name` come once, with the first piece of call number `index`;
    the pieces of `arguments` make one JSON object."""

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""


class ToolStarted(Event, frozen=True):
    """A call is about to be looked at: the call with this id, the tool, and its arguments as one JSON object."""

    call: str
    name: str
    arguments: str


class ConsentNeeded(Event, frozen=True):
    """A call waits for the person. `question` is the id that an answer names, `act` what would be done, in one line, and `shown`
    the whole of it: a command, the difference to a file. `reasons` say of each part why it is asked, `answers` are what may be
    answered, "no" first. `destroys`: what it takes away may not come back."""

    question: str
    call: str
    tool: str
    act: str
    shown: str = ""
    reasons: tuple[str, ...] = ()
    answers: tuple[str, ...] = ("no", "once")
    destroys: bool = False


class PersonAsked(Event, frozen=True):
    """A brain asks the person something; any text is an answer where there are no `choices`."""

    question: str
    call: str
    text: str
    choices: tuple[str, ...] = ()


class QuestionAnswered(Event, frozen=True):
    """What the person said to a question, here or in another window."""

    question: str
    answer: str


class ToolOutput(Event, frozen=True):
    """What a tool writes while it runs. It is shown, and no brain reads it: that is in `ToolReturned`."""

    call: str
    text: str


ToolOutcome = Literal["done", "failed", "refused", "denied"]


class ToolReturned(Event, frozen=True):
    """How a call ended and what the brain reads of it: it was done, failed, was "refused" by the person or "denied" by a rule.

    `artifact` names the whole result where the text is a part of it.
    """

    call: str
    name: str
    text: str
    outcome: ToolOutcome = "done"
    seconds: float = 0.0
    artifact: str = ""


class TurnEnded(Event, frozen=True):
    """The answer is whole ("stop"), asks for tools ("tool_calls"), is cut by its limit ("length"), or was ended by a
    person ("cancelled")."""

    reason: Literal["stop", "tool_calls", "length", "cancelled"]
    usage: Usage
    context_used: int = 0
    context_allocated: int = 0


EngineEvent = (
    TurnQueued
    | BrainLoading
    | PromptCounted
    | PromptProgress
    | ReasoningDelta
    | TextDelta
    | TokenLogprob
    | ToolCallDelta
    | TurnEnded
)
ToolEvent = ToolStarted | ConsentNeeded | PersonAsked | QuestionAnswered | ToolOutput | ToolReturned
AnswerEvent = TextDelta | ReasoningDelta | ToolCallDelta | ToolReturned  # what an answer is made of
ChatEvent = TurnStarted | BrainReplaced | ContextCompacted | ToolEvent | EngineEvent
