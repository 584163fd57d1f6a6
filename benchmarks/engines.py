"""How this Omni runs a brain, beside another checkout of it and a bare llama.cpp server, in one run.

    python -m benchmarks.engines BRAIN.gguf [--against CHECKOUT] [--llama-server BINARY] [--rounds N] [--only CASE]
        [--set NAME=VALUE]...

Every case of every side runs in a process and a home of its own, sides take turns, and the best of the rounds counts.
The cases: a prompt of 1,500 tokens; 120 lines of `sched.py` of Python's library with one name changed, so that most of the answer
repeats them; `bisect.py`, whose functions are twins; and a file whose lines are all alike but for their numbers, so that most of what
could be guessed is wrong; the first token after a restart for a brain whose own prompt has 1,500 tokens; what the worker has in memory after a
conversation of 2,000 tokens, and with 16,000 in use; tokens a second beside a busy process. `omni serve` against the
bare engine is measured by `benchmarks.server`. `--set` adds a side, this checkout with settings of `[engine]`: `--set batch=256`.
"""

import argparse
import asyncio
import bisect
import json
import os
import sched
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

from omni.app import Services
from omni.core.events import TextDelta, TurnEnded, Usage
from omni.core.messages import Message
from omni.core.paths import Home
from omni.engine import ChatRequest, Engine, Sampling
from omni.keeper import start

ROOT = Path(__file__).resolve().parents[1]
SET = "set"  # the side with other settings
CASES = ("prompt", "edit", "twins", "alike", "restart", "memory", "full", "busy")
RULES = "\n".join(
    f"{at}. Whoever writes part {at} of the log says which lamp burned, how long, and who was on watch that night."
    for at in range(1, 53)
)
FILE = "\n".join(
    f'def step_{at}(log: list[str], watch: int) -> int:\n    """Light lamp {at}, and say so."""\n'
    f'    log.append(f"lamp {at} was lit on watch {{watch}}")\n    return watch + {at}\n\n'
    for at in range(1, 25)
)
AGAIN = "Rename `{}` to `{}` in this file and write the whole file again, nothing else.\n\n```python\n{}```"
EDITS = {
    "edit": AGAIN.format(
        "enterabs", "enter_at", "".join(Path(sched.__file__).read_text("utf-8").splitlines(True)[:120])
    ),
    "twins": AGAIN.format("bisect_right", "place_after", Path(bisect.__file__).read_text("utf-8")),
    "alike": AGAIN.format("watch", "shift", FILE),
}


def main() -> int:
    """Compare, or be one side of it."""
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("brain", type=Path)
    parser.add_argument("--against", type=Path)
    parser.add_argument("--llama-server", type=Path)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=CASES, action="append")
    parser.add_argument("--side", choices=CASES, help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.side:
        print(json.dumps(one(wanted.side, wanted.brain.resolve(), wanted.set)))
        return 0
    sides = {"now": ROOT} | ({"before": wanted.against.resolve()} if wanted.against else {})
    sides |= {SET: ROOT} if wanted.set else {}
    print(f"load of this machine before: {os.getloadavg()[0]:.1f}")
    for case in wanted.only or CASES:
        told: dict[str, list[dict[str, float]]] = {side: [] for side in sides}
        for at in range(wanted.rounds):
            for side in sides if at % 2 else reversed(sides):
                told[side].append(run(sides[side], case, wanted.brain, wanted.set if side == SET else []))
                print(f"{case} {side} {told[side][-1]}", file=sys.stderr, flush=True)
        report(case, told)
    if wanted.llama_server:
        for case in ("prompt", *EDITS):
            best = max((bare(wanted.llama_server, wanted.brain, case) for _ in range(wanted.rounds)), key=by(case))
            print(f"{case:10} bare llama.cpp server  {best}", flush=True)
    print(f"load of this machine after: {os.getloadavg()[0]:.1f}")
    return 0


def by(case: str) -> Any:
    """What tells of a measurement whether it is the best of its case."""
    return lambda told: told["value"] if case in ("prompt", "busy", *EDITS) else -told["value"]


def report(case: str, told: dict[str, list[dict[str, float]]]) -> None:
    """The best of each side, and the ratio."""
    best = {side: max(measured, key=by(case)) for side, measured in told.items()}
    line = "  ".join(f"{side} {measured}" for side, measured in best.items())
    ratios = [
        f"{best[one]['value'] / best[other]['value']:.2f} x {other}"
        for one, other in (("now", "before"), (SET, "now"))
        if {one, other} <= best.keys()
    ]
    print(f"{case:10} {line}  {', '.join(ratios)}", flush=True)


def run(checkout: Path, case: str, brain: Path, settings: list[str]) -> dict[str, float]:
    """One case by the code of one checkout, with other settings."""
    environment = {**os.environ, "PYTHONPATH": str(checkout), "OMNI_ENVIRONMENT": "own"}
    command = [sys.executable, __file__, str(brain), "--side", case, *(f"--set={each}" for each in settings)]
    answer = subprocess.run(command, env=environment, cwd=checkout, stdout=subprocess.PIPE, check=True, text=True)
    measured: dict[str, float] = json.loads(answer.stdout.splitlines()[-1])
    return measured


def one(case: str, gguf: Path, settings: list[str]) -> dict[str, float]:
    """A case by the code of this process, in a home of its own; `value` is what is compared."""
    with tempfile.TemporaryDirectory(prefix="omni-engines-") as folder:
        os.environ["OMNI_HOME"] = folder
        home = Home(folder).ensure()
        home.config.write_text("\n".join(["[engine]", *settings]), "utf-8")
        subprocess.run([sys.executable, "-m", "omni", "pull", str(gguf)], check=True, capture_output=True)
        subprocess.run([sys.executable, "-m", "omni", "stop", "--all"], check=True, capture_output=True)
        return asyncio.run(measure(case, home))


async def measure(case: str, home: Home) -> dict[str, float]:
    async with services(home) as used:
        if case == "restart":
            return await restart(used)
        engine = await used.open(await used.default_brain())
        if case == "prompt":
            usage = (await ask(engine, chat(f"{time.time_ns()}\n{RULES}\nWhich rule is the last?", 4)))[1]
            read = usage.prompt_tokens - usage.cached_tokens
            return {"value": round(read / usage.prompt_seconds, 1), "tokens": read}
        if case in EDITS:
            usage = (await ask(engine, chat(EDITS[case], 2600)))[1]
            told = {"value": round(usage.speed, 1), "tokens": usage.completion_tokens}
            return told | {"accepted": getattr(usage, "accepted_tokens", 0)}
        if case == "busy":
            return await beside(engine)
        return await memory(used, engine, full=case == "full")


async def restart(used: Services) -> dict[str, float]:
    """Seconds to the first token of a new worker, when an earlier one has answered once."""
    for _ in range(2):
        engine = await used.open(await used.default_brain())
        system = Message.of("system", RULES)
        request = ChatRequest(
            messages=(system, Message.of("user", "Which rule is the last?")), sampling=Sampling(seed=1, max_tokens=4)
        )
        if "fixed" in ChatRequest.__struct_fields__:
            import msgspec

            request = msgspec.structs.replace(request, fixed=RULES)
        first, usage = await ask(engine, request)
        keeper = await used.keeper()
        for process in await keeper.processes():
            if process.kind == "worker":
                await keeper.stop(process.name)
    return {"value": round(first, 2), "tokens": usage.prompt_tokens, "cached": usage.cached_tokens}


async def memory(used: Services, engine: Engine, *, full: bool) -> dict[str, float]:
    """Megabytes of the worker that are in memory."""
    can = await engine.capabilities()
    chats, rounds = (max(1, 16000 // can.context), 0) if full else (1, 1)
    for at in range(chats):
        text = f"{at}\n{RULES}\n" * ((min(can.context, 16000) - 400) // 1500 if full else 1)
        await ask(engine, chat(f"{text}Which rule is the last?", 200 if rounds else 16))
    if not full:
        await ask(engine, chat(f"0\n{RULES}\nWhich rule is the last?", 200))
    (worker,) = [process for process in await (await used.keeper()).processes() if process.kind == "worker"]
    return megabytes(worker.pid)


def megabytes(pid: int) -> dict[str, float]:
    """What of a process is in memory, by the kernel's word."""
    status = Path(f"/proc/{pid}/status").read_text("ascii")
    told = dict(line.split(":", 1) for line in status.splitlines())
    total, own, mapped = (int(told[name].split()[0]) // 1000 for name in ("VmRSS", "RssAnon", "RssFile"))
    return {"value": total, "own": own, "mapped": mapped}


async def beside(engine: Engine) -> dict[str, float]:
    """Tokens a second beside a busy process, as a share of those without."""
    await ask(engine, chat("Hello", 8))
    speeds = []
    for number in (0, 1):
        loops = [busy_loop() for _ in range(number)]
        try:
            speeds.append(max([(await ask(engine, chat("Tell a long story.", 64)))[1].speed for _ in range(3)]))
        finally:
            for loop in loops:
                loop.kill()
                loop.wait()
    return {"value": round(speeds[1] / speeds[0], 2), "idle": round(speeds[0], 1), "busy": round(speeds[1], 1)}


def busy_loop() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", "while True: pass"])


def chat(text: str, tokens: int) -> ChatRequest:
    sampling = Sampling(temperature=0.0, seed=1, max_tokens=tokens)
    return ChatRequest(messages=(Message.of("user", text),), sampling=sampling)


async def ask(engine: Engine, request: ChatRequest) -> tuple[float, Usage]:
    """Seconds to the first word, and what the engine says. This file imports none of its neighbours: it also runs with the
    code of an earlier checkout, whose neighbours are others."""
    started, first = time.perf_counter(), 0.0
    async with aclosing(engine.chat(request)) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                first = first or time.perf_counter() - started
            if isinstance(event, TurnEnded):
                return first, event.usage
    raise AssertionError


@asynccontextmanager
async def services(home: Home) -> AsyncIterator[Services]:
    """A front end with a keeper of its own, which ends with it."""
    starter = start(home, full_screen=False)
    async with Services(home, starter=starter, client="benchmark", plugins=False) as used:
        try:
            yield used
        finally:
            await (await used.keeper()).shutdown()
    starter.goodbye()


def bare(binary: Path, brain: Path, case: str) -> dict[str, float]:
    """The same prompt to a llama.cpp server as it comes, with the same threads and context."""
    import http.client
    import socket

    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/s.sock"
        threads = str(len(os.sched_getaffinity(0)))
        command = [str(binary), "-m", str(brain), "--host", path, "-c", "16384", "-t", threads, "--no-webui"]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            while True:
                connection = http.client.HTTPConnection("bare")
                connection.sock = socket.socket(socket.AF_UNIX)
                try:
                    connection.sock.connect(path)
                except OSError:
                    if server.poll() is not None:
                        raise
                    time.sleep(0.05)
                    continue
                text = EDITS[case] if case in EDITS else f"{time.time_ns()}\n{RULES}\nWhich rule is the last?"
                body = {"messages": [{"role": "user", "content": text}], "temperature": 0}
                body["max_tokens"] = 2600 if case in EDITS else 4
                connection.request(
                    "POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"}
                )
                answer = json.loads(connection.getresponse().read())
                if "timings" in answer:
                    times = answer["timings"]
                    name = "predicted" if case in EDITS else "prompt"
                    return {"value": round(times[f"{name}_per_second"], 1), "tokens": times[f"{name}_n"]}
                time.sleep(0.1)  # it is loading
        finally:
            server.kill()
            server.wait()


if __name__ == "__main__":
    sys.exit(main())
