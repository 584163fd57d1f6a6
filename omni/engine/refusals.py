"""Whose fault it is when llama.cpp's server refuses: decided here by what it says, since its status does not tell.

A template that raises is a 500 of it or a 400, an array that it could not allocate a 400. What follows from each is in one
table. Whoever asks again the same is helped by a second try after an EngineError only.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from omni.core.errors import ContextOverflow, EngineError, OmniError, UsageError

LONGEST_WORDS = 500  # of what a template or the engine says, and a client is told
AGAIN = "Ask again: the brain is loaded anew."
BROKEN_IMAGE = "An image of the request cannot be decoded."
BAD_IMAGE = (
    "Look whether the images are whole, and whether other programs show them. If so, send smaller ones: the brain's process "
    "may have no memory for these."
)
OTHER_BRAIN = "Change what they name, or ask another brain."
NO_MEMORY = (  # as C++, ggml, Rust, Python and the system say it, the last of a thread that has no room for its stack
    "bad_alloc|insufficient memory|memory allocation of .* failed|failed to allocate|MemoryError"
    "|[Oo]ut of memory|Cannot allocate memory|Resource temporarily unavailable"
)
IN_VAIN = "The same request fails again; the worker's log in the home's `logs` says where."


class WrongField(UsageError):
    """A value of a request that this brain cannot do, though others may; `param` is its field."""

    def __init__(self, message: str, *, hint: str = "", param: str = "") -> None:
        super().__init__(message, hint=hint)
        self.param = param


class Misasked(OmniError):
    """The engine refuses what Omni, or who made the brain, asks of it, or has no memory for it. No second try helps."""


class OutOfMemory(Misasked):
    """The worker reached the most memory that it may take (`ceilings.py`), and refused what was asked, or ended."""


class Unreadable(EngineError):
    """The engine cannot read the brain's answer by the brain's own template."""


class NotReady(EngineError):
    """The engine loads its base; soon it answers."""


def meant(status: int, error: Mapping[str, Any]) -> OmniError:
    """The failure that llama.cpp's `{"message", "type", "code", …}` stands for. `status` is that of the answer; in a
    stream the error itself tells it."""
    message, kind = str(error.get("message", "")).strip(), error.get("type")
    if kind == "exceed_context_size_error":
        return ContextOverflow(
            "The prompt does not fit into the context.",
            hint="Start a new conversation, or shorten this one with /compact.",
            needed=_count(error.get("n_prompt_tokens")),
            allocated=_count(error.get("n_ctx")),
        )
    for pattern, make in _MEANINGS:
        if (match := re.search(pattern, message, re.DOTALL)) is not None:
            return make(match)
    status = status or _count(error.get("code"))
    if kind == "unavailable_error" or status == 503:
        return NotReady("The brain is still being loaded.", hint="Ask again in a moment.")
    told = (
        f"The brain's process refused: {_short(message)}."
        if message
        else f"The brain's process answered with {status}."
    )
    if (400 <= status < 500 and status != 401) or status == 501:
        return Misasked(told, hint=IN_VAIN)
    return EngineError(told, hint=AGAIN)


def _too_large(match: re.Match[str]) -> OmniError:
    needed, allocated = _count(match[1]), _count(match[2])
    return ContextOverflow(
        f"A text has {needed:,} tokens; {allocated:,} can be read for one vector.",
        hint="Send it in parts.",
        needed=needed,
        allocated=allocated,
    )


def _raised(match: re.Match[str]) -> OmniError:
    return UsageError(
        f"The brain's chat template does not take this conversation. It says: {_short(match[1])}.", hint=OTHER_BRAIN
    )


def _unwritten(match: re.Match[str]) -> OmniError:
    """A template that cannot write one user's question keeps its brain from being loaded, so it is this conversation."""
    return UsageError(
        f"The brain's chat template cannot write this conversation: {_short(match[1])}.",
        hint="Leave out the tools or what is unusual in the messages, or ask another brain.",
    )


def _schema(match: re.Match[str]) -> OmniError:
    return UsageError(f"The schema cannot be followed: {_short(match[1])}.", hint="Send a simpler one.")


def _usage(message: str, hint: str = "", param: str = "") -> Callable[[re.Match[str]], OmniError]:
    return lambda _: WrongField(message, hint=hint, param=param)


def _failed(message: str, hint: str = "Ask again.") -> Callable[[re.Match[str]], OmniError]:
    return lambda _: EngineError(message, hint=hint)


# What llama.cpp says, with whatever status, of requests that only Omni makes, and never should.
_OURS = "|".join(
    (
        "requires --jinja flag",
        "Cannot use both json_schema and grammar",
        "Cannot specify grammar with tools",
        "Failed to parse (?:messages|tools)",
        "Invalid base64 value",
        "Failed to download",
        "Unknown (?:chat|reasoning) format",
        "input prompt must be a string",
    )
)
# In order: what stands within another message comes before it. The words are those of the engine's version that is pinned.
_MEANINGS: tuple[tuple[str, Callable[[re.Match[str]], OmniError]], ...] = (
    (r"input \((\d+) tokens\) is too large.*batch size: (\d+)", _too_large),
    (r"input \((\d+) tokens\) is larger than the max context size \((\d+) tokens\)", _too_large),
    (
        "empty grammar stack",
        _usage(
            "The answer came to where its schema admits nothing more.",
            "Look for bounds and patterns that exclude each other.",
        ),
    ),
    (r"JSON schema (?:conversion failed|error at)[: ]*(.+)", _schema),
    (
        "[Ff]ailed to parse grammar|[Ff]ailed to initialize grammar|rules that are going to be repeated",
        _usage("The schema cannot be followed: the engine can make no grammar of it.", "Send a simpler one."),
    ),
    (r"Field 'json_schema': (.+)", _schema),
    (r"Jinja Exception: (.+)", _raised),
    (
        r"Failed to parse tool call arguments as JSON",
        _usage("The arguments of an earlier call are no JSON object."),
    ),
    (r"While executing .*\nError: (.+)", _unwritten),
    (r"Error executing \w+ at position \d+: (.+)", _unwritten),
    (r"Automatic parser generation failed:\s*(.+)", _unwritten),
    (r"(NotImplemented: .+)", _unwritten),
    (
        "(?:2 or more|Cannot continue an) assistant message",
        _usage(
            "The brain cannot go on from these last messages of an assistant.",
            "End with what the user says, or with the result of a call.",
        ),
    ),
    (
        r"logprobs is not supported with tools",
        _usage(
            "The likelihoods of tokens cannot be told where this brain may call tools.",
            "Leave out `logprobs`, or the tools.",
            "logprobs",
        ),
    ),
    ("Failed to load (?:image|media)|failed to (?:load|decode) image", _usage(BROKEN_IMAGE, BAD_IMAGE)),
    (
        r"(?:image|audio|video) input is not supported|does not support multimodal",
        _usage("This brain cannot see or hear: it reads text only.", "Leave out what is no text."),
    ),
    (r"[Ii]nput content cannot be empty", _usage("A text has no tokens for this brain.", "Send words.", "input")),
    (
        "does not support logits computation",
        _usage(
            "This brain was made for vectors or ranks, and answers nothing.",
            "Ask it at /v1/embeddings or /v1/rerank.",
            "model",
        ),
    ),
    (
        "custom template is not supported|failed to apply chat template",
        lambda _: Misasked(
            "The brain is made with the name of a chat template that this engine does not know.",
            hint="Its cartridge may say the `template` itself, in Jinja.",
        ),
    ),
    ("Failed to tokenize prompt", _usage("The brain's eyes cannot take an image of the request.", BAD_IMAGE)),
    (
        NO_MEMORY,
        lambda _: OutOfMemory("The brain's process has no memory for this request.", hint="Send less at once."),
    ),
    ("Context size has been exceeded", _failed("The brain ran out of room for all answers together.")),
    (
        "does not match the expected .* format|Invalid diff",
        lambda _: Unreadable(
            "The brain wrote a call or a thought in a form that its own template does not know.", hint="Ask again."
        ),
    ),
    (f"({_OURS})", lambda match: Misasked(f"The brain's process refused: {_short(match.string)}.", hint=IN_VAIN)),
)


def _short(words: str) -> str:
    """What the engine says as a part of a sentence: on one line, not endless, without its own full stop."""
    line = " ".join(words.split())
    return (line if len(line) <= LONGEST_WORDS else f"{line[:LONGEST_WORDS]} …").rstrip(".")


def _count(value: Any) -> int:
    try:
        return max(0, int(value or 0))
    except (TypeError, ValueError, OverflowError):
        return 0
