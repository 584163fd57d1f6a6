"""Structured logs: one JSON object a line, in a file, never on the terminal that the shell owns."""

import json
import logging
import logging.handlers
import time
from io import TextIOWrapper
from pathlib import Path

from omni.core.files import make_folder, own
from omni.core.paths import Home

_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """Formats a record, its `extra` fields and its traceback as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """One line without a line break in it."""
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {key: value for key, value in vars(record).items() if key not in _PLAIN}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class _OwnFile(logging.handlers.RotatingFileHandler):
    """Files that other users cannot read, also where the folder lets them in."""

    def _open(self) -> TextIOWrapper:
        own(Path(self.baseFilename))
        return super()._open()


def log_to_file(home: Home, process: str, *, level: int = logging.INFO) -> None:
    """Send all records of this process to `logs/PROCESS.jsonl` (2 MiB, three older ones kept)."""
    make_folder(home.logs)
    handler = _OwnFile(home.logs / f"{process}.jsonl", maxBytes=2 << 20, backupCount=3, encoding="utf-8", delay=True)
    handler.setFormatter(JsonLines())
    logging.basicConfig(handlers=[handler], level=level, force=True)
