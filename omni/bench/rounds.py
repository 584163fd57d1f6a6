"""The rounds: each contestant is asked the same prompt in turn, so that what else the machine does meets all of them."""

import secrets
from collections.abc import Callable, Sequence
from statistics import median
from typing import Protocol

from msgspec import Struct

from omni.core.errors import OmniError

_PASSAGE = """\
The harbour lies below the hill, and the road to it goes past the mill, the school and two farms. In winter the boats stay in
for weeks, because the wind comes from the north and the entrance is narrow. Then nets are mended, wood is cut, and letters
that were left since summer get an answer. The keeper of the light walks up the tower twice a day, in the morning to put it out
and to clean the glass, in the evening to light it again. He writes into a book what the weather was, which ships went by, and
how much oil was burnt. On some days nothing else stands there than the date and the wind.
"""
_TASK = "Tell a long story about the keeper of the light, with many details."
_PASSAGES = 5  # of 110 words each: long enough to measure reading, short enough for a slow machine


class MeasuredAnswer(Struct, frozen=True, kw_only=True):
    """One answer: tokens that were read anew and written, how many a second, and seconds to the first word of it."""

    prompt_tokens: int
    prompt_speed: float
    answer_tokens: int
    answer_speed: float
    first_token: float


class Contestant(Protocol):
    """A program that runs a brain. Its methods raise OmniError, which says why it is not in the table."""

    name: str
    version: str

    async def start(self) -> None:
        """Load the brain."""
        ...

    async def ask(self, prompt: str, tokens: int) -> MeasuredAnswer:
        """Have a prompt answered, greedily, in at most so many tokens."""
        ...

    async def memory(self) -> int:
        """Bytes in RAM of the processes that hold the brain; 0 where nobody tells."""
        ...

    async def close(self) -> None:
        """Give back what was taken."""
        ...


class Absent:
    """One that cannot be asked, and why."""

    version = ""

    def __init__(self, name: str, reason: str) -> None:
        self.name, self._reason = name, reason

    async def start(self) -> None:
        """See `Contestant`."""
        raise OmniError(self._reason)

    async def ask(self, prompt: str, tokens: int) -> MeasuredAnswer:  # noqa: ARG002 - the protocol's signature
        """See `Contestant`."""
        raise OmniError(self._reason)

    async def memory(self) -> int:
        """See `Contestant`."""
        return 0

    async def close(self) -> None:
        """See `Contestant`."""


class BenchResult(Struct, frozen=True, kw_only=True):
    """What one contestant did; `reason` says why it did nothing. `best` and `median` are None then."""

    name: str
    version: str = ""
    rounds: tuple[MeasuredAnswer, ...] = ()
    memory: int = 0
    reason: str = ""

    @property
    def best(self) -> MeasuredAnswer | None:
        """The best of each figure, whatever round it is from."""
        return self._of(max, min)

    @property
    def median(self) -> MeasuredAnswer | None:
        """The median of each figure."""
        return self._of(median, median)

    def _of(self, most: Callable[..., float], least: Callable[..., float]) -> MeasuredAnswer | None:
        if not self.rounds:
            return None
        last = self.rounds[-1]
        return MeasuredAnswer(
            prompt_tokens=last.prompt_tokens,
            prompt_speed=most([one.prompt_speed for one in self.rounds]),
            answer_tokens=last.answer_tokens,
            answer_speed=most([one.answer_speed for one in self.rounds]),
            first_token=least([one.first_token for one in self.rounds]),
        )


def prompt_of(number: int, mark: str) -> str:
    """The prompt of a round: another beginning each time, and by its `mark` each run, so that nobody has read any of it before."""
    return f"{mark}, visit {number + 1}.\n\n" + _PASSAGE * _PASSAGES + f"\n{_TASK}"


async def compete(
    contestants: Sequence[Contestant], *, rounds: int, tokens: int, told: Callable[[str], None]
) -> list[BenchResult]:
    """Ask each `rounds` times, in turns, after one time that does not count. `told` hears what is done now."""
    mark = secrets.token_hex(4)
    reasons, figures = dict[str, str](), {one.name: list[MeasuredAnswer]() for one in contestants}
    memory = dict.fromkeys(figures, 0)

    async def once(one: Contestant, number: int) -> None:
        if one.name in reasons:
            return
        try:
            if not isinstance(one, Absent):
                told(f"{'loading' if number < 0 else f'round {number + 1} of {rounds}'}: {one.name}")
            if number < 0:
                await one.start()
            figure = await one.ask(prompt_of(number, mark), tokens)
            if number >= 0:
                figures[one.name].append(figure)
                memory[one.name] = max(memory[one.name], await one.memory())
        except OmniError as error:
            reasons[one.name] = " ".join(filter(None, (error.message, error.hint)))
            await one.close()

    for number in range(-1, rounds):
        for one in contestants:
            await once(one, number)
    return [
        BenchResult(name=one.name, version=one.version, reason=reasons[one.name])
        if one.name in reasons
        else BenchResult(name=one.name, version=one.version, rounds=tuple(figures[one.name]), memory=memory[one.name])
        for one in contestants
    ]


def resident(pids: Sequence[int], *, children: bool = False) -> int:
    """Bytes in RAM of these processes, or of their `children`, what others map too included: whoever maps a file has it."""
    import psutil  # type: ignore[import-untyped] # it ships no types

    size = 0
    for pid in pids:
        try:
            process = psutil.Process(pid)
            size += sum(one.memory_info().rss for one in (process.children(recursive=True) if children else [process]))
        except psutil.Error:
            continue
    return size
