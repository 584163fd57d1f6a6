"""What a chat template takes, found out by having it write small conversations: by what it does, not by its name.

A conversation is kept when none of its words is missing from the prompt, and all are in their order. A template that takes
everything is found out with ten small prompts, one that takes little with twenty.
"""

from collections.abc import Awaitable, Callable, Sequence
from itertools import chain, takewhile
from typing import Literal

import msgspec

from omni.core.messages import Message, ToolCallPart, ToolResultPart
from omni.engine.histories import Traits
from omni.engine.types import Tool

Render = Callable[[Sequence[Message]], Awaitable[str]]
"""Writes a prompt; "" where the template refuses. The tools of the request, where there are any, are `TOOL`."""

TOOL = Tool(
    name="lookup", description="Looks up.", parameters={"type": "object", "properties": {"of": {"type": "string"}}}
)

# Words that no template has of its own.
_S0, _S1, _S2, _S3 = (f"qsys{at}tem" for at in range(4))
_U1, _U2, _U3 = (f"qus{at}er" for at in range(3))
_A1, _A2 = (f"qans{at}wer" for at in range(2))
_V1, _V2, _R1, _R2 = "qval1ue", "qval2ue", "qres1ult", "qres2ult"
_LONG, _NINE = ("call_0123456789abcdef01234567", "call_89abcdef0123456789abcdef"), ("abcdefgh1", "abcdefgh2")


async def keeps_system(render: Render) -> bool:
    """Whether a system text stays at the beginning of a conversation that goes on."""
    return bool(await _kept(render, _system(_S0), _user(_U1), _said(_A1), _user(_U2)))


async def begins(render: Render) -> bool:
    """Whether an assistant may begin, and is known for one: some templates take whatever comes first for the user's. Also
    whether a system text may stand alone, which is what is written when an answer that begins is gone on with."""
    usual = await render((_user(_U1), _said(_A1), _user(_U2)))
    if not _all_in(usual, (_U1, _A1, _U2)):
        return False
    before = usual[: usual.index(_A1)]
    other = usual[: usual.index(_U2)]
    alike = sum(
        1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(reversed(before), reversed(other), strict=False))
    )
    opening = before[-alike - 1 :]
    for conversation in ((_said(_A1), _user(_U1)), (_system(_S0), _said(_A1), _user(_U1))):
        prompt = await _kept(render, *conversation)
        if not prompt or not prompt[: prompt.index(_A1)].endswith(opening):
            return False
    return bool(await _kept(render, _said(_A1)) and await _kept(render, _system(_S0)))


async def traits_of(render: Render, *, calls: bool) -> Traits:
    """What there is to know of a template, but who may begin. `calls`: it may be asked to write some. No template is known
    that refuses a turn in which nothing is said."""
    users, later = await _turns(render)
    turns = Traits(system=await keeps_system(render), users=users, later=later, empty=True)
    return await _calls(render, turns) if calls else turns


async def _turns(render: Render) -> tuple[bool, bool]:
    """Two turns of a user in a row, and system texts further on."""
    inside = (_system(_S1), _said(_A1), _system(_S2), _user(_U3), _system(_S3))
    if await _kept(render, _system(_S0), _user(_U1), _user(_U2), *inside):
        return True, True
    users = await _kept(render, _user(_U1), _user(_U2), _said(_A1), _user(_U3))
    later = users and await _kept(render, _system(_S0), _user(_U1), *inside)
    return bool(users), bool(later)


async def _calls(render: Render, traits: Traits) -> Traits:
    """`traits`, and how calls and results are written."""
    begin = (*((_system(_S0),) if traits.system else ()), _user(_U1))
    end = (_said(_A2), _user(_U3))
    after = (_system(_S1), _user(_U2)) if traits.later else (_user(_U2),)

    async def kept(*story: Message) -> str:
        """In the middle of a conversation, and at its end, where some templates write more."""
        if not await _kept(render, *begin, *story, *end):
            return ""
        return await _kept(render, *begin, *story) if story[-1].role == "tool" else "kept"

    first, second = (_result(_R1, _LONG[0]), _result(_R2, _LONG[1]))
    together = _said(_A1, (_LONG[0], _V1), (_LONG[1], _V2))
    if await kept(together, first, second) and await kept(together, first, second, *after):
        return msgspec.structs.replace(traits, calls="beside", several="together", after=True)

    for idents in (_LONG, _NINE):
        alone = (_said("", (idents[0], _V1)), _result(_R1, idents[0]))
        if await kept(*alone):
            break
    else:
        return traits
    calls: Literal["beside", "before", "alone"] = "alone"
    if await kept(_said(_A1, (idents[0], _V1)), alone[1]):
        calls = "beside"
    elif await kept(_said(_A1), *alone):
        calls = "before"
    first, second = (_result(_R1, idents[0]), _result(_R2, idents[1]))
    one, other = (idents[0], _V1), (idents[1], _V2)
    several: Literal["together", "split", "words"] = "words"
    if await kept(_said("", one, other), first, second):
        several = "together"
    elif await kept(_said("", one), first, _said("", other), second):
        several = "split"
    return msgspec.structs.replace(
        traits,
        calls=calls,
        several=several,
        after=bool(await kept(*alone, *after)),
        short_ids=idents is _NINE,
    )


async def _kept(render: Render, *conversation: Message) -> str:
    """The prompt that `conversation` makes, "" where not all of it is there in its order."""
    words = [
        [message.text, *(call.arguments[len('{"of": "') : -len('"}')] for call in message.calls)]
        for message in conversation
    ]
    prompt = await render(conversation)
    wanted = [word for word in chain.from_iterable(words) if word]
    return prompt if _all_in(prompt, wanted) else ""


def _all_in(prompt: str, words: Sequence[str]) -> bool:
    at = 0
    for word in words:
        at = prompt.find(word, at)
        if at < 0:
            return False
        at += len(word)
    return True


def _system(text: str) -> Message:
    return Message.of("system", text)


def _user(text: str) -> Message:
    return Message.of("user", text)


def _said(text: str, *calls: tuple[str, str]) -> Message:
    asked = (ToolCallPart(id=ident, name=TOOL.name, arguments=f'{{"of": "{value}"}}') for ident, value in calls)
    return Message.of("assistant", text, *asked)


def _result(text: str, ident: str) -> Message:
    return Message.of("tool", ToolResultPart.of(text, call_id=ident, name=TOOL.name))
