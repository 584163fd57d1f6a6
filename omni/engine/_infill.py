"""Texts without a template as tokens, and prompts that ask for the text between two others.

llama.cpp's own `/infill` cuts what surrounds the gap to a part of its batch without saying so; here all of it is read.
"""

import mmap
import os
from pathlib import Path

from omni.core.errors import EngineError
from omni.engine.http import WorkerClient
from omni.engine.refusals import WrongField
from omni.engine.types import CompletionRequest

# How the families write "before", "after" and "fill in here", in the order in which the parts are sent.
_MARKS = (
    ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),  # Qwen, Granite, Gemma
    ("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),  # StarCoder
    ("<fim-prefix>", "<fim-suffix>", "<fim-middle>"),
    ("<\uff5cfim\u2581begin\uff5c>", "<\uff5cfim\u2581hole\uff5c>", "<\uff5cfim\u2581end\uff5c>"),  # DeepSeek
    ("<PRE>", "<SUF>", "<MID>"),  # Code Llama
)


def supports_infill(path: str | os.PathLike[str], header: int) -> bool:
    """Whether the vocabulary of a GGUF file, whose header is at most `header` bytes long, has the marks of a family.

    A token stands in it as its length and its bytes, which nothing else in a header looks like.
    """
    try:
        with Path(path).open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
            return any(
                all(
                    text.find(len(mark := part.encode()).to_bytes(8, "little") + mark, 0, header) >= 0 for part in marks
                )
                for marks in _MARKS
            )
    except (OSError, ValueError):  # gone, or empty
        return False


async def tokens_of(client: WorkerClient, text: str, *, special: bool = False, beginning: bool = False) -> list[int]:
    """The tokens of `text`; `special`: marks in it count as such; `beginning`: with what the brain expects first."""
    answer = await client.json("/tokenize", {"content": text, "parse_special": special, "add_special": beginning})
    try:
        return [int(token) for token in answer["tokens"]]
    except (KeyError, TypeError, ValueError) as error:
        raise EngineError("The brain's process cannot make tokens of a text.") from error


async def prompt_tokens(client: WorkerClient, request: CompletionRequest) -> list[int]:
    """The whole prompt. Raises UsageError for a suffix where the brain knows no marks for a gap."""
    if request.suffix is None:
        return await tokens_of(client, request.prompt, beginning=True)
    before, after, middle = await _marks(client)
    return [
        before,
        *await tokens_of(client, request.prompt),
        after,
        *await tokens_of(client, request.suffix),
        middle,
    ]


async def _marks(client: WorkerClient) -> list[int]:
    for marks in _MARKS:
        tokenized = [await tokens_of(client, mark, special=True) for mark in marks]
        if all(len(tokens) == 1 for tokens in tokenized):
            return [tokens[0] for tokens in tokenized]
    raise WrongField(
        "This brain was not made to fill in between two texts.",
        hint="Leave out `suffix`, or take a coder's base model.",
        param="suffix",
    )
