"""How long a call is tried again, and how long it pauses between two tries."""

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """What a call may take; a try that gets no answer, or ``Unavailable``, is made again after a pause."""

    total_s: float = 60.0
    """From the first try to the beginning of the last one; 0 tries once."""

    attempt_s: float = 10.0
    """One try: to connect, and for every silence on the line."""

    first_pause_s: float = 0.1
    """The first pause is chosen at random, up to this; each one after it, up to twice the one before."""

    longest_pause_s: float = 5.0
    """Up to which pauses grow."""


class Backoff:
    """The pauses of one call: random, so that callers who were cut off together do not come back together."""

    def __init__(self, patience: Patience, began_at: float) -> None:
        self._patience = patience
        self._ends_at = began_at + patience.total_s
        self._upto_s = patience.first_pause_s

    def pause(self, now: float, asked_s: float | None = None) -> float | None:
        """Return how long to pause; ``None`` where there is no time for another try.

        Args:
            now: on the clock that ``began_at`` was on.
            asked_s: the least that the server asks for (``Retry-After``).
        """
        pause_s = self.endless_pause(asked_s)
        return pause_s if now + pause_s < self._ends_at else None

    def endless_pause(self, asked_s: float | None = None) -> float:
        """Return how long to pause where time is no matter."""
        pause_s = (asked_s or 0.0) + random.uniform(0, self._upto_s)  # noqa: S311  (no secret)
        self._upto_s = min(2 * self._upto_s, self._patience.longest_pause_s)
        return pause_s
