"""The audit record of the airlock, in `core/record.py`'s files.

Builds before this one wrote `airlock.jsonl` and `airlock.1.jsonl` to `airlock.4.jsonl`, unchained. They are read, and stay.
Standard library only.
"""

from omni.core.paths import Home
from omni.core.record import AuditRecord, Verification, parsed

_UNCHAINED = ("airlock.4.jsonl", "airlock.3.jsonl", "airlock.2.jsonl", "airlock.1.jsonl", "airlock.jsonl")


def record(home: Home) -> AuditRecord:
    """The airlock's record of a home."""
    return AuditRecord(home.audit, "airlock", unchained=_UNCHAINED)


def read_record(home: Home, last: int = 0) -> list[str]:
    """The last line of each of the last connections, in the order in which they began; of all when `last` is 0.

    Raises OSError.
    """
    connections: dict[str, str] = {}
    for path in reversed(record(home).files()):
        lines = path.read_text("utf-8", "replace").splitlines()
        earlier: dict[str, str] = {}
        for number, line in enumerate(lines):
            earlier[_connection(line) or f"{path.name}:{number}"] = line
        connections = earlier | connections
        if last and len(connections) >= last:
            break
    return list(connections.values())[-last:]


def verify(home: Home) -> Verification:
    """Read every line, and say whether each follows the one before it and the end is there. Raises OSError."""
    return record(home).verify()


def _connection(line: str) -> str:
    """Which connection a line tells of; "" where it says nothing of that."""
    fields = parsed(line.encode()) or {}
    return str(fields.get("opened") or fields.get("hash") or "")
