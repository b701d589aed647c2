"""How many actors each decision of a deployment concerned: known only when it is over.

::

    deployment ── machine lock ── snapshot ── commit, events go on ── tally on the snapshot ── settle

A snapshot that is taken while the deployment holds its machine sees all that came before it and
nothing that comes after, for as long as one likes: so nobody waits for the count. If we die between
the commit and the count, the log still knows where every actor stood when that epoch began, and
whoever meets the uncounted deployment counts it from there. Both ways give the same numbers, so it
does no harm if two do it at once.
"""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from statekeep.engine.store import standings
from statekeep.engine.store.database import Database, lost_race
from statekeep.engine.store.sql import statements

_SQL = statements("routing.sql")

_WORKERS = sa.text("show max_parallel_workers_per_gather")
"""Takes no snapshot either."""


@dataclass(frozen=True, slots=True)
class Uncounted:
    """A deployment that has happened; how many actors it concerned is not written down yet."""

    id: int
    epoch: int
    machine_id: int
    parent_id: int


async def prepare(snapshot: AsyncConnection) -> None:
    """Begin a transaction that sees nothing yet; what an earlier one saw is forgotten."""
    await snapshot.rollback()
    # Setting something takes no snapshot. A million groups fit in this much memory; and who counts leaves room on the
    # processors for the events that have waited.
    await snapshot.execute(sa.text("set local work_mem = '64MB'"))
    if int((await snapshot.execute(_WORKERS)).scalar_one()) > 1:
        await snapshot.execute(sa.text("set local max_parallel_workers_per_gather = 1"))


async def look(snapshot: AsyncConnection) -> None:
    """See from now on what is committed at this moment."""
    await snapshot.execute(sa.select(1))


async def count(database: Database, snapshot: AsyncConnection, deployment: Uncounted) -> None:
    """Count on a snapshot that began while the deployment held its machine."""
    keys = {
        "deployment_id": deployment.id,
        "machine_id": deployment.machine_id,
        "parent_id": deployment.parent_id,
    }
    try:
        await snapshot.execute(_SQL["count_actors"], keys)
        await snapshot.execute(_SQL["tally"], keys)
        await snapshot.commit()
    except sa.exc.DBAPIError as error:
        if not lost_race(error):
            raise
        await snapshot.rollback()  # somebody counts beside us, whom this snapshot cannot see
        return await recount(database, deployment)
    return await database.transact(lambda connection: _settle(connection, deployment))


async def recount(database: Database, deployment: Uncounted) -> None:
    """Count from the log, at any later time; every actor's last event is looked up."""

    async def work(connection: AsyncConnection) -> None:
        await standings.gather(connection, deployment.machine_id, before=deployment.epoch)
        await standings.tally(connection, deployment.id)
        await _settle(connection, deployment)

    await database.transact(work)


async def _settle(connection: AsyncConnection, deployment: Uncounted) -> None:
    await connection.execute(_SQL["settle"], {"deployment_id": deployment.id})
