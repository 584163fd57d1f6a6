"""A turn that runs, whether or not its conversation is on the screen, and what came so far of its answer."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, assert_never

from msgspec.structs import replace

from omni.core.errors import OmniError
from omni.core.events import (
    BrainLoading,
    BrainReplaced,
    ChatEvent,
    ConsentNeeded,
    ContextCompacted,
    PersonAsked,
    PromptCounted,
    PromptProgress,
    QuestionAnswered,
    ReasoningDelta,
    TextDelta,
    TokenLogprob,
    ToolCallDelta,
    ToolOutput,
    ToolReturned,
    ToolStarted,
    TurnEnded,
    TurnQueued,
    TurnStarted,
)
from omni.core.messages import Message, ReasoningPart
from omni.shell.conversation.view import Change
from omni.shell.conversation.words import waiting_words

if TYPE_CHECKING:
    from omni.chat import Attachment, ChatMessage
    from omni.jobs import Job

Ask = Callable[[], AsyncGenerator[ChatEvent]]

STEADY = 16  # tokens before a speed is told
STEADY_SECONDS = 0.5
LOOK_AGAIN = 1.0


class AnswerSpeed:
    """How fast an answer comes: tokens since the first one, told at most once a second so that it can be read."""

    def __init__(self) -> None:
        self.speed = 0.0
        self.tokens = 0
        self._first = self._told = 0.0

    def saw(self, now: float) -> bool:
        """One more token came; True when the speed is to be shown anew."""
        if not self.tokens:
            self._first = now
        self.tokens += 1
        took = now - self._first
        if self.tokens < STEADY or took < STEADY_SECONDS or now - self._told < LOOK_AGAIN:
            return False
        self._told, self.speed = now, (self.tokens - 1) / took
        return True


class Asked(NamedTuple):
    """A question on its way: its words, what goes along, and the text that is given back when it is not stored."""

    text: str
    attachments: "tuple[Attachment, ...]"
    typed: str


class RunningAnswer:
    """What came so far of an answer, and the job that writes it.

    `question` and `answer` are the ids of its messages, from when they are stored; `key` stands for them until then.
    `asked` is None for an answer without a question of its own. `instead_of` is the message from which on the branch is
    written anew.
    """

    def __init__(self, conversation: str, brain: str, *, key: str, began: float, asked: Asked | None = None) -> None:
        self.conversation, self.brain = conversation, brain
        self.key, self.began, self.asked = key, began, asked
        self.question = self.answer = self.instead_of = ""
        self.texts: list[str] = []
        self.thoughts: list[str] = []
        self.state = "asking"
        self.notices: list[BrainReplaced | ContextCompacted] = []
        self.thinking_seconds = 0.0
        self.prompt_tokens = self.allocated = 0
        self.pace = AnswerSpeed()
        self.job: Job[ChatEvent] | None = None
        self.receiving: asyncio.Task[None] | None = None
        self.stopped = False
        self.failure: OmniError | None = None
        self._began_thinking: float | None = None

    @property
    def whole(self) -> bool:
        """Whether it came to its end, and nobody stopped it."""
        return self.state == "ended" and self.failure is None and not self.stopped

    @property
    def ids(self) -> tuple[str, str]:
        """Those of its question and its answer as they are now."""
        return self.question or f"{self.key} question", self.answer or self.key

    def on(self, branch: "Sequence[ChatMessage]") -> "list[ChatMessage]":
        """The branch that it is written on with what came by now, whatever was stored of that when `branch` was read."""
        from omni.chat import ChatMessage  # not needed for the first frame

        question, answer = self.ids
        thought = (ReasoningPart(text="".join(self.thoughts), seconds=self.thinking_seconds),) if self.thoughts else ()
        parts = Message.of("assistant", *thought, "".join(self.texts)).parts
        messages = list[ChatMessage]()
        for message in branch:
            if message.id == self.answer:
                return [*messages, replace(message, parts=parts, state="writing")]
            if message.id == self.instead_of:
                break
            messages.append(message)
        if self.asked is not None:
            asked = Message.of("user", *self.asked.attachments, self.asked.text).parts
            messages.append(ChatMessage(id=question, parent=None, role="user", time=self.began, parts=asked))
        now = ChatMessage(id=answer, parent=None, role="assistant", time=self.began, parts=parts, state="writing")
        return [*messages, now]

    def stop(self) -> bool:
        """End it; False when there is nothing to end."""
        if self.receiving is None or self.stopped:
            return False
        self.stopped = True
        if self.job is None:  # nothing was asked yet
            self.receiving.cancel()
        else:
            self.job.cancel()
        return True

    def receive(self, event: ChatEvent, now: float) -> tuple[Change, ...]:
        """One event, at time `now` of a clock that never jumps; returns what is to be shown anew, growing text apart."""
        match event:
            case TurnStarted(question=question, answer=answer, brain=brain):
                self.brain = brain or self.brain
                self.question, self.answer = question or "", answer
                self.state = "asking"
                return ("messages",)
            case PromptProgress(total=total):
                self.prompt_tokens = total
                return self.does(waiting_words(event))
            case TurnQueued() | BrainLoading():
                return self.does(waiting_words(event))
            case BrainReplaced(brain=brain):
                self.brain = brain
                self.notices.append(event)
                return ("answer",)
            case ContextCompacted():
                self.notices = [*(one for one in self.notices if isinstance(one, BrainReplaced)), event]
                return ("answer",)
            case ReasoningDelta(text=text):
                self.thoughts.append(text)
                self._began_thinking = now if self._began_thinking is None else self._began_thinking
                return self._came("thinking", now)
            case TextDelta(text=text):
                self.texts.append(text)
                if self._began_thinking is not None and not self.thinking_seconds:
                    self.thinking_seconds = now - self._began_thinking
                return self._came("writing", now)
            case PromptCounted(tokens=tokens, allocated=allocated):
                self.prompt_tokens, self.allocated = tokens, allocated
                return ("status",)
            case ToolStarted(name=name):
                return self.does(f"working: {name}")
            case ConsentNeeded(act=act):
                return self.does(f"asks for your consent: {act}")
            case PersonAsked(text=text):
                return self.does(f"asks: {text}")
            case TokenLogprob() | ToolCallDelta() | QuestionAnswered() | ToolOutput() | ToolReturned():
                return ()
            case TurnEnded():
                self.state = "ended"
                return ()
            case _:
                assert_never(event)

    def does(self, state: str) -> tuple[Change, ...]:
        """What it does now, in words; returns what is to be shown anew."""
        if self.state == state:
            return ()
        self.state = state
        return "answer", "status"

    def _came(self, state: str, now: float) -> tuple[Change, ...]:
        """A token came: say what is going on when that is new, and how fast when that can be told."""
        anew = self.pace.saw(now)
        return self.does(state) or (("status",) if anew else ())
