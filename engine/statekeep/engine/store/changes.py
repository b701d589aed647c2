"""The change feed: whatever happened to actors, in one order, without a gap and without a repetition.

Transactions become visible in another order than they begin in, draw numbers in, or write in, so
no column that they fill in tells a reader what it has missed. Two rules make one that does:

* A change draws its position last: by the statement that writes it, under the machine's lock and, for an
  event, under its actor's. Whoever waited for one of these draws later. So positions agree with the
  order of every actor's events, and with deployments before and after them.
* The machine's lock is kept until the change can be seen. So a reader who notes the newest change that
  can be seen, *then* who holds such a lock, and waits until those have ended, has nothing to miss up
  to that change: it is *settled*. ::

      reader   sees 7    holders {A}         …      A is gone: 7 is settled
      A        ── lock ─ draw 6 ──────────── commit ┘
      B        ──────── lock ─ draw 8 ───────────────────────  (behind 7)

Nobody waits for a reader, and a long transaction of somebody else holds nothing up. Numbers that were
drawn and never used (a transaction that failed) are positions without a change.

Only a change settles anything, never a number: after a crash Postgres gives numbers again that nobody had
committed, and tells no one. Where a change is in the log, what was logged before it is there too,
that its number has been given included: whatever is drawn from then on is higher.

A reader keeps a mark: a position, and digits that say which change stands there. They differ when
the database was put back to an older state and has gone on from there.
"""

import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from statekeep.engine.history.fingerprint import show
from statekeep.engine.ids import (
    ActorId,
    EventType,
    Fingerprint,
    MachineName,
    Namespace,
    VersionName,
)
from statekeep.engine.store.catalogue import Catalogue, StoredConfiguration
from statekeep.engine.store.locks import MACHINE_SPACE
from statekeep.engine.store.sql import statements

_SQL = statements("changes.sql")

STRETCH = 2_000
"""Positions read at once, whether they hold changes of the namespaces asked for or not."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A change, as the last one that somebody has seen."""

    position: int
    check: int
    """Digits made of the position and the time of the change there."""


BEGINNING = Mark(0, 0)
"""Before the first change."""

_END = 2**63 - 1
"""Behind every change."""


@dataclass(frozen=True, slots=True)
class ActorChanged:
    """An actor came to be, or processed an event."""

    mark: Mark
    namespace: Namespace
    actor_id: ActorId
    event_type: EventType | None
    """``None`` where the actor came to be."""

    configuration: StoredConfiguration
    """As it was then."""

    seq: int
    fingerprint: Fingerprint
    at: datetime


@dataclass(frozen=True, slots=True)
class VersionDeployed:
    """A version was applied to the actors of its parent; some of them moved."""

    mark: Mark
    namespace: Namespace
    deployment_id: int
    number: int
    machine: MachineName
    version: VersionName
    parent: VersionName
    migrated: int
    stayed: int
    needs_rescue: int
    at: datetime


Change = ActorChanged | VersionDeployed
"""One entry of the feed."""


@dataclass(frozen=True, slots=True)
class News:
    """What came behind a mark, as far as it is settled and as one look reaches."""

    is_there: bool
    """Whether the log still holds the change of that mark; if not, nothing else here means anything."""

    changes: Sequence[Change]
    upto: Mark
    """The last change of whatever namespace that was passed."""

    newest: Mark
    """The last change that can be seen, settled or not."""


class Horizon:
    """Knows how far the feed is settled.

    What it remembers are changes, and it asks each time whether they are still there: so it may look at one
    server now, and at another one, or at the same one after a crash, the next time.
    """

    def __init__(self) -> None:
        self._settled = BEGINNING
        self._noted = BEGINNING
        self._writers: frozenset[str] = frozenset()
        """Who held a machine's lock when the change was noted, or later."""

    async def advance(self, connection: AsyncConnection, newest: Mark) -> Mark:
        """Return the change up to which everything can be seen by whoever reads next.

        What can be seen and is not settled yet is settled by one of the next calls.

        Args:
            connection: each of its statements sees what was committed before that statement.
            newest: the last change that it saw.
        """
        if newest == self._settled:
            return newest
        for mark in {self._settled, self._noted}:
            if await mark_at(connection, mark.position) != mark:
                self._settled, self._noted, self._writers = BEGINNING, BEGINNING, frozenset()
        found = await connection.execute(_SQL["writers"], {"space": MACHINE_SPACE})
        writers = frozenset(row.virtualtransaction for row in found)
        if not writers:
            self._settled = self._noted = newest
        elif not self._writers & writers:
            self._settled = self._noted
        else:
            return self._settled
        self._noted, self._writers = newest, writers
        return self._settled


async def read_on(
    connection: AsyncConnection,
    catalogue: Catalogue,
    horizon: Horizon,
    namespaces: Collection[Namespace],
    mark: Mark,
) -> News:
    """Look again how far the feed is settled, and read the next changes of some namespaces up to there.

    Args:
        connection: each of its statements sees what was committed before that statement.
        catalogue: for the names.
        horizon: of those who have read up to the mark.
        namespaces: whose changes. Without any, the look reaches as far as the feed is settled.
        mark: of the last change that was read.
    """
    last = await newest(connection)
    if last == mark:
        return News(True, (), mark, last)
    settled = await horizon.advance(connection, last)
    if await mark_at(connection, mark.position) != mark:
        return News(False, (), mark, last)
    end = await _counted(connection, settled.position)
    position, found, upto = mark.position, list[Change](), mark
    while position < end and upto == mark:  # there may be long stretches without a change
        after, position = position, min(position + STRETCH, end) if namespaces else end
        if namespaces:
            found += await stretch(connection, catalogue, namespaces, after=after, upto=position)
        upto = await mark_at(connection, position)
    return News(True, found, upto, last)


async def newest(connection: AsyncConnection) -> Mark:
    """Return the mark of the last change that can be seen, settled or not."""
    return await mark_at(connection, _END)


async def _counted(connection: AsyncConnection, upto: int) -> int:
    """Return up to where, at most ``upto``, all deployments have been counted: only then are they shown."""
    first = (await connection.execute(_SQL["uncounted"])).scalar_one()
    return upto if first is None else min(upto, int(first) - 1)


async def mark_at(connection: AsyncConnection, position: int) -> Mark:
    """Return the mark of the last change at or before a position."""
    row = (await connection.execute(_SQL["last_change"], {"upto": position})).one_or_none()
    return BEGINNING if row is None else _mark(row.position, row.at)


async def stretch(
    connection: AsyncConnection,
    catalogue: Catalogue,
    namespaces: Collection[Namespace],
    *,
    after: int,
    upto: int,
) -> Sequence[Change]:
    """Return the changes of some namespaces behind a position, in order.

    Args:
        connection: its snapshot is younger than what settled ``upto``.
        catalogue: for the names.
        namespaces: whose changes.
        after: the position before the first one.
        upto: the last position, at most ``STRETCH`` further.
    """
    keys = {"after": after, "upto": upto, "namespaces": list(namespaces)}
    rows = (await connection.execute(_SQL["actor_changes"], keys)).all()
    configurations = await catalogue.configurations(
        connection, {row.configuration_id for row in rows}
    )
    found: list[Change] = [
        ActorChanged(
            mark=_mark(row.position, row.at),
            namespace=Namespace(row.namespace),
            actor_id=ActorId(row.id),
            event_type=EventType(row.event_type) if row.seq else None,
            configuration=configurations[row.configuration_id],
            seq=row.seq,
            fingerprint=show(row.fingerprint),
            at=row.at,
        )
        for row in rows
    ]
    for row in await connection.execute(_SQL["deployment_changes"], keys):
        deployed = VersionDeployed(
            mark=_mark(row.position, row.at),
            namespace=Namespace(row.namespace),
            deployment_id=row.id,
            number=row.number,
            machine=MachineName(row.machine),
            version=VersionName(row.version),
            parent=VersionName(row.parent),
            migrated=row.migrated,
            stayed=row.stayed,
            needs_rescue=row.needs_rescue,
            at=row.at,
        )
        found.append(deployed)
    return sorted(found, key=lambda change: change.mark.position)


def _mark(position: int, at: datetime) -> Mark:
    return Mark(position, zlib.crc32(f"{position} {at.timestamp():.6f}".encode()))
