"""Takes off what stands before an answer where the engine leaves it in the text: thoughts are told as thoughts, marks are
nobody's business."""

from collections.abc import Iterable, Iterator

from omni.core.events import EngineEvent, ReasoningDelta, TextDelta, TokenLogprob, TurnEnded
from omni.engine.framing import Framing


class Unframer:
    """Reads the events of an answer that is framed so."""

    def __init__(self, framing: Framing) -> None:
        self._until = framing.until
        thinks = framing.thinks
        self._marks = [mark.text for mark in (*(thinks or ()), framing.lead) if mark is not None]
        self._begin = (
            ""
            if framing.opened or not thinks or (framing.lead and self._until == framing.lead.text)
            else thinks[0].text
        )
        self._done = not self._until
        self._text = ""

    def read(self, event: EngineEvent) -> Iterable[EngineEvent]:
        """What `event` is: a thought, or what is said."""
        return (event,) if self._done else self._unframed(event)

    def _unframed(self, event: EngineEvent) -> Iterator[EngineEvent]:
        match event:
            case TextDelta(text=text):
                self._text += text
                yield from self._look()
            case TokenLogprob():  # of what is not said
                pass
            case TurnEnded():
                yield from self._thought(self._text)
                yield event
            case _:
                yield event

    def _look(self) -> Iterator[EngineEvent]:
        said = self._text.lstrip()
        if not (said.startswith(self._begin) or self._begin.startswith(said)):
            self._done = True  # it had no thoughts
            yield TextDelta(text=self._text)
            return
        head, mark, rest = self._text.partition(self._until)
        if mark:
            self._done = True
            yield from self._thought(head)
            if rest:
                yield TextDelta(text=rest)

    def _thought(self, text: str) -> Iterator[EngineEvent]:
        for mark in self._marks:
            text = text.replace(mark, "")
        if text.strip():
            yield ReasoningDelta(text=text.strip())
