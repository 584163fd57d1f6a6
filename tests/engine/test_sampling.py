"""Which token comes, and how likely the others were."""

import math
from array import array
from collections import Counter

import pytest

from omni.engine.stepwise.sampling import TokenSampler, likeliest, likelihood

LOGITS = array("f", [0.0, 3.0, 2.5, -4.0, 1.0])
GREEDY = {"temperature": 0}


def drawn(body: dict[str, object], *, prompt: tuple[int, ...] = (), times: int = 400) -> Counter[int]:
    sampler = TokenSampler({"seed": 5, "min_p": 0, "top_p": 1, "top_k": 0, "temperature": 1, **body}, prompt)
    return Counter(sampler.choose(LOGITS) for _ in range(times))


def test_without_temperature_the_likeliest_token_comes() -> None:
    assert TokenSampler(GREEDY, ()).choose(LOGITS) == 1


def test_of_allowed_tokens_the_likeliest_comes() -> None:
    assert TokenSampler(GREEDY, ()).choose(LOGITS, [0, 3, 4]) == 4


def test_the_same_seed_draws_the_same_tokens_and_another_one_others() -> None:
    def row(seed: int) -> tuple[int, ...]:
        sampler = TokenSampler({"seed": seed, "temperature": 2}, ())
        return tuple(sampler.choose(LOGITS) for _ in range(30))

    assert row(1) == row(1)
    assert len({row(seed) for seed in range(6)}) > 1


def test_tokens_come_as_often_as_they_are_likely() -> None:
    counts = drawn({}, times=4000)
    total = sum(math.exp(logit) for logit in LOGITS)
    for token, logit in enumerate(LOGITS):
        assert counts[token] / 4000 == pytest.approx(math.exp(logit) / total, abs=0.03)


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        ({"top_k": 2}, {1, 2}),
        ({"top_p": 0.5}, {1}),
        ({"top_p": 0.85}, {1, 2}),
        ({"min_p": 0.5}, {1, 2}),
        ({"min_p": 0.1}, {1, 2, 4}),
    ],
)
def test_unlikely_tokens_are_left_out(body: dict[str, object], tokens: set[int]) -> None:
    assert set(drawn(body)) == tokens


def test_penalties_look_back_at_the_prompt_and_the_answer() -> None:
    assert TokenSampler({**GREEDY, "presence_penalty": 1.0}, [1]).choose(LOGITS) == 2
    assert TokenSampler({**GREEDY, "repeat_penalty": 1.5}, [1]).choose(LOGITS) == 2
    sampler = TokenSampler({**GREEDY, "frequency_penalty": 0.4}, [])
    sampler.took(1)
    assert sampler.choose(LOGITS) == 1
    sampler.took(1)
    assert sampler.choose(LOGITS) == 2
    assert TokenSampler({**GREEDY, "presence_penalty": 1.0}, [1, *[0] * 64]).choose(LOGITS) == 1  # too long ago


def test_a_bias_makes_a_token_likelier_and_what_may_never_come_does_not() -> None:
    assert TokenSampler({**GREEDY, "logit_bias": [[3, 100.0]]}, ()).choose(LOGITS) == 3
    assert TokenSampler(GREEDY, (), never=[1, 2]).choose(LOGITS) == 4


def test_likelihoods_are_those_before_anything_is_left_out() -> None:
    top = likeliest(LOGITS, 5)
    assert [one.token for one in top] == [1, 2, 4, 0, 3]
    assert sum(math.exp(one.logprob) for one in top) == pytest.approx(1, abs=1e-5)
    assert likelihood(LOGITS, 3).logprob == pytest.approx(top[-1].logprob)
    assert [one.token for one in likeliest(LOGITS, 2)] == [1, 2]
