"""Histories: what a system text in the middle of one costs, and what becomes of them on real chat templates.

    python -m benchmarks.histories BRAIN.gguf [FOLDER]

It prints the time to the first token of a second turn with and without a system text before it, beside the same turn
with that text moved to the front, as it was before; and how long it takes to find out what a template takes. FOLDER has
files of templates (`*.jinja`, such as those in llama.cpp's `models/templates`): the histories of the tests are written by
each, in four protocols, and what is refused, lost or read anew is counted.
"""

import asyncio
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from benchmarks.engine import ask, kept, spec
from omni.core.errors import OmniError
from omni.core.messages import Message
from omni.core.paths import Home
from omni.engine import ChatRequest, Sampling, WorkerEngine
from omni.keeper import KeeperClient
from tests.engine.engine_tools import Worker, real_spec
from tests.matrix_tools import Matrix

ROUNDS = 12
TURNS = 10  # of 340 tokens
WORDS = "The harbour master counts the ships that come in with the tide, and writes them into a book. "
MOVING = {"Mistral": "[AVAILABLE_TOOLS]"}  # families that list their tools in the last turn of a user only


def talk(salt: str, turns: int) -> list[Message]:
    """A conversation that no worker has read before."""
    messages = [Message.of("system", f"You answer briefly. {salt}")]
    for at in range(turns):
        messages.append(Message.of("user", f"Part {at}. {WORDS * 16}"))
        messages.append(Message.of("assistant", f"Part {at} is read."))
    return [*messages, Message.of("user", "What does he do?")]


def asked(messages: Sequence[Message]) -> ChatRequest:
    return ChatRequest(messages=tuple(messages), sampling=Sampling(temperature=0.0, seed=1, max_tokens=8))


async def middle(keeper: KeeperClient, gguf: Path) -> None:
    """Second turns of one conversation, in turn: plain, with some words in the question, with them as a system text before
    it; and once with that at the front."""
    engine = WorkerEngine(spec(gguf, slots=1, context=8192, cells=8192), keeper, name="benchmark")
    words, first = "Mind that the user is in a hurry.", talk("", TURNS)
    reminder, answer = Message.of("system", words), Message.of("assistant", "He counts ships.")
    times: dict[str, list[float]] = {"without": [], "in the question": [], "in its place": [], "moved to the front": []}
    _, usage = await ask(engine, asked(first))
    for number in range(ROUNDS):
        question = f"{number}. {WORDS * 3}And then?"
        plain = Message.of("user", question)
        hurried = Message.of("user", f"{number}. {words} {question}")
        front = Message.of("system", f"{first[0].text}\n\n{words}")
        turns = {
            "without": [*first, answer, plain],
            "in the question": [*first, answer, hurried],
            "in its place": [*first, answer, reminder, plain],
        }
        for name, messages in turns.items():
            times[name].append((await ask(engine, asked(messages)))[0])
        if number == ROUNDS - 1:
            times["moved to the front"].append((await ask(engine, asked([front, *first[1:], answer, plain])))[0])
    print(f"second turn after {usage.prompt_tokens:,} tokens, best and middle of {ROUNDS}:")
    best, usual = min(times["without"]), median(times["without"])
    for name, seconds in times.items():
        least, middling = min(seconds), median(seconds)
        print(
            f"  {name:20} {least * 1000:8.0f} ms {least / best:6.2f} x   {middling * 1000:8.0f} ms {middling / usual:6.2f} x"
        )
    await engine.close()


async def families(templates: dict[str, str], gguf: Path) -> None:
    """The histories of the tests on every one of `templates`, by their names."""
    home, total = Home(tempfile.mkdtemp(prefix="omni-bench-")).ensure(), Counter[str]()
    try:
        for at, (title, template) in enumerate(templates.items()):
            worker = Worker(home, f"worker-{at}", real_spec(gguf, context=512, cells=512, chat_template=template))
            try:
                await worker.ready()
                moving = next((mark for name, mark in MOVING.items() if name in title.title()), "")
                matrix, faults = Matrix(worker.socket, worker.key, moving=moving), Counter[str]()
                started = time.perf_counter()
                await matrix.traits()
                probing = time.perf_counter() - started
                async for fault in matrix.faults():
                    faults["refused" if "refused after" in fault else "anew" if "read anew" in fault else "lost"] += 1
                total += faults + Counter(templates=1, requests=matrix.requests)
                print(f"  {title:48} {dict(faults) or 'all kept'}, probed in {probing * 1000:.0f} ms", flush=True)
            except OmniError as error:
                print(f"  {title:48} not loaded: {error.message}")
            finally:
                worker.close()
    finally:
        shutil.rmtree(home.root)
        shutil.rmtree(home.sockets, ignore_errors=True)
    print(", ".join(f"{count:,} {what}" for what, count in total.items()))


async def main(gguf: Path, templates: dict[str, str]) -> None:
    async with kept() as keeper:
        await middle(keeper, gguf)
    await families(templates, gguf)


if __name__ == "__main__":
    files = sorted(Path(sys.argv[2]).glob("*.jinja")) if len(sys.argv) > 2 else []
    asyncio.run(main(Path(sys.argv[1]), {path.stem: path.read_text("utf-8") for path in files}))
