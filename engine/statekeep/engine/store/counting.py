"""How many actors each decision of a deployment concerned: counted beside it, and exact once it has happened.

::

    deployment   decide, write decisions ──── machine lock ── move ── commit
    count        snapshot ── pass over the actors ┘                      └ what changed since ── tally ── settle

The pass over all actors is done before the machine is held: events that wait for the machine would share the
processors with it. What happened between snapshot and deployment is in the log, by position. Each actor that had an
event since is taken from where the snapshot has it, and added to where its last event before the deployment led. If
we die between the commit and the tally, the log still knows where every actor stood when that epoch began, and
whoever meets the uncounted deployment counts it from there. Both ways give the same numbers, so it does no harm if
two do it at once.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Self

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from statekeep.engine.errors import StoreUnavailable
from statekeep.engine.store import standings
from statekeep.engine.store.database import Database
from statekeep.engine.store.sql import statements

_SQL = statements("counting.sql")

_ONE_VIEW = sa.text("set transaction isolation level repeatable read")
"""A connection that had to be opened again remembers no options."""

_LOCK_TIMEOUT = sa.text("set local lock_timeout = '1s'")
"""Whoever changes the schema may wait for one of two connections, of which one waits for the other: no circle that
Postgres sees."""

_HOLD_ACTORS = sa.text("lock table statekeep.actor in access share mode")

AT_ONCE = 20_000
"""Actors that one statement corrects."""


@dataclass(frozen=True, slots=True)
class Uncounted:
    """A deployment that has happened; how many actors it concerned is not written down yet."""

    id: int
    epoch: int
    machine_id: int
    parent_id: int
    position: int


class Count:
    """Where the actors of a version stand when a deployment takes them; a context, which lends itself a connection."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lent = AsyncExitStack()
        self._snapshot: AsyncConnection | None = None
        self._newest = 0
        """Of changes of the machine up to this position none is missing in the snapshot."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._lent.aclose()

    async def mark(self, deployment: AsyncConnection) -> None:
        """Note up to where changes are counted, once those have ended who write now.

        Whoever changes the schema waits for the deployment from now on, not only for its count: so Postgres sees it.
        """
        await deployment.execute(_HOLD_ACTORS)
        self._newest = (await deployment.execute(_SQL["newest_change"])).scalar_one()

    @asynccontextmanager
    async def beside(self, machine_id: int, version_id: int) -> AsyncIterator[None]:
        """Count while the block runs; at its end both are over.

        Args:
            machine_id: of the machine; those who held it when the count was marked have ended.
            version_id: of the version whose actors are counted.
        """
        counting = asyncio.create_task(self._begin(machine_id, version_id))
        try:
            yield
            await counting
        finally:
            counting.cancel()
            await asyncio.gather(counting, return_exceptions=True)

    async def _begin(self, machine_id: int, version_id: int) -> None:
        if self._snapshot is None:
            self._snapshot = await self._lent.enter_async_context(self._database.lend())
        await self._snapshot.rollback()  # what an earlier attempt saw
        await self._snapshot.execute(_ONE_VIEW)
        await self._snapshot.execute(_LOCK_TIMEOUT)
        await self._snapshot.execute(_SQL["leave_room"])
        keys = {"machine_id": machine_id, "version_id": version_id}
        await self._snapshot.execute(_SQL["count_actors"], keys)

    async def finish(self, deployment: Uncounted) -> None:
        """Write down how many actors each decision of the deployment concerned, which has happened."""
        assert self._snapshot is not None
        try:
            await self._correct(self._snapshot, deployment)
            await self._snapshot.execute(_SQL["tally"], {"deployment_id": deployment.id})
            await self._snapshot.commit()
        except (sa.exc.OperationalError, sa.exc.InternalError, StoreUnavailable):
            # Somebody counts beside us, whom this snapshot cannot see; or changes the schema; or a connection is gone.
            await self._lent.aclose()
            return await recount(self._database, deployment)
        return await self._database.transact(lambda connection: _settle(connection, deployment))

    async def _correct(self, snapshot: AsyncConnection, deployment: Uncounted) -> None:
        """Move those who had an event between the snapshot and the deployment."""
        stretch = {
            "version_id": deployment.parent_id,
            "after": self._newest,
            "before": deployment.position,
        }
        options = {"yield_per": AT_ONCE}
        async with self._database.lend() as log:
            await log.execute(_LOCK_TIMEOUT)
            async with log.stream(_SQL["changed"], stretch, execution_options=options) as changed:
                async for part in changed.partitions():
                    keys = {
                        "version_id": deployment.parent_id,
                        "keys": [row.actor_key for row in part],
                        "histories": [row.history_id for row in part],
                        "configurations": [row.configuration_id for row in part],
                    }
                    await snapshot.execute(_SQL["correct"], keys)


async def recount(database: Database, deployment: Uncounted) -> None:
    """Count from the log, at any later time; every actor's last event is looked up."""

    async def work(connection: AsyncConnection) -> None:
        await standings.gather(connection, deployment.machine_id, before=deployment.epoch)
        await standings.tally(connection, deployment.id)
        await _settle(connection, deployment)

    await database.transact(work)


async def _settle(connection: AsyncConnection, deployment: Uncounted) -> None:
    await connection.execute(_SQL["settle"], {"deployment_id": deployment.id})
