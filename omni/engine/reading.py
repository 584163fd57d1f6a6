"""Calls of tools, read out of what a brain says.

Brains write calls as their training was, whatever they are told: bare, in a fence, between tags, after a sentence, one
after the other or as a list, the arguments as an object or as text of one. What turns out to be no call is text.
"""

import json
import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from omni.core.events import EngineEvent, TextDelta, TokenLogprob, ToolCallDelta, TurnEnded

_NAMES = ("name", "function", "tool", "tool_name")
_ARGUMENTS = ("arguments", "parameters", "args", "input")
_KEYS = frozenset((*_NAMES, *_ARGUMENTS, "type", "id", "tool_calls"))
_NO, _MAYBE = -1, -2  # where the JSON of a call begins: nowhere; nobody knows yet

_HEAD = '{{"name":{},"arguments":'  # of a call, as a grammar offers it, which lets white space stand in it
_MOST_SPACE = 200  # characters

_FENCE = re.compile(r"```[\w-]*[ \t]*\n?\s*")
_TAG = re.compile(r"(?:<\|?/?[\w-]{1,30}\|?>|\[TOOL_CALLS\])\s*")
_TAG_PARTLY = re.compile(r"<\|?/?[\w-]{0,30}\|?|\[[A-Z_]{1,11}")
_FIRST_KEY = re.compile(r"(?:\[\s*)?\{\s*\"([a-z_]+)\"\s*:")
_FIRST_KEY_PARTLY = re.compile(r"(?:\[\s*)?(?:\{\s*(?:\"[a-z_]{0,12}\"?\s*)?)?")
_CLOSES = r"(?:```(?![\w`-])|</[\w-]{1,30}>|<\|/?[\w-]{1,30}\|>)"  # what opens the next one is none of this
_CLOSING = re.compile(rf"\s*{_CLOSES}?\s*")
_CLOSING_PARTLY = re.compile(r"\s*(?:`{0,3}|<[|/][^>\s]{0,32}|<)")


class ParsedCall(NamedTuple):
    """A call that was read; `arguments` is a JSON object as text."""

    name: str
    arguments: str


class CallReader:
    """Reads the calls of `tools` out of the events of an answer.

    They may stand anywhere in it. With `follows` an answer is calls as a grammar offers them, or something else: what
    `follows` says that it is an answer is none. `several` false: only the first one counts. `called` says how many there
    were.
    """

    def __init__(
        self, tools: Sequence[str], *, follows: Callable[[str], bool] | None = None, several: bool = True
    ) -> None:
        self._tools, self._follows, self._several = frozenset(tools), follows, several
        self._heads = tuple(_packed(_HEAD.format(json.dumps(name, ensure_ascii=False))) for name in tools)
        self._held: list[EngineEvent] = []  # texts that may be a call, with what was told of their tokens
        self._text = ""  # of these
        self._span = _Span()
        self._spoke = self._closed = False  # it has said something; a call has just ended
        self._native: dict[int, int] = {}  # numbers of calls that the engine read itself
        self.called = 0

    def read(self, event: EngineEvent) -> Iterator[EngineEvent]:
        """What `event` means. Text is held back as long as it may be a call."""
        match event:
            case TurnEnded():
                yield from self._look(last=True, whole=event.reason == "stop")
                ended = self.called and event.reason == "stop"
                yield msgspec.structs.replace(event, reason="tool_calls") if ended else event
            case ToolCallDelta():  # read by llama.cpp, in the form of the template
                yield from self._look(last=True)
                yield from self._numbered(event)
            case TextDelta(text=text):
                self._held.append(event)
                self._text += text
                yield from self._look()
            case TokenLogprob() if self._held:
                self._held.append(event)
            case _:
                yield event

    def _numbered(self, event: ToolCallDelta) -> Iterator[EngineEvent]:
        if event.index not in self._native:
            self._native[event.index] = self.called
            self.called += 1
        number = self._native[event.index]
        if self._several or number == 0:
            yield msgspec.structs.replace(event, index=number)

    def _look(self, *, last: bool = False, whole: bool = False) -> Iterator[EngineEvent]:
        """Let go what is no call. `last`: nothing more comes now; `whole`: and the brain meant to end here."""
        while self._text:
            if self._closed:  # white space behind a call belongs to it
                self._drop(len(self._text) - len(self._text.lstrip()))
                self._closed = not self._text
                continue
            begin = self._begin()
            self._spoke = self._spoke or bool(self._text[:begin].strip())
            yield from self._let_go(begin)
            if not self._text:
                return
            start = _json_start(self._text)
            if start == _MAYBE and not last:
                return
            end = self._span.end(self._text, start) if start >= 0 else None
            if start >= 0 and end is None and not last:
                return
            calls, end = self._calls(start, end, whole=whole)
            if not calls and self._follows is not None and self.called:
                self._drop(len(self._text))  # another call, cut in its middle
                return
            if not calls:
                self._spoke = True
                yield from self._let_go(end or 1)
                continue
            if not last and _CLOSING_PARTLY.fullmatch(self._text, end):
                return  # what closes it may still come
            after = _CLOSING.match(self._text, end)
            self._drop(after.end() if after else end)
            self._closed = True
            yield from self._told(calls)

    def _begin(self) -> int:
        """Where the next call may begin; the end of the text where none may."""
        if self._follows is not None and (self._spoke or not self._offered()):
            return len(self._text)
        return next((at for at, sign in enumerate(self._text) if sign in "`<[{"), len(self._text))

    def _offered(self) -> bool:
        """Whether what is held begins as a grammar has a call begin, as far as it goes."""
        if self._text.lstrip().startswith("<"):
            return True
        begun = _packed(self._text[: _MOST_SPACE + max(map(len, self._heads), default=0)])
        return bool(begun) and any(begun.startswith(head[: len(begun)]) for head in self._heads)

    def _calls(self, start: int, end: int | None, *, whole: bool) -> tuple[list[ParsedCall], int]:
        """The calls that begin here, and where they end; none, and where what is none ends."""
        if start < 0:
            return [], 1
        if end is None:
            mended = _mended(self._text[start:]) if whole else None
            return self._calls_of(mended), len(self._text)
        if self._follows is not None and start == 0 and not self.called and self._follows(self._text[:end]):
            return [], end  # an answer that looks like a call
        try:
            return self._calls_of(json.loads(self._text[start:end])), end
        except (ValueError, RecursionError):
            return [], end

    def _calls_of(self, value: Any) -> list[ParsedCall]:
        """The calls that a value is; none when it is none, or not only that."""
        if isinstance(value, Mapping) and isinstance(value.get("tool_calls"), list):
            value = value["tool_calls"]
        calls = [self._call(one) for one in (value if isinstance(value, list) else [value])]
        return [] if None in calls else [call for call in calls if call is not None]

    def _call(self, value: Any) -> ParsedCall | None:
        if not isinstance(value, Mapping):
            return None
        if isinstance(value.get("function"), Mapping):
            value = value["function"]
        name = next((value[key] for key in _NAMES if isinstance(value.get(key), str)), None)
        if name not in self._tools:
            return None
        given = [key for key in _ARGUMENTS if key in value]
        if not given and value.keys() - {"type", "id", *_NAMES}:
            return None  # a thing that has the same name, and other properties
        arguments = value[given[0]] if given else {}
        if isinstance(arguments, str):
            try:
                arguments = json.loads(arguments or "{}")
            except (ValueError, RecursionError):
                return None
        arguments = {} if arguments is None else arguments
        return ParsedCall(str(name), json.dumps(arguments, ensure_ascii=False)) if isinstance(arguments, dict) else None

    def _told(self, calls: list[ParsedCall]) -> Iterator[EngineEvent]:
        for call in calls:
            number, self.called = self.called, self.called + 1
            if self._several or number == 0:
                yield ToolCallDelta(index=number, id=f"call_{secrets.token_hex(12)}", name=call.name)
                yield ToolCallDelta(index=number, arguments=call.arguments)

    # -- what is held

    def _let_go(self, count: int) -> Iterator[EngineEvent]:
        """The first characters of what is held, with what was told of their tokens."""
        if count:
            self._span = _Span()
        self._text = self._text[count:]
        while self._held and (count or not isinstance(self._held[0], TextDelta)):
            event = self._held.pop(0)
            if isinstance(event, TextDelta) and len(event.text) > count:
                self._held.insert(0, TextDelta(text=event.text[count:]))
                event = TextDelta(text=event.text[:count])
            if isinstance(event, TextDelta):
                count -= len(event.text)
            yield event

    def _drop(self, count: int) -> None:
        """Forget the first characters: the likelihoods of a call's JSON are nobody's business."""
        for _ in self._let_go(count):
            pass


def _packed(text: str) -> str:
    """A text without its white space."""
    return "".join(text.split())


def _json_start(text: str) -> int:
    """Where the JSON of a call begins, behind fences and tags; _NO, or _MAYBE while nobody can tell."""
    at = 0
    while at < len(text):
        rest = text[at:]
        if rest[0] == "`":
            if (fence := _FENCE.match(rest)) is None:
                return _MAYBE if rest in ("`", "``") else _NO
            at += fence.end()
        elif (tag := _TAG.match(rest)) is not None:
            at += tag.end()
        elif _TAG_PARTLY.fullmatch(rest) or _FIRST_KEY_PARTLY.fullmatch(rest):
            return _MAYBE
        else:
            key = _FIRST_KEY.match(rest)
            return at if key is not None and key[1] in _KEYS else _NO
    return _MAYBE


class _Span:
    """Looks for the end of the JSON value that begins at one place, and goes on where it was when more has come."""

    def __init__(self) -> None:
        self._at = self._deep = 0
        self._inside = self._escaped = False
        self._end: int | None = None

    def end(self, text: str, start: int) -> int | None:
        """Where it ends; None when it does not yet."""
        for at in range(max(start, self._at), len(text) if self._end is None else 0):
            self._at = at + 1
            sign = text[at]
            if self._inside:
                self._inside = self._escaped or sign != '"'
                self._escaped = sign == "\\" and not self._escaped
            elif sign == '"':
                self._inside = True
            elif sign in "[{":
                self._deep += 1
            elif sign in "]}":
                self._deep -= 1
                if self._deep == 0:
                    self._end = at + 1
                    break
        return self._end


def _mended(text: str) -> Any:
    """A value whose last brackets a brain forgot, with or without a tag or a fence behind it; None for any other."""
    plain = re.sub(rf"\s*{_CLOSES}\s*$", "", text)
    for missing in ("}", "}}", "]", "}]", "}}]"):
        try:
            return json.loads(plain + missing)
        except (ValueError, RecursionError):
            continue
    return None
