"""Work with schemas in threads of its own: however many hostile schemas come, the pool that all else waits for is free."""

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from typing import ParamSpec, TypeVar

THREADS = 2  # they share one interpreter: more would only wait for each other

P = ParamSpec("P")
T = TypeVar("T")


async def apart(work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """What `work` returns, run in one of the threads that are for schemas only. Raises what it raises."""
    context = contextvars.copy_context()
    return await asyncio.get_running_loop().run_in_executor(_pool(), partial(context.run, work, *args, **kwargs))


@lru_cache(maxsize=1)
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS, thread_name_prefix="schemas")
