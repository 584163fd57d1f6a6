"""What the events of an answer mean, by what was asked for: calls, text that follows a schema, or text."""

from collections.abc import Iterable, Iterator
from functools import partial
from typing import NamedTuple

import msgspec

from omni.core.events import EngineEvent, TextDelta, TokenLogprob, ToolCallDelta, TurnEnded
from omni.engine import tool_calls
from omni.engine.binding import Binding
from omni.engine.proving import TRIES, Prover, Unproved
from omni.engine.reading import CallReader
from omni.engine.tool_calls import DENSITIES, Cut
from omni.engine.types import ChatRequest, CompletionRequest
from omni.schemas import Compiled, Fault

WARMEST = 0.6  # at least, from the second try on: at 0 a brain says the same again


class Attempt(NamedTuple):
    """One try at an answer. `density`: for how many characters a token a forced call has room; `number` counts from 0;
    `words`: the tools are told in words, since the engine could not read what the brain wrote in its template's way."""

    number: int = 0
    density: int | None = None
    last: bool = True
    words: bool = False

    def of(self, request: ChatRequest | CompletionRequest) -> ChatRequest | CompletionRequest:
        """The request as it is asked in this try: another answer than before."""
        if self.words and isinstance(request, ChatRequest):
            return tool_calls.in_words(request)
        if self.number == 0 or self.density is not None:
            return request
        sampling = request.sampling
        seed = None if sampling.seed is None else (sampling.seed + self.number) & 0x7FFFFFFF
        warmer = max(sampling.temperature, WARMEST)
        return msgspec.structs.replace(
            request, sampling=msgspec.structs.replace(sampling, seed=seed, temperature=warmer)
        )


def attempts(request: ChatRequest, binding: Binding | None, *, kept: bool = True) -> Iterator[Attempt]:
    """The tries that an answer is worth. `kept`: the engine keeps our grammars."""
    if binding is not None and binding.schema is None:
        for number, density in enumerate(DENSITIES):
            yield Attempt(number, density, last=density == DENSITIES[-1])
    elif binding is not None and (holds(request, binding, kept=kept) or binding.tools):
        for number in range(TRIES):
            yield Attempt(number, last=number == TRIES - 1)
    elif binding is None and request.tools:
        yield Attempt(last=False)
        yield Attempt(1, words=True)
    else:
        yield Attempt()


def holds(request: ChatRequest | CompletionRequest, binding: Binding, *, kept: bool = True) -> bool:
    """Whether nothing is given away before the whole answer is proved: the grammar does not keep all of its schema."""
    schema = binding.schema
    if schema is None or not request.strict:
        return False
    called = any(parameters.loose for parameters in binding.tools.values())
    return not kept or called or bool(schema.loose) or (request.logprobs is not None and schema.sifts_items)


def _follows(schema: Compiled, text: str) -> bool:
    return schema.fault_of(text) is None


class Interpreter:
    """Reads the events of one try. Raises Cut for a call that must come and did not, Unproved for an answer or a call that
    does not follow its schema."""

    def __init__(self, request: ChatRequest | CompletionRequest, binding: Binding | None, *, kept: bool = True) -> None:
        tools = request.tools if isinstance(request, ChatRequest) else ()
        self._forced = binding is not None and binding.schema is None
        self._binding = binding
        self._calls: CallReader | None = None
        self._prover: Prover | None = None
        self._called_so_far: list[ToolCallDelta] = []
        if isinstance(request, ChatRequest) and tools:
            several = request.parallel_calls is not False and not self._forced
            schema = binding.schema if binding is not None else None
            follows = None if schema is None else partial(_follows, schema)
            self._calls = CallReader([tool.name for tool in tools], follows=follows, several=several)
        if binding is not None and binding.schema is not None:
            proved = request.strict or not binding.schema.loose
            self._prover = Prover(
                binding.schema,
                holds=holds(request, binding, kept=kept),
                sifts=request.logprobs is None,
                proves=proved,
            )

    def read(self, event: EngineEvent) -> Iterable[EngineEvent]:
        """What `event` means."""
        plain = self._calls is None and self._prover is None and not self._forced
        return (event,) if plain else self._meant(event)

    def _meant(self, event: EngineEvent) -> Iterator[EngineEvent]:
        for one in self._calls.read(event) if self._calls is not None else (event,):
            if self._forced:
                yield from self._called(one)
            elif self._prover is not None:
                yield from self._offered(self._prover, one)
            else:
                yield one

    def _offered(self, prover: Prover, event: EngineEvent) -> Iterator[EngineEvent]:
        """Of an answer that may be calls or follow the schema: calls at its end, when they are proved."""
        if isinstance(event, ToolCallDelta):
            self._called_so_far.append(event)
            return
        if isinstance(event, TurnEnded) and event.reason != "cancelled":
            if (fault := self._fault()) is not None:
                raise Unproved(fault, sent=prover.sent)
            yield from self._called_so_far
        yield from prover.read(event, called=bool(self._called_so_far))

    def _called(self, event: EngineEvent) -> Iterator[EngineEvent]:
        """Of an answer that is a call: that, and not what stands around it."""
        match event:
            case ToolCallDelta():
                self._called_so_far.append(event)
            case TurnEnded() if event.reason == "cancelled":
                yield event
            case TurnEnded():
                if not self._called_so_far:
                    raise Cut
                if (fault := self._fault()) is not None:
                    raise Unproved(fault, sent=False)
                yield from self._called_so_far
                yield event
            case TextDelta() | TokenLogprob():
                pass
            case _:
                yield event

    def _fault(self) -> Fault | None:
        """What is wrong with the arguments of the calls that were read."""
        assert self._binding is not None
        names = {event.index: event.name for event in self._called_so_far if event.name}
        for number, name in names.items():
            arguments = "".join(event.arguments for event in self._called_so_far if event.index == number)
            if (fault := self._binding.tools[name].fault_of(arguments)) is not None:
                return fault
        return None
