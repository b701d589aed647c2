"""Turns at what is scarce, so that one namespace cannot take all of them.

Whoever has much to do waits for their own earlier turns first, and only then beside the others: a namespace that comes
with one thing waits for at most ``each`` turns of every other one, however much those have waiting.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from statekeep.engine.ids import Namespace


@dataclass(slots=True)
class _Share:
    """The turns of one namespace."""

    turns: asyncio.Semaphore
    wanted: int = 0
    """Those who wait, and those whose turn it is."""


class Shares:
    """Gives turns."""

    def __init__(self, *, each: int, together: int) -> None:
        self._each = each
        self._together = asyncio.Semaphore(together)
        self._shares: dict[Namespace, _Share] = {}

    @asynccontextmanager
    async def turn(self, namespace: Namespace) -> AsyncIterator[None]:
        """Wait for a turn of the namespace, and hold it while the context is open."""
        share = self._shares.get(namespace)
        if share is None:
            share = self._shares[namespace] = _Share(asyncio.Semaphore(self._each))
        share.wanted += 1
        try:
            async with share.turns, self._together:
                yield
        finally:
            share.wanted -= 1
            if not share.wanted:
                del self._shares[namespace]
