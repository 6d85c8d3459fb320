"""Logs as JSON lines on standard error: an event name and its fields, one object a line.

Write `log.info("command.expired", extra={"command": id})`. Payloads and secrets are never logged.
"""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TextIO

# What every LogRecord has by itself; whatever else it carries came from `extra`.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
CHATTY = ("alembic", "asyncio", "celery", "httpcore", "httpx", "kombu", "uvicorn")


class JsonLines(logging.Formatter):
    """One JSON object a line: at, level, process, logger, event, then the event's own fields."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "process": self._process,
            "logger": record.name,
            "event": record.getMessage(),
        }
        line |= {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


def configure(level: str, process: str, stream: TextIO | None = None) -> None:
    """Send this process's logs to `stream` (standard error) as JSON lines, instead of what was configured before."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines(process))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # Libraries whose INFO tells every task, request or statement; their warnings stay.
    for chatty in CHATTY if root.level > logging.DEBUG else ():
        logging.getLogger(chatty).setLevel(max(logging.WARNING, root.level))
