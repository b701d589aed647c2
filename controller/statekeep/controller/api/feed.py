"""Following the change feed: one look at the log a process, however many follow.

The watch asks the database how far the feed is settled, more often while there is news, and not at all
while nobody follows. What it finds goes into a tail for every namespace that somebody follows; who
stands within the tail is served from memory. Who is further behind, or reads too slowly to keep
up, reads from the database instead, a stretch at a time, so a slow reader costs no memory.

The watch also notices when the log no longer holds what it has shown: the database was put back to an
older state. Whoever follows then is told, rather than led on past changes that they never saw.
"""

import asyncio
import logging
from bisect import bisect_right
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from statekeep.engine.errors import StoreUnavailable
from statekeep.engine.ids import Namespace
from statekeep.engine.store import changes
from statekeep.engine.store.catalogue import Catalogue
from statekeep.engine.store.changes import BEGINNING, STRETCH, Change, Horizon, Mark
from statekeep.engine.store.database import Database

MAX_FOLLOWERS = 100
"""Streams that one process serves at once."""

MOST_OF_ONE = MAX_FOLLOWERS * 3 // 4
"""Of them those of one namespace."""

MAX_TAIL = 20_000
"""Changes kept in memory for all followers together, about half a kilobyte each."""

READS = 2
"""Connections that those who are behind may use at once; the others are for events."""

SHORTEST_S = 0.02
"""Between two looks while there is news."""

LONGEST_S = 0.25
"""Between two looks while there is none: what comes after a silence is late by that much at most."""

SETTLE_S = 20.0
"""How long somebody who wants to know where the feed ends waits for transactions in flight."""

BACKOFF_S = 1.0
"""Before the next look while the database does not answer."""

T = TypeVar("T")

_log = logging.getLogger(__name__)


class Crowded(Exception):
    """As many follow as one process can serve."""


class Rewound(Exception):
    """The log no longer holds what was shown of it."""


@dataclass(frozen=True, slots=True)
class Passage:
    """Changes of one namespace, and the position up to which there are no others."""

    changes: Sequence[Change]
    upto: int
    mark: Mark
    """Of the last change of all up to there, whosever it was."""


@dataclass(slots=True)
class _Tail:
    """The newest changes of one namespace."""

    followers: int = 0
    begin: int | None = None
    """The position behind which every change is here; ``None`` before the first look."""

    changes: list[Change] = field(default_factory=list)

    def trim(self, size: int) -> None:
        """Forget the oldest changes where there are more than there should be."""
        if len(self.changes) > size:
            self.begin = self.changes[-size - 1].mark.position
            del self.changes[:-size]

    def after(self, position: int) -> Sequence[Change]:
        first = bisect_right(self.changes, position, key=lambda change: change.mark.position)
        return self.changes[first : first + STRETCH]


class Follower:
    """One reader of one namespace; it keeps its own position."""

    def __init__(self, feed: "Feed", namespace: Namespace, rewinds: int) -> None:
        self._feed = feed
        self._namespace = namespace
        self._rewinds = rewinds

    async def passage(self, position: int, wait_s: float) -> Passage | None:
        """Return what comes behind a position, waiting a while for it; ``None`` where nothing came.

        Raises:
            Rewound: what this reader has seen may never have been.
            StoreUnavailable: it is further behind than memory reaches, and Postgres did not answer.
        """
        for is_last in (False, True):
            found = await self._feed.passage(self._namespace, position)
            if self._feed.rewinds != self._rewinds:
                raise Rewound
            if found is not None or is_last:
                return found
            await self._feed.wait(wait_s)
        raise AssertionError("the loop returns or raises")


class Feed:
    """Watches the log for everybody who follows it."""

    def __init__(self, database: Database, catalogue: Catalogue) -> None:
        self.is_closing = False
        self.rewinds = 0
        """How often the log turned out to be another one than before."""

        self._database = database
        self._catalogue = catalogue
        self._followers = 0
        self._tails: dict[Namespace, _Tail] = {}
        self._reads = asyncio.Semaphore(READS)
        self._wanted = asyncio.Event()
        self._moved = asyncio.Event()
        self._forget()
        self._watching = asyncio.create_task(self._watch())

    def _forget(self) -> None:
        self._horizon = Horizon()
        self._mark = BEGINNING
        """The last change of all that the tails know of."""

    @asynccontextmanager
    async def following(self, namespace: Namespace) -> AsyncIterator["Follower"]:
        """Keep a tail of the namespace while the context is open.

        Raises:
            Crowded: too many follow already, or too many of this namespace.
        """
        tail = self._tails.get(namespace, _Tail())
        if self._followers >= MAX_FOLLOWERS or tail.followers >= MOST_OF_ONE:
            raise Crowded
        self._tails[namespace] = tail
        self._followers += 1
        tail.followers += 1
        self._wanted.set()
        try:
            yield Follower(self, namespace, self.rewinds)
        finally:
            self._followers -= 1
            tail.followers -= 1
            if not tail.followers:
                del self._tails[namespace]
            if not self._followers:
                self._wanted.clear()

    async def close(self) -> None:
        """Let everybody who follows come to an end."""
        self.is_closing = True
        self._moved.set()
        self._watching.cancel()
        await asyncio.wait([self._watching])

    async def _watch(self) -> None:
        pause_s = SHORTEST_S
        while True:
            if not self._wanted.is_set():
                self._forget()
                await self._wanted.wait()
            try:
                is_news = await self._look()
            except Exception as error:
                if not isinstance(error, StoreUnavailable):
                    _log.exception("the change feed could not be read; trying again")
                pause_s = BACKOFF_S
            else:
                pause_s = SHORTEST_S if is_news else min(2 * pause_s, LONGEST_S)
            await asyncio.sleep(pause_s)

    async def _look(self) -> bool:
        """Bring the tails nearer to where the feed is settled; return whether more is about to come."""
        mark = self._mark
        begun = {name: tail for name, tail in self._tails.items() if tail.begin is not None}
        found = await self._database.watch(
            lambda connection: changes.read_on(
                connection, self._catalogue, self._horizon, begun.keys(), mark
            )
        )
        if not found.is_there:
            self._begin_anew()
            return True
        for name, tail in begun.items():
            tail.changes += [change for change in found.changes if change.namespace == name]
            tail.trim(MAX_TAIL // len(begun))
        for tail in self._tails.values():
            if tail.begin is None:
                tail.begin = found.upto.position
        self._mark = found.upto
        if found.upto != mark:
            self._announce()
        return mark != found.newest

    def _begin_anew(self) -> None:
        """Send away whoever follows: they have seen what is no longer there."""
        _log.warning("the log no longer holds change %d, which was shown", self._mark.position)
        self.rewinds += 1
        self._forget()
        for tail in self._tails.values():
            tail.begin = None
            tail.changes.clear()
        self._announce()

    def _announce(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()

    async def passage(self, namespace: Namespace, position: int) -> Passage | None:
        """Return what comes behind a position; ``None`` where nothing more is settled."""
        mark = self._mark
        if position >= mark.position:
            return None
        tail = self._tails[namespace]
        if tail.begin is not None and position >= tail.begin:
            found = tail.after(position)
            mark = found[-1].mark if len(found) == STRETCH else mark
            return Passage(found, mark.position, mark)
        upto = min(position + STRETCH, mark.position)

        async def work(connection: AsyncConnection) -> tuple[Sequence[Change], Mark]:
            found = await changes.stretch(
                connection, self._catalogue, [namespace], after=position, upto=upto
            )
            return found, await changes.mark_at(connection, upto)

        found, mark = await self.read(work)
        return Passage(found, upto, mark)

    async def read(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Read for somebody who is behind; so many at once that events are not kept waiting."""
        async with self._reads:
            return await self._database.read(work)

    async def settle(self, newest: Mark) -> Mark:
        """Wait until a change is settled that could be seen, and return the last one that is.

        Raises:
            StoreUnavailable: it takes too long, or the feed ends before.
        """
        try:
            async with asyncio.timeout(SETTLE_S):
                while self._mark.position < newest.position and not self.is_closing:
                    await self._moved.wait()
        except TimeoutError as error:
            raise StoreUnavailable("the change feed did not settle in time") from error
        if self._mark.position < newest.position:
            raise StoreUnavailable("the server has to stop before the change feed has settled")
        return self._mark

    async def wait(self, timeout_s: float) -> None:
        """Wait until the watch gets further, or the feed ends, or the time is over."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._moved.wait()
        except TimeoutError:
            return
