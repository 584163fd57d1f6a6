"""What a schema costs before the first word, and whether a brain that has tools and a schema still calls its tools.

    python -m benchmarks.schema_turns BRAIN.gguf [--other CHECKOUT] [--coder BRAIN.gguf]

The same question is asked in turn freely, under a schema that was asked for before, and under one that is new each time,
of `omni serve` of this checkout and of another one beside it; the very first request with a schema stands apart. With a
brain that can code, six questions that only a tool can answer are asked with two tools, and with a schema beside them;
and four that need none.
"""

import argparse
import asyncio
import json
import os
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.builds import OTHER, Build, builds, schema_format
from benchmarks.server import show

ROUNDS = 25
QUESTION = "Invent a person who lives in a harbour town, and tell what they do."
CODER = "OMNI_BENCH_CODER"  # the variable that names a brain that can code
FREE, KEPT, NEW = "free", "schema asked before", "new schema"
TOOLS: dict[str, dict[str, Any]] = {
    "weather": {"city": {"type": "string", "description": "The city's name"}},
    "stock_price": {"symbol": {"type": "string", "description": "The symbol of the share, such as IBM"}},
}
ABOUT = {"weather": "How the weather is in a city right now", "stock_price": "What a share costs right now"}
QUESTIONS = {
    "How is the weather in Oslo right now?": "weather",
    "What does a share of IBM cost at the moment?": "stock_price",
    "Do I need an umbrella in Lisbon now? Look the weather up.": "weather",
    "Tell me today's price of the share with the symbol SAP.": "stock_price",
    "Is it colder in Reykjavik than 5 degrees right now?": "weather",
    "Look up how much the share NVDA costs.": "stock_price",
}
NEED_NONE = (
    "What is 2 plus 2?",
    "Which city is the capital of Norway?",
    "Name a colour, please.",
    "Is water wet?",
)
REPORT = {
    "type": "object",
    "properties": {"answer": {"type": "string"}, "sure": {"type": "boolean"}},
    "required": ["answer", "sure"],
    "additionalProperties": False,
}


def person(number: int = 0) -> dict[str, Any]:
    """A schema such as programs send; one of another number is another."""
    return {
        "type": "object",
        "properties": {
            "name": {"type": "string", "minLength": 2},
            "age": {"type": "integer", "minimum": 0, "maximum": 150},
            "trade": {"enum": ["sailor", "baker", "smith", "teacher"]},
            "boats": {"type": "array", "items": {"$ref": "#/$defs/boat"}},
            f"note{number}": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        },
        "required": ["name", "age", "trade", "boats", f"note{number}"],
        "additionalProperties": False,
        "$defs": {
            "boat": {
                "type": "object",
                "properties": {"name": {"type": "string"}, "length": {"type": "number"}},
                "required": ["name", "length"],
                "additionalProperties": False,
            }
        },
    }


async def first_tokens(servers: list[Build]) -> None:
    """Seconds to the first word, of each build in turn."""
    times: dict[str, dict[str, list[float]]] = {build.name: {FREE: [], KEPT: [], NEW: []} for build in servers}
    short: dict[str, Any] = {"temperature": 0.8, "seed": 1, "max_tokens": 6}
    for build in servers:
        for _ in range(2):
            await build.first(QUESTION, **short)
        first, _ = await build.first(QUESTION, **short, **schema_format(person()))
        show(f"{build.name} ({build.state}), the very first schema", f"{first * 1000:.0f} ms")
    for number in range(1, ROUNDS + 1):
        for build in servers:
            for what, schema in ((FREE, None), (KEPT, person()), (NEW, person(number))):
                more = {} if schema is None else schema_format(schema)
                times[build.name][what].append((await build.first(QUESTION, **short, **more))[0])
    for name, kinds in times.items():
        for what, took in kinds.items():
            best, middle = min(took), median(took)
            ratio = f"{best / min(kinds[FREE]):.2f} x, {middle / median(kinds[FREE]):.2f} x"
            show(f"first token, {name}, {what}", f"{best * 1000:.0f} ms best, {middle * 1000:.0f} middle", ratio)


async def tools(servers: list[Build]) -> None:
    """How many questions are answered with a call of the tool that they need, without and with a schema."""
    offered = [
        {
            "type": "function",
            "function": {
                "name": name,
                "description": ABOUT[name],
                "parameters": {"type": "object", "properties": taken, "required": list(taken)},
            },
        }
        for name, taken in TOOLS.items()
    ]
    for build in servers:
        for what, more in (("tools", {}), ("tools and a schema", schema_format(REPORT))):
            made = {}
            for question in (*QUESTIONS, *NEED_NONE):
                response = await build.chat(question, tools=offered, temperature=0.0, max_tokens=120, **more)
                message = response.json()["choices"][0]["message"] if response.status_code == 200 else {}
                made[question] = [call["function"] for call in message.get("tool_calls") or ()]
                if not made[question]:
                    print(f"    {question} {message.get('content') or response.text}")
            right = sum(is_right(made[question], name) for question, name in QUESTIONS.items())
            wrong = sum(bool(made[question]) for question in NEED_NONE)
            found_so = f"{right} of {len(QUESTIONS)} call the tool, {wrong} of {len(NEED_NONE)} in vain"
            show(f"{build.name} ({build.state}), {what}", found_so)


def is_right(calls: list[dict[str, Any]], name: str) -> bool:
    """Whether they are one call, of this tool, with what it takes."""
    return [call["name"] for call in calls] == [name] and set(json.loads(calls[0]["arguments"])) == set(TOOLS[name])


async def main(gguf: Path, coder: Path | None) -> None:
    async with builds(gguf) as servers:
        await first_tokens(servers)
    if coder is None:
        print(f"tools and a schema: no brain that can code; --coder or {CODER} names one")
        return
    async with builds(coder) as servers:
        await tools(servers)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description="The first token under a schema, and tools beside one.")
    arguments.add_argument("gguf", type=Path)
    arguments.add_argument("--other", metavar="CHECKOUT", help=f"measured beside this one; else {OTHER} names it")
    arguments.add_argument("--coder", type=Path, metavar="BRAIN", default=os.environ.get(CODER), help=f"else {CODER}")
    given = arguments.parse_args()
    if given.other:
        os.environ[OTHER] = given.other
    asyncio.run(main(given.gguf.resolve(), Path(given.coder).resolve() if given.coder else None))
