"""What stands around an answer: thoughts before it, and marks of the template that a grammar must let through.

A grammar begins with the first token that the brain writes. Some templates end their prompt where the brain thinks, some
brains write a mark before what they say. Both are found by letting the worker's template write a little, and tried on an
answer, once a worker.
"""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from omni.core.errors import OmniError
from omni.engine._infill import tokens_of
from omni.schemas import Grammar

if TYPE_CHECKING:
    from omni.engine.http import WorkerClient

_ASKED, _SAID, _TRIED = "\u2042question\u2042", "\u2042answer\u2042", '{"a": 1}'
_TOOL = {"type": "function", "function": {"name": "f", "description": "", "parameters": {"type": "object"}}}
RAW = {"reasoning_format": "none"}
LONGEST_MARK = 120  # characters

# How brains begin to think, and how they end it, with what must come before they speak.
THOUGHTS = (
    ("<think>", "</think>"),
    ("[THINK]", "[/THINK]"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<seed:think>", "</seed:think>"),
    ("<ifm|think>", "</ifm|think>"),
    ("<mm:think>", "</mm:think>"),
    ("<thought>", "</thought>"),
    ("<|open|>think<|sep|>", "<|close|>think<|sep|>"),
    ("<|channel>thought", "<channel|>"),
    ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant"),
    ("Here are my reasoning steps:", "[BEGIN FINAL RESPONSE]"),
)


class Mark(NamedTuple):
    """A text that means something to the template. `tokens`: where it has tokens of its own, which are no text."""

    text: str
    tokens: tuple[int, ...] = ()


class Framing(NamedTuple):
    """`thinks`: how thoughts begin and end, where the brain may have any; `opened`: the prompt ends in the middle of them.
    `lead` and `trail` stand before and after what it says. `until`: what the engine leaves in the text ends with this.
    `raw`: the engine is told to leave thoughts there: of those with marks of the template in them its own readers make
    something else."""

    thinks: tuple[Mark, Mark] | None = None
    opened: bool = False
    lead: Mark | None = None
    trail: Mark | None = None
    until: str = ""
    raw: bool = False


UNFRAMED = Framing()


def framed(grammar: Grammar, framing: Framing, answer: str, *, thoughts: int | None = None, brief: bool = False) -> str:
    """The rule of an answer with what stands around it, written into `grammar`. `thoughts`: characters that they may have
    at most; `brief`: only those that the prompt has begun."""
    parts = [*_marked(grammar, framing.lead), answer, *_marked(grammar, framing.trail)]
    if framing.thinks is not None and (framing.opened or not brief):
        begin, end = framing.thinks
        some = "*" if thoughts is None else f"{{0,{thoughts}}}"
        until = _escaped(end.text)
        if not end.tokens and thoughts is None:
            text = grammar.lazy(f"/(?s:.*){until}/")
        elif not end.tokens:  # what ends them is there once: readers take the first for it
            text = grammar.terminal(f"/(?s:.{some}){until}/ & ~/(?s:.*){until}(?s:.+)/")
        else:
            text = " ".join([grammar.terminal(f"/(?s:.{some})/"), *_marked(grammar, end)])
        if framing.lead is None:  # the readers of templates want it right behind them
            text = " ".join([text, grammar.terminal("/[ \\n]{0,4}/")])
        parts.insert(0, text if framing.opened else f"({' '.join(_marked(grammar, begin))} {text})?")
    return " ".join(parts)


async def framing_of(client: "WorkerClient", template: str, *, thinking: bool | None, tools: bool) -> Framing:
    """How the brain behind `client` frames an answer, whose template is `template`; `tools`: to a question with some.

    What is found is tried on a short answer, until one is read as it was meant. Needs a place to compute.
    """
    asked: dict[str, Any] = {}
    if thinking is not None:
        asked["chat_template_kwargs"] = {"enable_thinking": thinking}
    if tools:
        asked |= {"tools": [_TOOL], "tool_choice": "none"}
    guess = await _guessed(client, template, asked)
    candidates = [guess, guess._replace(trail=None), guess._replace(lead=None, trail=None)]
    if not guess.opened:
        candidates += [one._replace(thinks=None) for one in candidates]
    raw = [one._replace(raw=True) for one in candidates if one.thinks is not None]
    for framing in dict.fromkeys([*raw, *candidates]):
        if (kept := await _tried(client, framing, asked)) is not None:
            return kept
    return guess


async def _guessed(client: "WorkerClient", template: str, asked: Mapping[str, Any]) -> Framing:
    prompt = await _written(client, [_user()], asked)
    history = await _written(client, [_user(), {"role": "assistant", "content": _SAID}, _user()], asked)
    tail = prompt.rpartition(_ASKED)[2]
    known = template + history  # some templates put their marks together
    thoughts = next(((begin, end) for begin, end in THOUGHTS if begin in known and _known(end, known)), None)
    opened = False
    if thoughts is not None:
        header, begun, after = tail.rpartition(thoughts[0])
        opened = bool(begun) and thoughts[1] not in after
        tail = header if begun else tail
    before = history.partition(_SAID)[0].rpartition(_ASKED)[2] if _SAID in history else ""
    lead = _lead(tail, before, thoughts or ())
    trail = lead.replace("START", "END") if "START" in lead else ""
    quiet = asked.get("chat_template_kwargs", {}).get("enable_thinking") is False and not opened
    return Framing(
        thinks=None
        if thoughts is None or quiet
        else (await _mark(client, thoughts[0]), await _mark(client, thoughts[1])),
        opened=opened,
        lead=await _mark(client, lead) if lead else None,
        trail=await _mark(client, trail) if trail in history and trail else None,
    )


async def _tried(client: "WorkerClient", framing: Framing, asked: Mapping[str, Any]) -> Framing | None:
    """The framing, when an answer that is framed so is read as what was meant; else None."""
    from omni.engine.http import WorkerGone

    grammar = Grammar()
    parts = [*_marked(grammar, framing.lead), grammar.literal(_TRIED), *_marked(grammar, framing.trail)]
    if framing.thinks is not None:
        begin, end = framing.thinks
        parts[:0] = [
            *([] if framing.opened else _marked(grammar, begin)),
            grammar.literal("so"),
            *_marked(grammar, end),
        ]
    body = {
        "messages": [_user()],
        "grammar": grammar.text(" ".join(parts)),
        "max_tokens": LONGEST_MARK,
        "temperature": 0,
        **(RAW if framing.raw else {}),
        **asked,
    }
    try:
        answer = await client.json("/v1/chat/completions", body)
        content = str(answer["choices"][0]["message"]["content"])
    except WorkerGone:
        raise
    except (OmniError, LookupError, TypeError):  # the template's own reader does not know this form
        return None
    head, said, rest = content.partition(_TRIED)
    if not said or rest.strip():
        return None
    left = [mark.text for mark in (*(framing.thinks or ())[1:], framing.lead) if mark and mark.text in head]
    if head.strip() and not left:
        return None
    if framing.raw and not left:
        return None
    return framing._replace(until=left[-1] if left else "")


def _user() -> dict[str, str]:
    return {"role": "user", "content": _ASKED}


async def _written(client: "WorkerClient", messages: list[dict[str, str]], asked: Mapping[str, Any]) -> str:
    body = {"messages": messages, **asked}
    return str((await client.json("/apply-template", body)).get("prompt", ""))


def _known(end: str, text: str) -> bool:
    """Whether a mark is in a text; of one that is put together from several, the first."""
    return end in text or end.partition("<|start|>")[0] in text


def _lead(tail: str, before: str, thoughts: Sequence[str]) -> str:
    """What a brain writes before it speaks: what stands between the mark that ends a prompt, `tail`, and what it said
    earlier, which follows `before`."""
    marks = [lead.start() for lead in re.finditer(r"<|\[", tail)] or [0]
    header = next((tail[at:] for at in marks if tail[at:].strip() and tail[at:] in before), None)
    if header is None:
        return ""
    lead = before.rpartition(header)[2]
    for mark in thoughts:
        lead = lead.replace(mark, "")
    lead = lead.strip()
    return lead if len(lead) <= LONGEST_MARK and not _is_text(lead) else ""


def _is_text(text: str) -> bool:
    """Whether it looks like what somebody says, and not like a mark."""
    return " " in text.strip()


def _marked(grammar: Grammar, mark: Mark | None) -> list[str]:
    if mark is None:
        return []
    return [" ".join(f"<[{token}]>" for token in mark.tokens) if mark.tokens else grammar.literal(mark.text)]


def _escaped(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9 ]", lambda match: f"\\x{{{ord(match[0]):x}}}", text)


async def _mark(client: "WorkerClient", text: str) -> Mark:
    tokens = await tokens_of(client, text, special=True)
    return Mark(text, tuple(tokens) if tokens != await tokens_of(client, text) else ())
