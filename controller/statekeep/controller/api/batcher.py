"""Sharing statements: events that arrive while a batch is in flight go into the next one.

So load makes batches larger, not answers slower. Every waiting caller gets the outcome of its own event, whatever
becomes of its neighbours. No batch waits for a machine: events for one that a deployment holds are set aside, and
tried again until it lets go, while all others go on.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

from statekeep.controller.api.waits import Waits
from statekeep.engine.store.events import Attempt, Busy, Event, Outcome

MAX_BATCH = 500
"""Events in one transaction: it holds their actors' locks until it commits."""

MAX_WAITING = 10_000
"""Events that wait; one more is refused, so that memory and waiting stay bounded."""

IN_FLIGHT = 2
"""Batches at once: while one waits for the disk, the next one computes."""

MAX_ASIDE = 1_000
"""Of them those whose machines are held: they fill the places of requests that could be answered at once."""

A = TypeVar("A", bound=Attempt)

Process = Callable[[Sequence[Event]], Awaitable[Sequence[A]]]
"""Returns what became of each event, in order; never raises."""

_Waiting = tuple[Event, asyncio.Future[Outcome]]


class Overloaded(Exception):
    """Too many events are waiting; the caller should try again a little later."""


class Batcher:
    """Collects events and has them attempted in batches."""

    def __init__(self, attempt: Process[Attempt], insist: Process[Outcome], waits: Waits) -> None:
        self._attempt = attempt
        self._insist = insist
        self._waits = waits
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
        if self._closed or len(self._waiting) >= MAX_WAITING:
            raise Overloaded
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append((event, future))
        self._arrived.set()
        return await future

    async def close(self) -> None:
        """Finish what is waiting; take nothing more. For a machine that is held now nobody waits any longer."""
        self._closed = True
        self._arrived.set()
        await asyncio.gather(*self._workers)
        for retry in self._retries:
            retry.cancel()
        await asyncio.gather(*self._retries, return_exceptions=True)

    async def _work(self) -> None:
        while True:
            while not self._waiting:
                if self._closed:
                    return
                self._arrived.clear()
                await self._arrived.wait()
            for machine_id, waiting in await self._run(self._waiting, self._attempt):
                self._set_aside(machine_id, waiting)

    async def _run(
        self, queue: deque[_Waiting], act: Process[Attempt]
    ) -> list[tuple[int, _Waiting]]:
        """Process the first events of a queue; return those whose machine is held."""
        first = [queue.popleft() for _ in range(min(MAX_BATCH, len(queue)))]
        batch = [(event, future) for event, future in first if not future.done()]
        outcomes = await act([event for event, _ in batch])
        held = []
        for (event, future), outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, Busy):
                held.append((outcome.machine_id, (event, future)))
            elif not future.done():  # its caller may have gone
                future.set_result(outcome)
        return held

    def _set_aside(self, machine_id: int, waiting: _Waiting) -> None:
        _, future = waiting
        if sum(map(len, self._aside.values())) >= MAX_ASIDE:
            if not future.done():
                future.set_exception(Overloaded())
            return
        if machine_id in self._aside:
            self._aside[machine_id].append(waiting)
            return
        self._aside[machine_id] = deque([waiting])
        retry = asyncio.create_task(self._retry(machine_id))
        self._retries.add(retry)
        retry.add_done_callback(self._retries.discard)

    async def _retry(self, machine_id: int) -> None:
        """Process the events of a machine until none is left."""
        aside = self._aside[machine_id]
        while aside:
            held = await self._waits.again(
                partial(self._run, aside, self._attempt), partial(self._run, aside, self._insist)
            )
            aside.extendleft(waiting for _, waiting in reversed(held))
        del self._aside[machine_id]
