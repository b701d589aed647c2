"""Logs: one line a message for people, one JSON object a message for machines.

A message may come with fields, ``extra={"fields": {...}}``: a constant text is easier to search for than one with
values in it.
"""

import json
import logging
import sys
from datetime import UTC, datetime


class PlainFormatter(logging.Formatter):
    """Writes time, severity, logger and message, then the fields as ``name=value``."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  (the standard library's name)
        """Return the line."""
        fields = " ".join(f"{name}={_shown(value)}" for name, value in _fields(record).items())
        return f"{super().formatMessage(record)} {fields}".rstrip()


class JsonFormatter(logging.Formatter):
    """Writes ``time``, ``severity``, ``logger``, ``message``, the fields, and ``error`` where there was one."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line of JSON."""
        document = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "severity": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            document["error"] = self.formatException(record.exc_info)
        return json.dumps(document, ensure_ascii=False)


def log_as(kind: str) -> None:
    """Send everything of note to the standard error, ``plain`` or as ``json``."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if kind == "json" else PlainFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    for chatty in ("kopf", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    # It warns of every start outside of the main thread, which is where we want it.
    logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)


def _fields(record: logging.LogRecord) -> dict[str, object]:
    fields: dict[str, object] = getattr(record, "fields", {})
    return fields


def _shown(value: object) -> str:
    """Return a value such that nobody can write a second line, or a second field, into it."""
    text = str(value)
    plain = text.isprintable() and not any(sign in text for sign in ' ="')
    return text if plain and text else json.dumps(text)
