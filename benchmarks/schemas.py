"""Answers under JSON Schemas, real and risky: how many follow them, and what becomes of the others.

    python -m benchmarks.schemas BRAIN.gguf [--other CHECKOUT] [--corpus FOLDER] [--results FILE]

Every schema is asked for once, at temperature 0.8, from `omni serve` of this checkout and of another one beside it. Each
whole answer is judged by jsonschema-rs with formats asserted, from the schema as it was published. That is the validator
by which Omni proves answers, too, but nothing of Omni lies between: what Omni makes of a schema is not what is judged.
The real schemas are those of `benchmarks.schema_corpus` in FOLDER, where there are any; the risky ones are those of
`benchmarks.schema_keywords`. Each answer is written to FILE at once, and a run that was stopped goes on there.
"""

import argparse
import asyncio
import hashlib
import json
import os
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import jsonschema_rs
import msgspec

from benchmarks.builds import OTHER, Build, builds, schema_format
from benchmarks.schema_corpus import MOST, Real, sample
from benchmarks.schema_keywords import KEYWORDS

RISKY = "risky"  # the set of schemas with keywords; the other is "real"
TOKENS = 400
TOGETHER = 4  # questions to each build at a time
PATIENCE = 240.0  # seconds for an answer
OUTCOMES = ("right", "cut", "wrong", "refused", "error", "late", "unjudged")
WORDS = {
    "wrong": "silently wrong",
    "cut": "cut by length",
    "error": "failed (5xx)",
    "late": f"none in {PATIENCE:.0f} s",
    "unjudged": "not judged: the validator does not take the schema",
}


class Case(NamedTuple):
    """One schema to ask for."""

    set: str
    kind: str
    name: str
    schema: Any


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one case in one build."""

    build: str
    state: str
    set: str
    kind: str
    name: str
    digest: str
    outcome: str
    seconds: float
    tokens: int = 0
    reason: str = ""
    text: str = ""

    @property
    def case(self) -> tuple[str, str, str, str, str]:
        return self.build, self.state, self.set, self.name, self.digest


class Results:
    """The answers there are, in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        text = path.read_bytes() if path.exists() else b""
        if (whole := text[: text.rfind(b"\n") + 1]) != text:  # the run ended while it wrote
            path.write_bytes(whole)
        self.answers = [msgspec.json.decode(line, type=Answer) for line in whole.splitlines()]
        self._known = {answer.case for answer in self.answers}

    def has(self, build: Build, case: Case) -> bool:
        return of(build, case) in self._known

    def add(self, answer: Answer) -> None:
        with self._path.open("ab") as file:
            file.write(msgspec.json.encode(answer) + b"\n")
        self.answers.append(answer)


def cases(corpus: list[Real]) -> list[Case]:
    """All that is to be asked for."""
    real = [Case("real", *one) for one in corpus]
    risky = [
        Case(RISKY, kind, f"{kind}: {name}", schema)
        for kind, named in KEYWORDS.items()
        for name, schema in named.items()
    ]
    return sorted([*risky, *real], key=lambda case: digest(case.schema))  # so that every part of it is of all kinds


def of(build: Build, case: Case) -> tuple[str, str, str, str, str]:
    """What an answer to a case is known by."""
    return build.name, build.state, case.set, case.name, digest(case.schema)


def digest(schema: Any) -> str:
    return hashlib.sha256(json.dumps(schema, sort_keys=True).encode()).hexdigest()[:16]


async def ask(build: Build, case: Case) -> Answer:
    """Ask for one, and judge what comes."""
    title = " ".join(case.name.replace("/", " ").replace("_", " ").split())[-60:]
    sampling = {"temperature": 0.8, "seed": 1, "max_tokens": TOKENS}
    started, tokens, text = time.perf_counter(), 0, ""
    try:
        response = await build.chat(f"Give an example of {title}, as JSON.", **schema_format(case.schema), **sampling)
    except httpx.TimeoutException:
        outcome, reason = "late", ""
    except httpx.TransportError as error:
        outcome, reason = "error", repr(error)
    else:
        said = response.json()
        if response.status_code == 200:
            choice = said["choices"][0]
            text, tokens = choice["message"].get("content") or "", said["usage"]["completion_tokens"]
            outcome, reason = ("cut", "") if choice["finish_reason"] == "length" else judged(case.schema, text)
        else:
            outcome = "refused" if response.status_code < 500 else "error"
            reason = f"{response.status_code} {said['error']['message']}"
    return Answer(
        build=build.name,
        state=build.state,
        set=case.set,
        kind=case.kind,
        name=case.name,
        digest=digest(case.schema),
        outcome=outcome,
        seconds=round(time.perf_counter() - started, 3),
        tokens=tokens,
        reason=reason,
        text=text,
    )


def judged(schema: Any, text: str) -> tuple[str, str]:
    """Whether a whole answer follows a schema, and where it does not."""
    try:
        value = json.loads(text)
    except ValueError as error:
        return "wrong", f"no JSON: {error}"
    validator, why = validator_of(schema)
    if validator is None:
        return "unjudged", why
    fault = next(iter(validator.iter_errors(value)), None)
    if fault is None:
        return "right", ""
    keyword = "/".join(map(str, fault.schema_path))
    return "wrong", f"{keyword}: at /{'/'.join(map(str, fault.instance_path))} {' '.join(fault.message.split())[:200]}"


def validator_of(schema: Any) -> tuple[Any, str]:
    """The validator of a schema, or why there is none: it points at what is not there, or a pattern is no pattern."""
    try:
        return jsonschema_rs.validator_for(dated(schema), validate_formats=True, offline=True), ""
    except ValueError as error:  # ValidationError is one
        return None, str(error).splitlines()[0]


def dated(schema: Any) -> Any:
    """The schema with its draft: what it names, else the newest of which it is a schema."""
    if not isinstance(schema, dict) or "$schema" in schema:
        return schema
    drafts = ("https://json-schema.org/draft/2020-12/schema", "http://json-schema.org/draft-07/schema#")
    older = "http://json-schema.org/draft-04/schema#"
    return next(
        (candidate for draft in drafts if jsonschema_rs.meta.is_valid(candidate := {**schema, "$schema": draft})),
        schema | {"$schema": older},
    )


async def measure(build: Build, wanted: Iterable[Case], results: Results) -> None:
    """Ask for all that is not known yet, some at a time."""
    ahead = iter([case for case in wanted if not results.has(build, case)])

    async def some() -> None:
        for case in ahead:
            results.add(await ask(build, case))

    await asyncio.gather(*(some() for _ in range(TOGETHER)))


def report(answers: list[Answer], unusable: set[tuple[str, str, str, str, str]]) -> None:
    """A table for each build, and every answer that is neither right nor cut. `unusable` are cases that have no validator."""
    for build, state in dict.fromkeys((one.build, one.state) for one in answers):
        mine = [one for one in answers if (one.build, one.state) == (build, state)]
        for which in ("real", RISKY):
            subset = [one for one in mine if one.set == which]
            if subset:
                print(f"\n{build} ({state}), {len(subset)} {which} schemas")
                table(subset)
                whole = len(subset) - sum(one.outcome == "cut" for one in subset)
                right = sum(one.outcome == "right" for one in subset)
                refused = sum(one.outcome == "refused" for one in subset)
                beyond = sum(one.outcome == "refused" and one.case in unusable for one in subset)
                print(
                    f"  right {right / max(whole, 1):.1%} of those not cut by length, refused {refused / len(subset):.1%} of all"
                )
                print(f"  {beyond} of the refused are schemas that the validator does not take either")
        for one in sorted(mine, key=lambda one: (OUTCOMES.index(one.outcome), one.set, one.name)):
            if one.outcome not in ("right", "cut"):
                print(f"  {WORDS.get(one.outcome, one.outcome)}: {one.name}: {one.reason}")


def table(answers: list[Answer]) -> None:
    """How many of each kind became what."""
    kinds: dict[str, Counter[str]] = defaultdict(Counter)
    for one in answers:
        kinds[one.kind][one.outcome] += 1
    kinds = dict(sorted(kinds.items())) | {"all": sum(kinds.values(), Counter())}
    there = [one for one in OUTCOMES if kinds["all"][one]]
    print(f"  {'':26}" + "".join(f"{one:>9}" for one in there))
    for kind, counts in kinds.items():
        print(f"  {kind:26}" + "".join(f"{counts[one]:9}" for one in there))


async def main(gguf: Path, corpus: Path, path: Path) -> None:
    real, results = sample(corpus, MOST), Results(path)
    if not real:
        print(f"no real schemas: `python -m benchmarks.schema_corpus {corpus}` downloads them")
    wanted = cases(real)
    async with builds(gguf, seconds=PATIENCE, apart=True) as servers:
        for build in servers:
            await build.chat("Hello, who are you?", max_tokens=4)
        await asyncio.gather(*(measure(build, wanted, results) for build in servers))
    mine = {of(build, case): case.schema for build in servers for case in wanted}
    unusable = {known for known, schema in mine.items() if validator_of(schema)[0] is None}
    report([one for one in results.answers if one.case in mine], unusable)


if __name__ == "__main__":
    folder = Path(tempfile.gettempdir()) / f"omni-benchmarks-{os.getuid()}-schemas"
    arguments = argparse.ArgumentParser(description="Answers under JSON Schemas.")
    arguments.add_argument("gguf", type=Path)
    arguments.add_argument("--other", metavar="CHECKOUT", help=f"measured beside this one; else {OTHER} names it")
    arguments.add_argument("--corpus", type=Path, default=folder, metavar="FOLDER")
    arguments.add_argument("--results", type=Path, default=folder.with_suffix(".jsonl"), metavar="FILE")
    given = arguments.parse_args()
    if given.other:
        os.environ[OTHER] = given.other
    asyncio.run(main(given.gguf.resolve(), given.corpus, given.results))
