"""Sizes and times as a person says them, the same everywhere. Standard library only."""

import time


def size_words(size: float | None) -> str:
    """Bytes, of a disk and of memory alike, so that they can be compared: `12 kB`, `98 MB`, `4.7 GB`; "" for None."""
    if size is None:
        return ""
    if size < 0.9995e6:
        return f"{size / 1e3:.0f} kB" if size >= 1e3 else f"{size:.0f} B"
    return f"{size / 1e6:.0f} MB" if size < 0.9995e9 else f"{size / 1e9:.1f} GB"


def time_words(seconds: float | None) -> str:
    """A time to wait, as exact as a person wants to know: `12 s`, `3 min`, `1 h 20 min`; "" for None."""
    if seconds is None:
        return ""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def clock_words(moment: float) -> str:
    """The local time of a moment in seconds since 1970: `14:02`."""
    return time.strftime("%H:%M", time.localtime(moment))
