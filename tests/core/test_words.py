"""Sizes and times are said the same everywhere."""

import time

import pytest

from omni.core.words import clock_words, size_words, time_words


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (None, ""),
        (0, "0 B"),
        (999, "999 B"),
        (1500, "2 kB"),
        (999_700, "1 MB"),
        (41_200_000, "41 MB"),
        (999_600_000, "1.0 GB"),
        (4.7e9, "4.7 GB"),
        (3e12, "3000.0 GB"),
    ],
)
def test_a_size_has_as_many_digits_as_a_person_compares(size: float | None, text: str) -> None:
    assert size_words(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
        (0.4, "1 s"),
        (89, "89 s"),
        (90, "2 min"),
        (5399, "1 h 30 min"),
        (5340, "89 min"),
        (9000, "2 h 30 min"),
    ],
)
def test_a_time_to_wait_is_as_exact_as_a_person_wants_to_know(seconds: float | None, text: str) -> None:
    assert time_words(seconds) == text


def test_a_moment_is_said_in_local_time() -> None:
    moment = time.mktime((2026, 3, 4, 14, 2, 9, 0, 0, -1))
    assert clock_words(moment) == "14:02"
