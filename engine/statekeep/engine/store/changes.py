"""The change feed: whatever happened to actors, in one order, without a gap and without a repetition.

Transactions become visible in another order than they begin in, draw numbers in, or write in, so
no column that they fill in tells a reader what it has missed. Two rules make one that does:

* A change draws its position last: by the statement that writes it, under the machine's lock and, for an
  event, under its actor's. Whoever waited for one of these draws later. So positions agree with the
  order of every actor's events, and with deployments before and after them.
* The machine's lock is kept until the change can be seen. So a reader who notes the newest position that
  was drawn, *then* who holds such a lock, and waits until those have ended, has nothing to miss up
  to that position: it is *settled*. ::

      reader   drawn = 7    holders {A}      …      A is gone: 7 is settled
      A        ── lock ─ draw 6 ──────────── commit ┘
      B        ──────── lock ─ draw 8 ───────────────────────  (not up to 7)

Nobody waits for a reader, and a long transaction of somebody else holds nothing up. Numbers that were
drawn and never used (a transaction that failed) are positions without a change.

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
    machine: MachineName
    version: VersionName
    parent: VersionName
    migrated: int
    stayed: int
    needs_rescue: int
    at: datetime


Change = ActorChanged | VersionDeployed
"""One entry of the feed."""


class Horizon:
    """Knows how far the feed is settled."""

    def __init__(self) -> None:
        self._settled = 0
        self._drawn = 0
        self._writers: frozenset[str] = frozenset()

    async def advance(self, connection: AsyncConnection) -> int:
        """Look again, and return up to which position everything can be seen by whoever reads next.

        What was drawn and is not settled yet is settled by one of the next calls.
        """
        drawn = await newest(connection)
        if drawn == self._settled:
            return drawn
        found = await connection.execute(_SQL["writers"], {"space": MACHINE_SPACE})
        writers = frozenset(row.virtualtransaction for row in found)
        if not self._writers & writers:
            self._settled, self._drawn, self._writers = self._drawn, drawn, writers
        if not writers:
            self._settled = drawn
        return self._settled


async def newest(connection: AsyncConnection) -> int:
    """Return the newest position that was drawn, settled or not."""
    return int((await connection.execute(_SQL["drawn"])).scalar_one())


async def counted(connection: AsyncConnection, upto: int) -> int:
    """Return up to where, at most ``upto``, all deployments have been counted: only then are they shown.

    Args:
        connection: its snapshot is younger than what settled ``upto``.
        upto: a position that is settled.
    """
    first = (await connection.execute(_SQL["uncounted"])).scalar_one()
    return upto if first is None else min(upto, int(first) - 1)


async def mark_at(connection: AsyncConnection, position: int) -> Mark:
    """Return the mark of the last change at or before a position that is settled."""
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
