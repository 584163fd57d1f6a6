"""The gate of equality: whether an engine that is set up otherwise says what it says as it is.

    python -m benchmarks.equality BRAIN.gguf [NAME=VALUE ...] [--edits]

64 greedy answers of the brain as it is are the reference. The other worker, with the settings that are named (default:
`speculation=1`; `cache=q8_0`, `threads=1`, `engine=NAME` are others), answers the same. Where it takes another token, that
is listed with the reference's margin between its two likeliest ones, and the other goes on behind the reference's token.
Where the reference itself takes that other token as soon as it reads its answer as a prompt, in a batch instead of token
by token, that is its own noise and is told apart. Any other difference where the margin, by either way of reading, is
more than 0.05 logit fails the gate. The mean difference of the likelihoods of the
reference's tokens is told, too. With `--edits` four modules of Python's library are to be written again instead, 500 tokens of
each: most of these are guessed where guesses are made.
"""

import asyncio
import bisect
import colorsys
import keyword
import sched
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.engine import kept, spec
from omni.engine.http import WorkerClient
from omni.keeper import KeeperClient, WorkerSpec
from omni.runtimes import BUILT_IN

MARGIN = 0.05
TOKENS = 48
THINGS = ("the sea", "a hill", "an old ship", "a forest", "the rain", "a town", "bread", "the moon")
WAYS = (
    "Tell a story about {}.",
    "What is {}? Answer in three sentences.",
    "Write a Python function that has to do with {}.",
    "List five facts about {}.",
    "Explain {} to a child.",
    "Write a letter to {}.",
    'Say in JSON what {} is: {{"name": …, "kind": …}}.',
    "Repeat ten times: I like {}.",
)
QUESTIONS = tuple(way.format(thing) for thing in THINGS for way in WAYS)
AGAIN = "Write this file again, with one comment more at its top, and say nothing else.\n\n```python\n{}\n```"
EDITED, LINES, LONG = (bisect, colorsys, keyword, sched), 70, 500
EDITS = tuple(
    AGAIN.format("\n".join(Path(str(module.__file__)).read_text("utf-8").splitlines()[:LINES])) for module in EDITED
)


class Step(NamedTuple):
    """A token of an answer, how likely it was, and by how much it was likelier than the next one."""

    token: int
    text: str
    logprob: float
    margin: float


async def answer(client: WorkerClient, prompt: list[int], tokens: int, *, fresh: bool = False) -> list[Step]:
    """What the brain says greedily; `fresh`: the whole prompt is read for it."""
    body = {"prompt": prompt, "n_predict": tokens, "temperature": 0, "n_probs": 2, "cache_prompt": not fresh, "seed": 1}
    told: dict[str, Any] = await client.json("/completion", body)
    steps = []
    for one in told["completion_probabilities"]:
        top = one["top_logprobs"]
        margin = top[0]["logprob"] - top[1]["logprob"] if len(top) > 1 else 99.0
        steps.append(Step(one["id"], one["token"], one["logprob"], margin))
    return steps


async def compare(
    reference: WorkerClient, other: WorkerClient, questions: Sequence[str] = QUESTIONS, tokens: int = TOKENS
) -> int:
    """Print what differs; how many differences fail the gate."""
    verdicts: Counter[str] = Counter()
    compared, drift = 0, 0.0
    for question in questions:
        text = (await reference.json("/apply-template", {"messages": [{"role": "user", "content": question}]}))[
            "prompt"
        ]
        body = {"content": text, "add_special": True, "parse_special": True}
        prompt: list[int] = (await reference.json("/tokenize", body))["tokens"]
        wanted = await answer(reference, prompt, tokens)
        at = 0
        while at < len(wanted):
            said = await answer(other, prompt + [step.token for step in wanted[:at]], len(wanted) - at)
            for step in said:
                compared += 1
                if step.token != wanted[at].token:
                    read = (await answer(reference, prompt + [one.token for one in wanted[:at]], 1, fresh=True))[0]
                    margin = min(wanted[at].margin, read.margin)
                    verdict = "noise" if read.token == step.token else "tie" if margin <= MARGIN else "FAILED"
                    verdicts[verdict] += 1
                    where = f"{question[:60]!r}, token {at}: {wanted[at].text!r} and {step.text!r}"
                    print(f"{verdict:6} margin {wanted[at].margin:.3f}, read {read.margin:.3f}  {where}", flush=True)
                    at += 1
                    break
                drift += abs(step.logprob - wanted[at].logprob)
                at += 1
            else:
                if len(said) < len(wanted) and not said:
                    break
    told = ", ".join(f"{verdicts[name]} {name}" for name in ("noise", "tie", "FAILED"))
    print(f"{compared} tokens, {told}; likelihoods differ by {drift / compared:.4f} in the mean")
    return verdicts["FAILED"]


async def client_of(keeper: KeeperClient, wanted: WorkerSpec) -> tuple[Any, WorkerClient]:
    """A worker for a spec, and the lease that keeps it."""
    lease = await keeper.worker(wanted)
    async for _ in lease.states():
        pass
    return lease, WorkerClient(lease.socket, lease.key)


async def main(gguf: Path, settings: dict[str, int | str], *, edits: bool) -> int:
    engine = str(settings.pop("engine", BUILT_IN))
    async with kept(engine) as keeper:
        one, reference = await client_of(keeper, spec(gguf, slots=1, cells=4096, context=4096))
        changed = spec(gguf, **{"slots": 1, "cells": 4096, "context": 4096, **settings})
        import msgspec

        two, other = await client_of(keeper, msgspec.structs.replace(changed, engine=engine))
        failed = await (compare(reference, other, EDITS, LONG) if edits else compare(reference, other))
        del one, two
    return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    given = dict(one.split("=", 1) for one in sys.argv[2:] if one != "--edits") or {"speculation": "1"}
    numbers = {name: int(value) if value.isdigit() else value for name, value in given.items()}
    sys.exit(asyncio.run(main(Path(sys.argv[1]).resolve(), numbers, edits="--edits" in sys.argv)))
