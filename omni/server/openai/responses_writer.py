"""An answer of `/v1/responses` while it is written: its items, and the events that tell of them."""

from collections.abc import Iterator, Mapping

from msgspec import UNSET

from omni.core.events import EngineEvent, ReasoningDelta, TextDelta, TokenLogprob, ToolCallDelta, TurnEnded
from omni.server.openai import responses_types as shown
from omni.server.openai.chat import chosen, new_call
from omni.server.openai.responses_store import item_id
from omni.server.openai.responses_types import (
    CallItem,
    Event,
    MessageItem,
    ReasoningItem,
    ResponseError,
    ResponseObject,
    Status,
)
from omni.server.openai.types import ChosenToken


class ResponseWriter:
    """Writes the items of `answer`. Each event must be encoded before the next is asked for: items grow. `spaces`: see
    `spaces_of`."""

    def __init__(
        self, answer: ResponseObject, *, top: int | None, spaces: Mapping[str, tuple[str, str]] | None = None
    ) -> None:
        self.answer = answer
        self._spaces = spaces or {}
        self._top = top  # likely tokens at each place; None: not even the chosen one's likelihood
        self._number = 0
        self._text: list[str] = []  # of the item that is open
        self._tokens: list[ChosenToken] = []
        self._held: str | None = None  # text whose likelihoods are to come
        self._call = -1  # which call of the engine's is open
        self._open = False
        self.cut = False

    def begin(self) -> Iterator[Event]:
        """What comes first."""
        yield shown.Created(sequence_number=self._next(), response=self.answer)
        yield shown.InProgress(sequence_number=self._next(), response=self.answer)

    def read(self, event: EngineEvent) -> Iterator[Event]:
        """What an event becomes. With likelihoods, a text goes out together with those of its tokens."""
        match event:
            case TokenLogprob():
                if self._top is not None and isinstance(self._item, MessageItem):
                    self._tokens.append(chosen(event, self._top))
                    text, self._held = self._held or "", None
                    yield self._more(text, [self._tokens[-1]])
            case ReasoningDelta(text=text):
                if not isinstance(self._item, ReasoningItem):
                    yield from self._start(ReasoningItem(id=self._new("rs"), summary=[]))
                self._text.append(text)
                yield shown.SummaryMore(**self._place(), summary_index=0, delta=text)
            case TextDelta(text=text):
                yield from self._flush()
                if not isinstance(self._item, MessageItem):
                    yield from self._start(MessageItem(id=self._new("msg"), status="in_progress", content=[]))
                self._text.append(text)
                if self._top is not None:
                    self._held = text
                else:
                    yield self._more(text, [])
            case ToolCallDelta():
                if not isinstance(self._item, CallItem) or self._call != event.index:
                    namespace, name = self._spaces.get(event.name, (UNSET, event.name))
                    item = CallItem(
                        id=self._new("fc"),
                        status="in_progress",
                        call_id=event.id or new_call(),
                        name=name,
                        namespace=namespace,
                        arguments="",
                    )
                    yield from self._start(item)
                    self._call = event.index
                if event.arguments:
                    self._text.append(event.arguments)
                    yield shown.ArgumentsMore(**self._place(), delta=event.arguments)
            case TurnEnded():
                self.cut = event.reason not in ("stop", "tool_calls")
                if not self.answer.output:
                    yield from self._start(MessageItem(id=self._new("msg"), status="in_progress", content=[]))
                yield from self._close("incomplete" if self.cut else "completed")

    def end(self) -> Event:
        """The last event. The answer must know its usage by now."""
        if self.cut:
            return shown.NotCompleted(sequence_number=self._next(), response=self.answer)
        return shown.Completed(sequence_number=self._next(), response=self.answer)

    def fail(self, failure: ResponseError) -> Event:
        """The last event when there is no answer."""
        self.answer.status, self.answer.error = "failed", failure
        return shown.ResponseFailed(sequence_number=self._next(), response=self.answer)

    @property
    def _item(self) -> shown.Item | None:
        return self.answer.output[-1] if self._open else None

    def _start(self, item: shown.Item) -> Iterator[Event]:
        yield from self._close("completed")
        self.answer.output.append(item)
        self._open = True
        yield shown.ItemAdded(sequence_number=self._next(), output_index=self._at, item=item)
        if isinstance(item, MessageItem):
            yield shown.PartAdded(**self._place(), content_index=0, part=shown.OutputText(text=""))
        elif isinstance(item, ReasoningItem):
            yield shown.SummaryAdded(**self._place(), summary_index=0, part=shown.SummaryText(text=""))

    def _close(self, status: Status) -> Iterator[Event]:
        yield from self._flush()
        item = self._item
        if item is None:
            return
        text, self._text = "".join(self._text), []
        tokens, self._tokens = self._tokens, []
        match item:
            case MessageItem():
                part = shown.OutputText(text=text, logprobs=tokens)
                item.content, item.status = [part], status
                yield shown.TextDone(**self._place(), content_index=0, text=text, logprobs=tokens)
                yield shown.PartDone(**self._place(), content_index=0, part=part)
            case CallItem():
                item.arguments, item.status = text or "{}", status
                yield shown.ArgumentsDone(**self._place(), name=item.name, arguments=item.arguments)
            case ReasoningItem():
                summary = shown.SummaryText(text=text)
                item.summary = [summary]
                yield shown.SummaryDone(**self._place(), summary_index=0, text=text)
                yield shown.SummaryPartDone(**self._place(), summary_index=0, part=summary)
        yield shown.ItemDone(sequence_number=self._next(), output_index=self._at, item=item)
        self._open = False

    def _flush(self) -> Iterator[Event]:
        if self._held is not None:
            text, self._held = self._held, None
            yield self._more(text, [])

    def _more(self, text: str, tokens: list[ChosenToken]) -> Event:
        return shown.TextMore(**self._place(), content_index=0, delta=text, logprobs=tokens)

    def _place(self) -> shown.ItemFields:
        return {"sequence_number": self._next(), "item_id": self.answer.output[-1].id, "output_index": self._at}

    @property
    def _at(self) -> int:
        return len(self.answer.output) - 1

    def _next(self) -> int:
        self._number += 1
        return self._number - 1

    def _new(self, kind: str) -> str:
        """An id that tells of which answer an item is."""
        return item_id(kind, self.answer.id, len(self.answer.output))
