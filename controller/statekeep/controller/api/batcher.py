"""Sharing statements: events that arrive while a batch is in flight go into the next one.

So load makes batches larger, not answers slower. Every waiting caller gets the outcome of its own
event, whatever becomes of its neighbours.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from statekeep.engine.store.events import Event, Outcome

MAX_BATCH = 500
"""Events in one transaction: it holds their actors' locks until it commits."""

MAX_WAITING = 10_000
"""Events that wait; one more is refused, so that memory and waiting stay bounded."""

IN_FLIGHT = 2
"""Batches at once: while one waits for the disk, the next one computes."""

Process = Callable[[Sequence[Event]], Awaitable[list[Outcome]]]
"""Returns one outcome an event, in order; never raises."""


class Overloaded(Exception):
    """Too many events are waiting; the caller should try again a little later."""


class Batcher:
    """Collects events and hands them to ``process`` in batches."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._waiting: deque[tuple[Event, asyncio.Future[Outcome]]] = deque()
        self._arrived = asyncio.Event()
        self._closed = False
        self._workers = [asyncio.create_task(self._work()) for _ in range(IN_FLIGHT)]

    async def submit(self, event: Event) -> Outcome:
        """Process one event together with whatever else is waiting.

        Raises:
            Overloaded: too many are waiting.
        """
        if len(self._waiting) >= MAX_WAITING or self._closed:
            raise Overloaded
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append((event, future))
        self._arrived.set()
        return await future

    async def close(self) -> None:
        """Finish what is waiting; take nothing more."""
        self._closed = True
        self._arrived.set()
        await asyncio.gather(*self._workers)

    async def _work(self) -> None:
        while True:
            while not self._waiting:
                if self._closed:
                    return
                self._arrived.clear()
                await self._arrived.wait()
            size = min(MAX_BATCH, len(self._waiting))
            await self._run([self._waiting.popleft() for _ in range(size)])

    async def _run(self, batch: list[tuple[Event, asyncio.Future[Outcome]]]) -> None:
        outcomes = await self._process([event for event, _ in batch])
        for (_, future), outcome in zip(batch, outcomes, strict=True):
            if not future.done():  # its caller may have gone
                future.set_result(outcome)
