"""Whose turn is next: every object at most once, never twice at a time, later after a failure."""

import asyncio
from collections.abc import Hashable
from typing import Generic, TypeVar

FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 15.0
"""How long a version may be behind once Postgres or the API server is back."""

K = TypeVar("K", bound=Hashable)


class Queue(Generic[K]):
    """A queue of keys.

    A key that is added again while it waits is there once; while it is being worked on, it comes back afterwards.
    """

    def __init__(self) -> None:
        self._ready: dict[K, None] = {}
        self._active: set[K] = set()
        self._again: set[K] = set()
        self._attempts: dict[K, int] = {}
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._arrived = asyncio.Event()

    def __len__(self) -> int:
        return len(self._ready)

    def add(self, key: K) -> None:
        """Let a key have its turn."""
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
        if key in self._active:
            self._again.add(key)
        else:
            self._ready[key] = None
            self._arrived.set()

    async def next(self) -> K:
        """Return the key that has waited longest; ``done`` or ``retry`` must follow."""
        while not self._ready:
            self._arrived.clear()
            await self._arrived.wait()
        key = next(iter(self._ready))
        del self._ready[key]
        self._active.add(key)
        return key

    def done(self, key: K) -> None:
        """End a turn after which nothing is left to do."""
        self._attempts.pop(key, None)
        self._end(key)

    def retry(self, key: K) -> float:
        """End a turn that has to be repeated; return the seconds until then."""
        attempts = self._attempts.get(key, 0)
        self._attempts[key] = attempts + 1
        delay: float = min(LONGEST_DELAY_S, FIRST_DELAY_S * 2 ** min(attempts, 10))
        self._end(key)
        if key not in self._ready:
            loop = asyncio.get_running_loop()
            self._timers[key] = loop.call_later(delay, self.add, key)
        return delay

    def _end(self, key: K) -> None:
        self._active.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)
