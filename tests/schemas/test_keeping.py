"""What is made of a text is made once and kept, as far as there is room; and in threads of its own."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event, current_thread

import pytest

from omni.schemas import apart, compile_schema
from omni.schemas.keeping import LruCache
from omni.schemas.languages import MOST_STEPS, Languages, TooLong
from omni.schemas.patterns import matching
from omni.schemas.threads import THREADS


def counting(made: list[bytes]) -> Callable[[bytes], list[bytes]]:
    def make(text: bytes) -> list[bytes]:
        made.append(text)
        return [text]

    return make


def test_what_was_used_last_is_kept_and_no_more_than_there_is_room_for() -> None:
    made: list[bytes] = []
    kept = LruCache(counting(made), lambda text, _: len(text), most=10)
    for text in (b"aaaa", b"bbbb", b"aaaa", b"cccc", b"aaaa", b"bbbb"):
        assert kept.of(text) == [text]
        assert kept.size <= 10
    assert made == [b"aaaa", b"bbbb", b"cccc", b"bbbb"]


def test_what_is_too_large_is_made_and_not_kept() -> None:
    made: list[bytes] = []
    kept = LruCache(counting(made), lambda text, _: len(text), most=10)
    for text in (b"a", b"b" * 11, b"b" * 11, b"a"):
        assert kept.of(text) == [text]
    assert (made, kept.size) == ([b"a", b"b" * 11, b"b" * 11], 1)


def test_what_cannot_be_made_is_tried_again() -> None:
    tries = []

    def make(text: bytes) -> bytes:
        tries.append(text)
        if len(tries) == 1:
            raise ValueError("not yet")
        return text

    kept = LruCache(make, lambda text, _: len(text), most=10)
    with pytest.raises(ValueError, match="not yet"):
        kept.of(b"a")
    assert kept.of(b"a") == b"a"
    assert len(tries) == 2


@pytest.mark.parametrize("fails", [False, True])
def test_what_several_want_at_once_is_made_once(fails: bool) -> None:
    made: list[bytes] = []
    begun, end = Event(), Event()

    def make(text: bytes) -> bytes:
        made.append(text)
        begun.set()
        assert end.wait(30)
        if fails:
            raise ValueError("never")
        return text

    kept = LruCache(make, lambda text, _: len(text), most=10)
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(kept.of, b"a")
        assert begun.wait(30)
        second = threads.submit(kept.of, b"a")
        while not kept.waiting:
            pass
        end.set()
        assert [type(one.exception(30)) for one in (first, second)] == [ValueError if fails else type(None)] * 2
    assert made == [b"a"]


async def test_schemas_have_threads_of_their_own() -> None:
    names, end, all_there = [], Event(), Barrier(THREADS + 1)

    def wait(at: int) -> int:
        names.append(current_thread().name)
        if at < THREADS:
            all_there.wait(30)
        assert end.wait(30)
        return at

    waiting = [asyncio.ensure_future(apart(wait, at)) for at in range(20)]
    await asyncio.to_thread(all_there.wait, 30)
    assert await asyncio.to_thread(lambda: "free") == "free"
    assert len(names) == THREADS  # the others wait until one is free
    end.set()
    assert await asyncio.gather(*waiting) == list(range(20))
    assert len(set(names)) == THREADS


async def test_what_fails_in_a_thread_of_schemas_is_raised() -> None:
    with pytest.raises(Exception, match="leads to false"):
        await apart(compile_schema, {"$defs": {"x": False}, "$ref": "#/$defs/x"})


def test_a_language_is_one_for_all_threads() -> None:
    languages, together = Languages(), Barrier(4)

    def make(_: int) -> list[int]:
        together.wait(30)
        return [languages.text(f"text {at}").number for at in range(2000)]

    with ThreadPoolExecutor(4) as threads:
        numbers = list(threads.map(make, range(4)))
    assert numbers == [numbers[0]] * 4
    assert len({languages.text(f"text {at}") for at in range(2000)}) == 2000


def test_steps_that_are_spent_are_there_again_for_the_next_grammar() -> None:
    languages = Languages()
    for at in range(MOST_STEPS):
        long = matching(languages, f"^(?=.*a)(?=.*b)(?=.*c)[abc]{{{40 + at},}}$")
        try:
            languages.short(long)
        except TooLong:
            break
    easy = matching(languages, "^(?=x)[a-z]{3}$")
    with pytest.raises(TooLong):
        languages.short(easy)
    languages.renew()
    assert languages.short(easy) is not None
