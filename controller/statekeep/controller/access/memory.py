"""Answers that are kept for a little while, and asked for once at a time."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from statekeep.engine.store.catalogue import Recent

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

Clock = Callable[[], float]
"""Seconds that never go back; only differences mean anything."""

Ask = Callable[[], Awaitable[tuple[V, float]]]
"""Returns an answer, and how many seconds from before it was asked for it may be kept."""

CAPACITY = 20_000
"""Answers kept; the one used longest ago makes room."""


class Memory(Generic[K, V]):
    """Remembers answers; who asks what is being asked already waits for the same answer.

    An error is every waiter's, and is not remembered.
    """

    def __init__(self, clock: Clock = time.monotonic, *, capacity: int = CAPACITY) -> None:
        self._clock = clock
        self._kept: Recent[K, tuple[V, float]] = Recent(capacity)
        self._asking: dict[K, asyncio.Task[V]] = {}

    async def answer(self, key: K, ask: Ask[V]) -> V:
        """Return the answer that is remembered, or else ask."""
        kept = self._kept.find(key)
        if kept is not None and self._clock() < kept[1]:
            return kept[0]
        asking = self._asking.get(key)
        if asking is None:
            # A task of its own: the caller who came first may leave before the others.
            asking = asyncio.create_task(self._ask(key, ask))
            self._asking[key] = asking
            asking.add_done_callback(lambda task: self._end(key, task))
        return await asyncio.shield(asking)

    async def _ask(self, key: K, ask: Ask[V]) -> V:
        began = self._clock()
        value, lifetime_s = await ask()
        self._kept.keep(key, (value, began + lifetime_s))
        return value

    def _end(self, key: K, task: asyncio.Task[V]) -> None:
        del self._asking[key]
        if not task.cancelled():
            task.exception()  # whoever waited has it; nobody may be left
