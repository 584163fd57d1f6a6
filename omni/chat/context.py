"""Does it fit? Counted by the engine; when it does not, the oldest whole turns are left out, visibly.

Half of the allocation is freed at once, so that the prompt is read anew once and not with every turn; where it begins
from then on is remembered, so that the next turns share its prefix.
"""

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from omni.chat.prompt import Prompt
from omni.chat.store import Beginning
from omni.core.errors import ContextOverflow
from omni.core.events import ContextCompacted
from omni.core.messages import Message
from omni.engine import completion_limit

Count = Callable[[Sequence[Message]], Awaitable[int]]


class Fitted(msgspec.Struct, frozen=True, kw_only=True):
    """A prompt that fits. `max_completion_tokens` is what its answer may take; `compacted` is set when more was left out than before."""

    messages: tuple[Message, ...]
    max_completion_tokens: int
    compacted: ContextCompacted | None = None
    beginning: Beginning | None = None


def start_of(prompt: Prompt, beginnings: Sequence[Beginning], allocated: int) -> tuple[int, Beginning | None]:
    """How many turns earlier compactions left out, and which one decides.

    One that was made for a smaller context says nothing here: more fits now.
    """
    places = {turn.first: place for place, turn in enumerate(prompt.turns)}
    usable = [beginning for beginning in beginnings if beginning.message in places and beginning.allocated >= allocated]
    if not usable:
        return 0, None
    deepest = max(usable, key=lambda beginning: places[beginning.message])
    return places[deepest.message], deepest


def surely_fits(messages: Sequence[Message], max_tokens: int, allocated: int) -> bool:
    """Whether there is no need to count: no tokenizer makes more tokens than there are bytes. What an image takes only the
    brain knows.

    The engine counts every prompt once more before it computes, so this only spares a count of short conversations.
    """
    template = 1024 + 16 * len(messages)  # what a template adds by itself, and more
    size = sum(len(message.text.encode("utf-8", "replace")) for message in messages)
    shows = any(message.images for message in messages)
    return not shows and size + template + reserve(max_tokens, allocated) <= allocated


def reserve(max_tokens: int, allocated: int) -> int:
    """Tokens that are kept free for the answer: what the settings say, at most a quarter of the allocation."""
    return min(max_tokens, allocated // 4)


async def fit(
    prompt: Prompt,
    *,
    count: Count,
    allocated: int,
    context_max: int,
    max_tokens: int,
    beginnings: Sequence[Beginning] = (),
    reading_speed: float | None = None,
) -> Fitted:
    """Leave out as little as possible. Raises ContextOverflow when the last turn alone does not fit.

    `reading_speed` in tokens per second, as measured before, makes `reading_seconds`. Counts once when everything
    fits, else about log2(turns) times.
    """
    start, mark = start_of(prompt, beginnings, allocated)
    messages = prompt.messages(start)
    before = await count(messages)
    if before + reserve(max_tokens, allocated) <= allocated:
        return Fitted(messages=messages, max_completion_tokens=min(max_tokens, allocated - before))
    if len((answered := prompt.without_refused()).turns) < len(prompt.turns):
        # One question that was refused because it was too long must not push out all that was said before it.
        return await fit(
            answered,
            count=count,
            allocated=allocated,
            context_max=context_max,
            max_tokens=max_tokens,
            beginnings=beginnings,
            reading_speed=reading_speed,
        )
    left_out, tokens = await _bisect(prompt, count, start, before, allocated // 2)
    try:
        max_completion_tokens = completion_limit(tokens, max_tokens, allocated)
    except ContextOverflow as error:
        raise _overflow(prompt, tokens, error.needed, allocated, context_max) from error
    if left_out == start:  # nothing to leave out: the answer gets what there is
        return Fitted(messages=messages, max_completion_tokens=max_completion_tokens)
    total = before - tokens + (mark.tokens if mark else 0)
    return Fitted(
        messages=prompt.messages(left_out),
        max_completion_tokens=max_completion_tokens,
        compacted=ContextCompacted(
            left_out_turns=left_out,
            left_out_tokens=total,
            kept_tokens=tokens,
            allocated=allocated,
            reading_seconds=tokens / reading_speed if reading_speed else None,
        ),
        beginning=Beginning(
            message=prompt.turns[left_out].first, allocated=allocated, tokens=max(1, total), turns=left_out
        ),
    )


async def _bisect(prompt: Prompt, count: Count, start: int, before: int, target: int) -> tuple[int, int]:
    """The least number of turns to leave out for at most `target` tokens, or all but the last; and the tokens then."""
    last = max(start, len(prompt.turns) - 1)
    counted = {start: before}
    low, high = start + 1, last
    while low < high:
        middle = (low + high) // 2
        counted[middle] = await count(prompt.messages(middle))
        if counted[middle] <= target:
            high = middle
        else:
            low = middle + 1
    least = min(low, last)
    if least not in counted:
        counted[least] = await count(prompt.messages(least))
    return least, counted[least]


def _overflow(prompt: Prompt, tokens: int, needed: int, allocated: int, context_max: int) -> ContextOverflow:
    asked = prompt.turns[-1].messages[0] if prompt.turns else None
    files = len(asked.attachments) + len(asked.context) if asked is not None else 0
    what = "The question alone" if not files else "The question with its file" + ("s" if files > 1 else "")
    more = (
        f"allocate more (`omni config set engine.context {_rounded(needed)}`)"
        if context_max >= needed
        else f"take a brain with a longer context (this one has {context_max:,})"
    )
    less = "Attach less" if files else "Ask for less at a time"
    return ContextOverflow(
        f"{what} takes {tokens:,} tokens and the answer at least {needed - tokens:,}; {allocated:,} are allocated.",
        hint=f"{less}, or {more}.",
        needed=needed,
        allocated=allocated,
    )


def _rounded(tokens: int) -> int:
    return -(-tokens // 1024) * 1024
