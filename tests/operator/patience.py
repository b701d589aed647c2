"""Waiting for what an operator, or an API server, does in its own time."""

import time
from collections.abc import Callable
from typing import TypeVar

PATIENCE_S = 30.0
"""For everything that is waited for; other work may share the machine."""

T = TypeVar("T")


def until(ask: Callable[[], T | None], what: str) -> T:
    """Return the first answer that is not empty, once there is one."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        answer = ask()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.02)
