"""Who is asked what, in which order, and what becomes of it."""

import pytest

from omni.bench import Absent, BenchResult, MeasuredAnswer, compete, not_asked
from omni.core.errors import EngineError


def figures(speed: float) -> MeasuredAnswer:
    return MeasuredAnswer(
        prompt_tokens=700, prompt_speed=speed, answer_tokens=64, answer_speed=speed, first_token=1 / speed
    )


class Noting:
    """A contestant whose speeds are given; one that is None fails."""

    version = "1"

    def __init__(self, name: str, noted: list[tuple[str, str]], *speeds: float | None) -> None:
        self.name, self._noted, self._speeds = name, noted, list(speeds)
        self.closed = False

    async def start(self) -> None:
        self._noted.append((self.name, ""))

    async def ask(self, prompt: str, tokens: int) -> MeasuredAnswer:
        assert tokens == 64
        self._noted.append((self.name, prompt))
        if (speed := self._speeds.pop(0)) is None:
            raise EngineError("It fell.", hint="Pick it up.")
        return figures(speed)

    async def memory(self) -> int:
        return 100

    async def close(self) -> None:
        self.closed = True


async def test_all_get_the_same_prompts_in_turns_and_the_first_does_not_count() -> None:
    noted: list[tuple[str, str]] = []
    contestants = [Noting("a", noted, 1, 8, 2, 5), Noting("b", noted, 1, 4, 4, 4)]
    a, b = await compete(contestants, rounds=3, tokens=64, told=lambda _: None)
    asked = [(name, prompt) for name, prompt in noted if prompt]
    assert [name for name, _ in asked] == ["a", "b"] * 4
    prompts = [prompt for _, prompt in asked]
    assert prompts[::2] == prompts[1::2]
    assert len({prompt[:20] for prompt in prompts}) == 4
    assert (a.best, a.median, a.memory) == (
        MeasuredAnswer(prompt_tokens=700, prompt_speed=8, answer_tokens=64, answer_speed=8, first_token=1 / 8),
        MeasuredAnswer(prompt_tokens=700, prompt_speed=5, answer_tokens=64, answer_speed=5, first_token=1 / 5),
        100,
    )
    assert (len(b.rounds), b.reason) == (3, "")
    noted.clear()
    await compete([Noting("a", noted, 1, 1)], rounds=1, tokens=64, told=lambda _: None)
    assert noted[-1][1] not in prompts  # what an engine still remembers of another run helps nobody


async def test_one_that_fails_is_left_out_with_its_reason_and_the_others_go_on() -> None:
    noted: list[tuple[str, str]] = []
    falls, stays = Noting("falls", noted, 1, None), Noting("stays", noted, 1, 2, 2)
    told: list[str] = []
    outcomes = await compete([falls, Absent("away", "not installed"), stays], rounds=2, tokens=64, told=told.append)
    assert outcomes[0] == BenchResult(name="falls", version="1", reason="It fell. Pick it up.")
    assert outcomes[1] == BenchResult(name="away", reason="not installed")
    assert (outcomes[1].best, len(outcomes[2].rounds)) == (None, 2)
    assert (falls.closed, stays.closed) == (True, False)
    assert told == [
        "loading: falls", "loading: stays", "round 1 of 2: falls", "round 1 of 2: stays", "round 2 of 2: stays"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("host", "asked"),
    [
        ("", True),
        ("127.0.0.1:11435", True),
        ("http://localhost:11434/", True),
        ("0.0.0.0", True),
        ("[::1]:11434", True),
        ("::1", True),
        (":11434", True),
        ("192.168.1.5:11434", False),
        ("https://ollama.example.com", False),
        ("127.0.0.1.example.com", False),
        ("[2001:db8::1]:11434", False),
    ],
)
def test_an_ollama_on_another_machine_is_not_asked(host: str, asked: bool) -> None:
    reason = not_asked({"OLLAMA_HOST": host} if host else {})
    assert (reason == "") is asked
    assert asked or "nothing of this leaves yours" in reason
