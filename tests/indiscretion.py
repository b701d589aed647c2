"""Whoever hears a log, of this process or of one that a test has started, listens for what must never be in one.

``tests/conftest.py`` asks after every test. Commands that print a key to whoever asked for it are no logs.
"""

import logging
import re

MARKER = "S3CRET"
"""In payloads, contexts, tokens and idempotency keys of tests that care."""

_NEVER = re.compile(
    rf"sk_[0-9A-Za-z]{{12}}_[0-9A-Za-z]{{46}}"  # a key, whole
    rf"|{MARKER}"
    r"|(?i:bearer) +[A-Za-z0-9._~+/-]{16,}"  # a token, as it is sent
    r"|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\."  # a token of a service account
    r"|postgres(?:ql)?://[^/\s:@]+:[^/\s@]+@"  # a URL with a password
)

heard: list[str] = []
"""What should not have been said; emptied by whoever complains."""

lines = 0
"""How many were listened to."""


def listen(line: str) -> str:
    """Take note of a line if it says too much; return it."""
    global lines
    lines += 1
    if _NEVER.search(line) is not None:
        heard.append(line)
    return line


class Ear(logging.Handler):
    """Hears what this process logs, formatted as anybody may format it."""

    def emit(self, record: logging.LogRecord) -> None:
        """Listen to a record and its traceback."""
        listen(logging.Formatter().format(record))
