"""The protocol: JSON objects, one a line, over Unix sockets. No I/O here, and the standard library only.

A client sends `{"id": 7, "do": "processes", …}` and gets `{"id": 7, "ok": …}` or `{"id": 7, "error": {…}}`; what nobody
asked for comes as `{"event": …}`. Lines are bounded, so that neither side can fill the memory of the other.
"""

import json
from collections.abc import Mapping
from typing import Any

from omni.core.errors import UsageError

PROTOCOL = 1
MAX_LINE = 1 << 18  # bytes; the longest real line is a list of processes
MAX_SPEC = 32768  # bytes; it goes through a pipe, which holds twice as much
SANDBOX = "sandbox"  # the engine in the spec of the process that starts sandboxed commands, and the name by which it is asked for
HELPER = "helper"  # the engine in the spec of a plug-in's process, which the keeper makes itself
MAX_NUMBER = 1 << 53  # beyond it a number is no float any more, and adding it to a time fails


class Garbage(Exception):
    """The other side sent something that is no line of this protocol."""


class LineDecoder:
    """Cuts a stream of bytes into objects. A line that is too long or is no JSON object raises Garbage."""

    def __init__(self, limit: int = MAX_LINE) -> None:
        self._limit = limit
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """The objects that are complete now."""
        first, *others = data.split(b"\n")  # only what is new is searched, so that a long line costs its length once
        self._rest += first
        lines: list[bytes | bytearray] = []
        if others:
            lines = [self._rest, *others[:-1]]
            self._rest = bytearray(others[-1])
        if len(self._rest) > self._limit or any(len(line) > self._limit for line in lines):
            raise Garbage(f"a line of more than {self._limit} bytes")
        return [decode(line) for line in lines if line.strip()]


def decode(line: bytes | bytearray) -> dict[str, Any]:
    """The object on one line."""
    try:
        decoded = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise Garbage(f"no JSON: {error}") from None
    if not isinstance(decoded, dict):
        raise Garbage(f"no object but {type(decoded).__name__}")
    return decoded


def encode(value: Mapping[str, Any]) -> bytes:
    """One line."""
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def integer(value: Any, name: str) -> int:
    """A number from outside. Raises UsageError for anything else, and for one that nobody can count to."""
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > MAX_NUMBER:
        raise UsageError(f"{name} is a number.")
    return value


def checked_spec(value: Any) -> dict[str, Any]:
    """A worker's spec from outside (see `values.WorkerSpec`). Raises UsageError when it is none."""
    kinds = {"engine": str, "base": str, "path": str, "settings": dict}
    if not isinstance(value, dict) or any(not isinstance(value.get(name), kind) for name, kind in kinds.items()):
        raise UsageError(f"A worker's spec has {', '.join(kinds)} and need_bytes.")
    for name, setting in value["settings"].items():
        if not isinstance(setting, str):
            integer(setting, name)
    if integer(value.get("need_bytes"), "need_bytes") < 0 or len(json.dumps(value)) > MAX_SPEC:
        raise UsageError("A worker's spec is too long, or needs less than nothing.")
    return value


def kind_of(spec: Mapping[str, Any]) -> str:
    """Which row of the table runs it: the "helper" of a plug-in, the "sandbox", or a "worker"."""
    return spec["engine"] if spec["engine"] in (HELPER, SANDBOX) else "worker"


def spec_key(spec: Mapping[str, Any]) -> str:
    """Identifies what a worker has loaded and how; how long it stays and how much it needs are left out."""
    settings = {key: value for key, value in spec["settings"].items() if key != "keep_alive"}
    parts = [spec["engine"], spec["base"], spec["path"], settings]
    return json.dumps(parts, sort_keys=True)
