"""What a plug-in made, wrapped: what it raises names the plug-in, and what is asked while others wait has a time limit."""

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

from omni.core.errors import OmniError
from omni.core.hooks import LIMITS
from omni.core.limits import within

Blame = Callable[[str, BaseException], OmniError]
_QUESTIONS = ("matches", "runs")  # whoever cannot answer these is not meant


class PluginProxy:
    """An object of a plug-in. `blame` turns what it raised into an error of Omni's that names the plug-in.

    `matches`, `runs` and `open` wait for a thread: call them off the event loop.
    """

    def __init__(self, item: Any, blame: Blame) -> None:
        self._item, self._blame = item, blame

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._item, name)
        return self._guarded(name, value) if inspect.isroutine(value) else value

    def _guarded(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            try:
                limit = LIMITS.get(name)
                result = (
                    function(*arguments, **named) if limit is None else within(limit, function, *arguments, **named)
                )
            except OmniError:
                raise
            except (Exception, SystemExit) as error:
                blamed = self._blame(f"failed in {name}", error)
                if name in _QUESTIONS:
                    return False
                raise blamed from error
            if inspect.isasyncgen(result):
                return self._stream(name, result)
            if inspect.isawaitable(result):
                return self._wait(name, result)
            return PluginProxy(result, self._blame) if name == "open" else result

        return call

    async def _wait(self, name: str, result: Awaitable[Any]) -> Any:
        try:
            return await result
        except OmniError:
            raise
        except (Exception, SystemExit) as error:
            raise self._blame(f"failed in {name}", error) from error

    async def _stream(self, name: str, result: Any) -> AsyncGenerator[Any]:
        try:
            async for item in result:
                yield item
        except OmniError:
            raise
        except (Exception, SystemExit) as error:
            raise self._blame(f"failed in {name}", error) from error
        finally:
            await result.aclose()
