"""Several attempts at one symbol, each tried in a copy of the project: what small brains get right once in a few times.

Of a brain of 1.5 billion weights one rewriting in two is right, and it cannot tell which; the check can. The attempts are chats side by
side on one worker, whose prompt is read once. The first that makes the check succeed is proposed; nothing is changed before the person,
or a rule, allows it.
"""

import asyncio
import shutil
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from omni.agents.spec import MEND
from omni.core.errors import OmniError, UsageError
from omni.core.events import TextDelta
from omni.core.messages import Message
from omni.engine import ChatRequest, Engine
from omni.hands import (
    SKIPPED,
    HandTool,
    OutputChunk,
    Progress,
    SandboxPolicy,
    SymbolEdit,
    ToolEnded,
    ToolPlan,
    ToolResult,
    Workplace,
    changing,
    edited,
    in_style_of,
    is_secret,
    language_of,
    outline,
    problem_of,
    read_snippet,
    shell_command,
)

SYMBOLS, FILES = 4, 2  # attempts at the symbol, and at the whole file where it is short
SHORT_FILE = 6_000  # characters
LONGEST_FILE = 14_000  # of a file that is shown whole
LONGEST_OUTPUT = 3_000
MOST_FILES, MOST_BYTES = 5_000, 64 << 20  # of a project that is copied
SECONDS = 60.0  # for the check as the project is
SLOWER, STUCK = 3.0, 15.0  # how much longer a correction may take, and how long where the project never ends
_SYSTEM = "You are a careful programmer. You say in one sentence what is wrong, and then give the corrected code in one block."
_FAILURE = "The check `{check}` fails:\n\n```\n{output}\n```"
_WISH_SYMBOL = "What is wrong? Correct `{symbol}` so that the check succeeds: give the whole code of `{symbol}`."
_WISH_FILE = "What is wrong? Correct {path} so that the check succeeds: give the whole file."


class Candidate(Struct, frozen=True):
    """What one attempt would make of the file."""

    content: bytes
    kind: str


class Attempts:
    """The tool `mend_symbol` for one piece of work. `engine` opens the brain, `request` is what every chat has in common, `policy` makes
    what a command in the copy gets; `check` is the command line that must succeed, `candidates` are what may be at fault, as
    `path::symbol`."""

    def __init__(
        self,
        engine: Callable[[], Awaitable[Engine]],
        request: ChatRequest,
        *,
        check: str,
        scratch: Path,
        policy: Callable[[Path, float], SandboxPolicy],
        candidates: Sequence[str] = (),
    ) -> None:
        self._engine, self._request, self._check, self._candidates = engine, request, check, tuple(candidates)
        self._scratch, self._policy = scratch, policy
        self._asked = 0  # chats so far: none is the same as one before it

    @property
    def tool(self) -> HandTool:
        """The tool."""
        return HandTool(
            name=MEND,
            about="Mend a function, class or method: several corrections are tried, and one that makes the check succeed is kept.",
            parameters=self._parameters(),
            touches=("shell", "write"),
            plan=self._plan,
        )

    def _parameters(self) -> dict[str, Any]:
        """A choice of what may be at fault, where that is known: a small brain would name what there is not."""
        where: dict[str, Any] = {"type": "string", "description": "What is wrong, as file::function."}
        if self._candidates:
            where["enum"] = list(self._candidates)
        return {"type": "object", "properties": {"where": where}, "required": ["where"]}

    def _plan(self, arguments: dict[str, str], place: Workplace) -> ToolPlan:
        path, _, wanted = arguments["where"].partition("::")
        where, before, text = place.text(path, MEND)
        name = place.named(where)
        language = language_of(name, before)
        symbol = ""
        if language is not None:
            known = [one.name for one in outline(before, language)]
            symbol = next((one for one in known if wanted in (one, one.rpartition(".")[2])), "")
        if not symbol and len(text) > SHORT_FILE:
            raise UsageError(f"There is no {wanted!r} in {name}.", hint="outline_file lists what is in it.")

        async def run() -> Progress:
            copy = await asyncio.to_thread(self._copied, Path(place.project))
            target = copy / Path(where.real).relative_to(place.project)
            began = time.monotonic()
            passed, output = await self._checked(place, copy, SECONDS)
            took = time.monotonic() - began
            patience = STUCK if took >= SECONDS else min(SECONDS, SLOWER * took + 5.0)
            if passed:
                yield ToolResult(text=f"`{self._check}` succeeds already; nothing is to be mended.", outcome="succeeds")
                return
            failure = _FAILURE.format(check=self._check, output=_end(output))
            asked = _prompts(self._request, failure, name, text, symbol, after=self._asked)
            self._asked += len(asked)
            tried: dict[bytes, str] = {}
            async with aclosing(self._answers(asked, before, language, symbol)) as candidates:
                async for candidate in candidates:
                    if candidate.content == before or candidate.content in tried:
                        continue
                    target.write_bytes(candidate.content)
                    passed, output = await self._checked(place, copy, patience)
                    tried[candidate.content] = output
                    yield f"attempt {len(tried)} ({candidate.kind}): {'the check succeeds' if passed else 'the check fails'}\n"
                    if passed:
                        result = yield changing(MEND, place, where, before, candidate.content)
                        assert isinstance(result, ToolResult)
                        said = "" if result.failed else f" `{self._check}` succeeds with it."
                        yield replace(result, text=f"{result.text}{said}")
                        return
            last = _end(next(reversed(tried.values()), output))
            yield ToolResult(
                text=f"None of {len(tried)} different corrections of {symbol or name} makes `{self._check}` succeed. With the last:\n{last}",
                failed=True,
                outcome=f"{len(tried)} attempts failed",
            )

        return ToolPlan(
            act=place.act(MEND, "shell", command=self._check),
            line=f"mend {symbol or name} in {name}, trying each correction with `{self._check}` in a copy",
            shown=self._check,
            run=run,
        )

    async def _answers(
        self, asked: Sequence[tuple[str, ChatRequest]], before: bytes, language: str | None, symbol: str
    ) -> AsyncGenerator[Candidate]:
        """What the attempts make of the file, as each is done; those that make nothing are left out."""
        engine = await self._engine()
        tasks = [asyncio.create_task(_written(engine, kind, request)) for kind, request in asked]
        try:
            for done in asyncio.as_completed(tasks):
                kind, answer = await done
                for content in await asyncio.to_thread(_applied, answer, kind, before, language, symbol):
                    yield Candidate(content, kind)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _checked(self, place: Workplace, copy: Path, seconds: float) -> tuple[bool, str]:
        policy = await asyncio.to_thread(self._policy, copy, seconds)
        pieces, code = list[bytes](), 1
        async with aclosing(place.sandbox.run(shell_command(self._check), policy)) as events:
            async for event in events:
                match event:
                    case OutputChunk(data=data):
                        pieces.append(data)
                    case ToolEnded():
                        code = event.code if not event.limit else 1
                        if event.limit:
                            pieces.append(f"[{event.words}]".encode())
        return code == 0, b"".join(pieces).decode("utf-8", "replace").replace(str(copy), ".")

    def _copied(self, project: Path) -> Path:
        """A copy of the project without what others made for it, and without keys. Raises UsageError for one that is too large."""
        copy = self._scratch / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        files = size = 0
        for path in project.rglob("*"):
            below = path.relative_to(project)
            if SKIPPED.intersection(below.parts) or is_secret(path.name) or path.is_symlink() or not path.is_file():
                continue
            files, size = files + 1, size + path.stat().st_size
            if files > MOST_FILES or size > MOST_BYTES:
                raise UsageError(
                    "The project is too large to try corrections in a copy of it.", hint="Use edit_symbol."
                )
            (copy / below).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy / below)
        return copy


def _prompts(
    request: ChatRequest, failure: str, name: str, text: str, symbol: str, *, after: int
) -> list[tuple[str, ChatRequest]]:
    """The chats: several at the symbol, and some at the whole file where that is short."""
    kinds = ["symbol"] * (SYMBOLS if symbol else 0)
    kinds += ["file"] * (FILES if symbol else SYMBOLS + FILES) if len(text) <= SHORT_FILE else []
    shown = f"{name}:\n\n```\n{text[:LONGEST_FILE]}\n```"
    chats = []
    for number, kind in enumerate(kinds, after):
        wish = _WISH_SYMBOL.format(symbol=symbol) if kind == "symbol" else _WISH_FILE.format(path=name)
        asked = f"{failure}\n\n{shown}\n\n{wish}"
        sampling = replace(request.sampling, temperature=0.2 if number == 0 else 0.8, seed=number + 1)
        messages = (Message.of("system", _SYSTEM), Message.of("user", asked))
        chats.append((kind, replace(request, messages=messages, sampling=sampling)))
    return chats


async def _written(engine: Engine, kind: str, request: ChatRequest) -> tuple[str, str]:
    async with aclosing(engine.chat(request)) as events:
        texts = [event.text async for event in events if isinstance(event, TextDelta)]
    return kind, "".join(texts)


def _applied(answer: str, kind: str, before: bytes, language: str | None, symbol: str) -> list[bytes]:
    """What an answer makes of the file, the smallest change first: the symbol alone, all symbols that it has anew, the whole file.

    Nothing where it has no code, or none that parses.
    """
    made = []
    ways = [_symbol_alone, _symbols_of] if kind == "symbol" else [_symbols_of, _whole_file]
    for way in ways:
        with suppress(OmniError):
            made.append(way(answer, before, language, symbol))
    return made


def _symbol_alone(answer: str, before: bytes, language: str | None, symbol: str) -> bytes:
    return edited(before, language or "", SymbolEdit(action="replace", symbol=symbol, text=answer))


def _symbols_of(answer: str, before: bytes, language: str | None, symbol: str) -> bytes:  # noqa: ARG001 - all ways look alike
    """The file with each symbol replaced that stands at the top of an answer: brains send more than they are asked for."""
    code = read_snippet(answer).encode()
    after, known = before, {one.name for one in outline(before, language or "")}
    for one in outline(code, language or ""):
        if "." not in one.name and one.name in known:
            edit = SymbolEdit(action="replace", symbol=one.name, text=code[one.start : one.end].decode())
            with suppress(OmniError):  # the same as before
                after = edited(after, language or "", edit)
    return after


def _whole_file(answer: str, before: bytes, language: str | None, symbol: str) -> bytes:  # noqa: ARG001 - all ways look alike
    after = in_style_of(before, read_snippet(answer) + "\n")
    if language is not None and (problem := problem_of(after, language)):
        raise UsageError(f"It does not parse: {problem}.")
    return after


def _end(output: str) -> str:
    output = output.strip()
    return output if len(output) <= LONGEST_OUTPUT else f"[…]{output[-LONGEST_OUTPUT:]}"
