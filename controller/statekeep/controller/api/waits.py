"""Waiting for machines that somebody holds, a deployment most likely.

Who waits in the database has a connection, and there are few: so only some may, and all others look again after a
pause. Whoever has to do with other machines finds connections free, however many wait.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from statekeep.engine.store.events import Busy

CONNECTIONS = 3
"""Of the pool, that may wait for machines at once."""

PAUSE_S = 0.02
"""Before somebody looks again, at first; twice as long each time."""

MAX_PAUSE_S = 1.0

R = TypeVar("R")

Act = Callable[[], Awaitable[R]]


class Waits:
    """Hands out the connections that may wait."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(CONNECTIONS)

    async def again(self, attempt: Act[R], insist: Act[R], pause_s: float = PAUSE_S) -> R:
        """Do again what met a machine that was held.

        Args:
            attempt: does it, and gives up where the machine is still held.
            insist: does it, and waits for the machine.
            pause_s: before the attempt, where as many wait as may.
        """
        if self._free.locked():
            await asyncio.sleep(pause_s)
            return await attempt()
        async with self._free:
            return await insist()

    async def through(self, attempt: Act[R | Busy], insist: Act[R | Busy]) -> R:
        """Do something, however long its machine is held."""
        result = await attempt()
        pause_s = PAUSE_S
        while isinstance(result, Busy):
            result = await self.again(attempt, insist, pause_s)
            pause_s = min(2 * pause_s, MAX_PAUSE_S)
        return result
