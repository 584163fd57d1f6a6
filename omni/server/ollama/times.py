"""Times as Ollama writes and reads them."""

import re
from datetime import UTC, datetime

from omni.server.errors import BadParameter

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
FOREVER = -1.0
_LONGEST = 10 * 365 * 86400.0  # what is longer is for ever


def rfc3339(seconds: float | None = None) -> str:
    """A Unix time, or now."""
    when = datetime.now(UTC) if seconds is None else datetime.fromtimestamp(seconds, UTC)
    return when.isoformat(timespec="microseconds").replace("+00:00", "Z")


def nanoseconds(seconds: float) -> int:
    """A duration."""
    return max(0, round(seconds * 1e9))


def duration(value: float | str | None) -> float | None:
    """What `keep_alive` says, in seconds: 300, "5m", "1h30m", 0; `FOREVER` for anything below zero, None for nothing.

    Raises BadParameter.
    """
    if value is None or value == "":
        return None
    if isinstance(value, str):
        text = value.strip()
        sign, text = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
        if re.fullmatch(r"\d{1,12}(\.\d+)?", text):
            seconds = float(text)
        elif len(text) < 40 and re.fullmatch(f"(?:{_PART.pattern})+", text):
            seconds = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
        else:
            raise BadParameter(
                f"`keep_alive` is {value!r}, which is no duration.", hint='Send 300, "5m", 0 or -1.', param="keep_alive"
            )
        value = sign * seconds
    return FOREVER if value < 0 or value > _LONGEST else float(value)
