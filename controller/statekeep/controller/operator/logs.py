"""Logs: one line a message for people, one JSON object a message for machines."""

import json
import logging
import sys
from datetime import UTC, datetime


class JsonFormatter(logging.Formatter):
    """Writes ``time``, ``severity``, ``logger``, ``message``, and ``error`` where there was one."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line of JSON."""
        document = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "severity": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            document["error"] = self.formatException(record.exc_info)
        return json.dumps(document, ensure_ascii=False)


def log_as(kind: str) -> None:
    """Send everything of note to the standard error, ``plain`` or as ``json``."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        JsonFormatter()
        if kind == "json"
        else logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    )
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("kopf").setLevel(logging.WARNING)
    # It warns of every start outside of the main thread, which is where we want it.
    logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)
