"""The arithmetic of a context: what an answer may take, and when a prompt does not fit.

A worker's cells are shared by its slots (llama.cpp's unified cache), so that one chat may use all of them while the
others are silent. What keeps one chat from pushing another out is the reservation: a turn asks the keeper for a place
*and* for `prompt + answer` cells, and waits until both are free. What idle slots keep for the prefix cache is not
reserved: the server drops it as soon as a running turn needs the cells.
"""

from omni.core.errors import ContextOverflow

LEAST_ANSWER = 256


def least_answer(wanted: int, allocated: int) -> int:
    """The fewest tokens of an answer for which a turn is still worth starting."""
    return min(wanted, LEAST_ANSWER, max(16, allocated // 8))


def completion_limit(prompt: int, wanted: int, allocated: int) -> int:
    """Tokens that the answer to a prompt of `prompt` tokens may take: `wanted`, or what is left.

    Raises ContextOverflow when less than `least_answer` is left.
    """
    left = allocated - prompt
    least = least_answer(wanted, allocated)
    if left < least:
        raise ContextOverflow(
            f"The prompt has {prompt:,} tokens and the answer needs {least:,}; {allocated:,} are allocated.",
            hint="Start a new conversation, shorten this one with /compact, or allocate more (engine.context).",
            needed=prompt + least,
            allocated=allocated,
        )
    return min(wanted, left)
