"""Counters of the server, as Prometheus reads them. Nothing in them tells what was said."""

from collections import Counter

from omni.core.events import TurnEnded


class Metrics:
    """What was done since the start."""

    def __init__(self) -> None:
        self._requests: Counter[tuple[str, int]] = Counter()
        self._seconds: Counter[str] = Counter()
        self._tokens: Counter[tuple[str, str]] = Counter()

    def answered(self, path: str, status: int, seconds: float) -> None:
        """A request got its answer, or the head of it; `seconds` until then."""
        self._requests[path, status] += 1
        self._seconds[path] += seconds  # type: ignore[assignment] # a Counter adds floats as well

    def ended(self, brain: str, end: TurnEnded) -> None:
        """An answer is whole."""
        self._tokens[brain, "prompt"] += end.usage.prompt_tokens
        self._tokens[brain, "cached"] += end.usage.cached_tokens
        self._tokens[brain, "answer"] += end.usage.completion_tokens

    def text(self, *, running: int, queued: int) -> str:
        """The exposition format, version 0.0.4."""
        lines = [
            "# HELP omni_requests_total Requests by path and status.",
            "# TYPE omni_requests_total counter",
            *(
                f'omni_requests_total{{path="{_quoted(path)}",status="{status}"}} {count}'
                for (path, status), count in sorted(self._requests.items())
            ),
            "# HELP omni_request_seconds_total Seconds until the head of an answer.",
            "# TYPE omni_request_seconds_total counter",
            *(
                f'omni_request_seconds_total{{path="{_quoted(path)}"}} {seconds:.6f}'
                for path, seconds in sorted(self._seconds.items())
            ),
            "# HELP omni_tokens_total Tokens read, found in the cache, and written.",
            "# TYPE omni_tokens_total counter",
            *(
                f'omni_tokens_total{{brain="{_quoted(brain)}",kind="{kind}"}} {count}'
                for (brain, kind), count in sorted(self._tokens.items())
            ),
            "# HELP omni_running Answers being written.",
            "# TYPE omni_running gauge",
            f"omni_running {running}",
            "# HELP omni_queued Requests that wait for a place.",
            "# TYPE omni_queued gauge",
            f"omni_queued {queued}",
        ]
        return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
