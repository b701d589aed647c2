"""Sharing statements: events that arrive while a batch is in flight go into the next one.

So load makes batches larger, not answers slower. Every waiting caller gets the outcome of its own event, whatever
becomes of its neighbours. No batch waits for a machine: events for one that a deployment holds are set aside, and
tried again until it lets go, while all others go on.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from statekeep.engine.store.events import Attempt, Busy, Event, Outcome

MAX_BATCH = 500
"""Events in one transaction: it holds their actors' locks until it commits."""

MAX_WAITING = 10_000
"""Events that wait; one more is refused, so that memory and waiting stay bounded."""

IN_FLIGHT = 2
"""Batches at once: while one waits for the disk, the next one computes."""

PAUSE_S = 0.002
"""Until a machine that is held is tried again, at first."""

MAX_PAUSE_S = 0.05
"""However long it is held."""

PAUSES = 8
"""A pause is this part of the time that it has been held already: so long a wait becomes little longer."""

A = TypeVar("A", bound=Attempt)

Process = Callable[[Sequence[Event]], Awaitable[list[A]]]
"""Returns what became of each event, in order; never raises."""

_Waiting = tuple[Event, asyncio.Future[Outcome]]


class Overloaded(Exception):
    """Too many events are waiting; the caller should try again a little later."""


class Batcher:
    """Collects events and has them attempted in batches."""

    def __init__(self, attempt: Process[Attempt]) -> None:
        self._attempt = attempt
        self._waiting: deque[_Waiting] = deque()
        self._aside: dict[int, deque[_Waiting]] = {}
        """Those whose machine is held, by machine."""

        self._retries: set[asyncio.Task[None]] = set()
        self._arrived = asyncio.Event()
        self._closed = False
        self._workers = [asyncio.create_task(self._work()) for _ in range(IN_FLIGHT)]

    async def submit(self, event: Event) -> Outcome:
        """Process one event together with whatever else is waiting.

        Raises:
            Overloaded: too many are waiting.
        """
        if self._closed or len(self._waiting) + sum(map(len, self._aside.values())) >= MAX_WAITING:
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
        await asyncio.gather(*self._retries)

    async def _work(self) -> None:
        while True:
            while not self._waiting:
                if self._closed:
                    return
                self._arrived.clear()
                await self._arrived.wait()
            for machine_id, waiting in await self._run(self._waiting):
                self._set_aside(machine_id, waiting)

    async def _run(self, queue: deque[_Waiting]) -> list[tuple[int, _Waiting]]:
        """Attempt the first events of a queue; return those whose machine is held."""
        batch = [queue.popleft() for _ in range(min(MAX_BATCH, len(queue)))]
        outcomes = await self._attempt([event for event, _ in batch])
        held = []
        for (event, future), outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, Busy):
                held.append((outcome.machine_id, (event, future)))
            elif not future.done():  # its caller may have gone
                future.set_result(outcome)
        return held

    def _set_aside(self, machine_id: int, waiting: _Waiting) -> None:
        if machine_id in self._aside:
            self._aside[machine_id].append(waiting)
            return
        self._aside[machine_id] = deque([waiting])
        retry = asyncio.create_task(self._retry(machine_id))
        self._retries.add(retry)
        retry.add_done_callback(self._retries.discard)

    async def _retry(self, machine_id: int) -> None:
        """Attempt the events of a machine until none is left."""
        now = asyncio.get_running_loop().time
        aside = self._aside[machine_id]
        since = now()
        while aside:
            await asyncio.sleep(min(max((now() - since) / PAUSES, PAUSE_S), MAX_PAUSE_S))
            while aside and not (held := await self._run(aside)):
                pass
            aside.extendleft(waiting for _, waiting in reversed(held))
        del self._aside[machine_id]
