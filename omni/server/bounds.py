"""What one request may hold, whatever protocol it speaks, so that none keeps all others waiting."""

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta

from omni.server.errors import BadParameter

MOST_STOPS = 64
LONGEST_STOP = 1000  # characters
MOST_TEXTS = 2048  # whose vectors or ranks are wanted

StopText = Annotated[str, Meta(max_length=LONGEST_STOP)]
StopTexts = Annotated[list[StopText], Meta(max_length=MOST_STOPS)]


def check_texts(texts: Sequence[str], param: str = "input") -> None:
    """Whether vectors or ranks can be made of all of `texts`, the field `param` of a request. Raises BadParameter."""
    if not all(texts):
        raise BadParameter("A text is empty.", hint="Send at least one character.", param=param)
    if len(texts) > MOST_TEXTS:
        raise BadParameter(f"One request may hold {MOST_TEXTS} texts.", hint="Send several requests.", param=param)
