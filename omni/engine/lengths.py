"""Texts that are too long for any context are refused, or counted, without the worker making tokens of all of them at once.

For 16 MB of text it takes gigabytes, and a minute: of spaces or letters in a row 300 bytes a byte. So of a text that may
be too long pieces are counted, one after the other, until that is certain; where the number is wanted, so many of them that
the rest can be told from these.
"""

from collections.abc import Iterator

from omni.core.errors import ContextOverflow, UsageError
from omni.engine._infill import tokens_of
from omni.engine.http import WorkerClient
from omni.engine.types import ChatRequest, CompletionRequest

LONGEST = 1 << 20  # characters of a text of which tokens are wanted
PIECE = 1 << 16  # characters
USUAL = 16  # characters of a token, on the mean, that no text of a language has: what is shorter is counted at once
MOST = 1 << 22  # characters of which tokens are made to tell how many there are
CERTAIN = 2  # times what is allocated: a text cut into pieces has more tokens than it has whole, but not so many more


async def check_length(client: WorkerClient, request: ChatRequest | CompletionRequest, *, allocated: int) -> None:
    """Raises ContextOverflow for a prompt that is certainly longer than what is allocated. Nearly every one is not
    looked at."""
    if counted := await far_too_long(client, request, allocated=allocated, enough=CERTAIN * allocated):
        raise ContextOverflow(
            f"The prompt has more than {counted:,} tokens; {allocated:,} are allocated.",
            hint="Send less, start a new conversation, or allocate more (engine.context).",
            needed=counted,
            allocated=allocated,
        )


async def far_too_long(
    client: WorkerClient, request: ChatRequest | CompletionRequest, *, allocated: int, enough: int | None = None
) -> int:
    """Tokens of a prompt's texts, where they are certainly more than what is allocated, counted until they are more than
    `enough`; 0 for any other prompt. What the template writes around them is not counted, the ends of pieces may be
    counted twice, and after `MOST` characters the rest is taken to be like them."""
    texts = _texts(request)
    if (length := sum(map(len, texts))) <= USUAL * allocated:
        return 0
    counted = seen = 0
    for piece in _pieces(texts):
        counted, seen = counted + len(await tokens_of(client, piece)), seen + len(piece)
        if enough is not None and counted > enough:
            break
        if seen >= MOST and counted > CERTAIN * allocated:
            return counted * length // seen
    return counted if counted > CERTAIN * allocated else 0


def check_text(text: str) -> None:
    """Raises UsageError for a text whose tokens are too many to be made at once."""
    if len(text) > LONGEST:
        raise UsageError(
            f"A text of {len(text):,} characters is too long to make tokens of it at once; {LONGEST:,} may come.",
            hint="Send it in pieces.",
        )


def _texts(request: ChatRequest | CompletionRequest) -> list[str]:
    if isinstance(request, CompletionRequest):
        return [request.prompt, request.suffix or ""]
    return [
        text for message in request.messages for text in (message.text, *(call.arguments for call in message.calls))
    ]


def _pieces(texts: list[str]) -> Iterator[str]:
    for text in texts:
        for at in range(0, len(text), PIECE):
            yield text[at : at + PIECE]
