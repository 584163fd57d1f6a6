"""What an answer is bound to: a schema, calls of tools, or either of them; written as a grammar for the worker."""

import json
from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from threading import Lock
from typing import Any, NamedTuple

import msgspec

from omni.engine.converted import converted
from omni.engine.framing import UNFRAMED, Framing, framed
from omni.engine.types import ChatRequest, CompletionRequest
from omni.schemas import Compiled, Grammar, LruCache, compile_schema

MOST_KEPT = 4_000_000  # bytes, symbols and steps of all bindings that are kept
MOST_WRITTEN = 4_000_000  # characters of the grammars of one, by how answers are framed and how long they may be
MOST_CALLS = 8  # of one answer
CALL, CALLED = "<tool_call>", "</tool_call>"  # may stand around a call, where an answer may be something else


class Bound(NamedTuple):
    """A grammar. `proof` is the same without what may stand before an answer: `FORBIDDEN` can never begin it. `heavy` says
    what makes it large."""

    text: str
    proof: str
    heavy: str = ""

    @property
    def name(self) -> str:
        """What tells it from others."""
        return sha256(self.text.encode()).hexdigest()


FORBIDDEN = ")"  # begins no JSON and no mark


class Binding:
    """`schema` is what the answer follows, `tools` what it may call: must, where there is no schema. `several`: more than
    one call may come. Raises SchemaRefused."""

    def __init__(
        self, schema: dict[str, Any] | None, tools: Mapping[str, dict[str, Any]], *, several: bool = False
    ) -> None:
        self.schema = None if schema is None else compile_schema(schema)
        self.tools: dict[str, Compiled] = {name: compile_schema(parameters) for name, parameters in tools.items()}
        self._several = several
        self._plain = schema, tools
        self._bounds: dict[tuple[Framing, int | None], Bound] = {}
        self._writing = Lock()  # requests with the same schema share this object, each in a thread of its own

    def converted(self, characters: int | None = None) -> dict[str, Any]:
        """The same for an engine that reads no grammar of ours."""
        return converted(*self._plain, characters)

    def bound(self, framing: Framing, characters: int | None = None) -> Bound:
        """The grammar of an answer that is framed so; with `characters`, of one that has about so many at most. Blocking:
        a large schema takes a while."""
        if characters is not None:  # so that requests with about as much room share a grammar
            step = 1 << max(0, characters.bit_length() - 3)
            characters = characters // step * step
        key = framing, characters
        with self._writing:
            if key not in self._bounds:
                proof = self._grammar(UNFRAMED, characters)
                text = proof if framing == UNFRAMED else self._grammar(framing, characters)
                self._bounds[key] = Bound(text, proof, self._heavy())
                while len(self._bounds) > 1 and sum(map(_length, self._bounds.values())) > MOST_WRITTEN:
                    del self._bounds[next(iter(self._bounds))]
            return self._bounds[key]

    @property
    def size(self) -> int:
        """How large its schemas are, in bytes, symbols and steps."""
        return sum(one.size for one in (*self.tools.values(), *([self.schema] if self.schema else [])))

    def _heavy(self) -> str:
        """The keywords that make the most of it, one of each schema."""
        told = [str(self.schema.heaviest)] if self.schema is not None else []
        return ", ".join([*told, *(f"{one.heaviest} of {name!r}" for name, one in self.tools.items())])

    def _grammar(self, framing: Framing, characters: int | None) -> str:
        grammar = Grammar()
        thoughts = None
        if characters is not None and framing.thinks is not None and framing.opened:
            thoughts = characters // 4
            characters -= thoughts
        alternatives = []
        if self.schema is not None:
            alternatives.append(self.schema.rule(grammar, characters))
        if self.tools:
            alternatives.append(self._calls(grammar, characters))
        answer = grammar.rule(alternatives)
        return grammar.text(framed(grammar, framing, answer, thoughts=thoughts, brief=characters is not None))

    def _calls(self, grammar: Grammar, characters: int | None) -> str:
        calls = []
        for name, parameters in self.tools.items():
            called = grammar.literal(json.dumps(name, ensure_ascii=False))
            arguments = parameters.rule(grammar, characters)
            calls.append(
                f"{grammar.opening('{')} {_named(grammar, 'name')} {called} {grammar.comma()} "
                f"{_named(grammar, 'arguments')} {arguments} {grammar.closing('}')}"
            )
        call = grammar.rule(calls)
        if self.schema is not None:
            marked = f"{grammar.terminal(_between(CALL))} {call} {grammar.terminal(_between(CALLED, after=False))}"
            call = grammar.rule([marked, call])
        if not self._several:
            return grammar.rule([call])
        return grammar.rule([f"{call} ({grammar.literal(chr(10))} {call}){{0,{MOST_CALLS - 1}}}"])


def binding_of(request: ChatRequest | CompletionRequest) -> Binding | None:
    """What the answer to a request is bound to; None where it is free. Blocking: compiles schemas that are new. Raises
    SchemaRefused."""
    tools: tuple[Any, ...] = request.tools if isinstance(request, ChatRequest) else ()
    must = isinstance(request, ChatRequest) and bool(tools) and request.tool_choice == "required"
    if not must and request.schema is None:
        return None
    schema = None if must else request.schema
    called = {tool.name: tool.parameters or {"type": "object"} for tool in tools}
    several = isinstance(request, ChatRequest) and request.parallel_calls is True and not must
    return _kept().of(msgspec.json.encode((schema, called, several)))


@lru_cache(maxsize=1)
def _kept() -> LruCache[Binding]:
    return LruCache(_made, lambda text, made: len(text) + made.size, MOST_KEPT)


def _made(text: bytes) -> Binding:
    schema, tools, several = msgspec.json.decode(text)
    return Binding(schema, tools, several=several)


def _length(bound: Bound) -> int:
    return len(bound.text) + len(bound.proof)


def _named(grammar: Grammar, name: str) -> str:
    return grammar.name(json.dumps(json.dumps(name)))


def _between(mark: str, *, after: bool = True) -> str:
    line = "/\\n?/"
    return f"{json.dumps(mark)} {line}" if after else f"{line} {json.dumps(mark)}"
