"""Cohorts that no actor is in, and how they go: histories, events and decisions never do.

An actor leaves a cohort behind with every event, so an index of the present would grow like the log.
Whether a cohort is deserted takes a look at every actor of its machine, and meanwhile somebody may
arrive. So it goes in two steps:

::

    canonical ── retire (machine lock, a moment) ──▶ retired ── still deserted? ──▶ deleted, with its edges
                                                        └─ somebody came in between: stays until they leave

Nobody arrives in a retired cohort any more: no edge leads there, and a history that is reached again gets a new
canonical cohort. What is found deserted *then* stays deserted. Several collectors at once do no harm: a
machine is collected by one at a time, and they give way to deployments.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from statekeep.engine.store import locks, versions
from statekeep.engine.store.database import Database
from statekeep.engine.store.sql import statements

_SQL = statements("index.sql")

AT_ONCE = 500
"""Cohorts retired under one lock; events of the machine wait about ten milliseconds for it."""

A_ROUND = 100_000
"""Cohorts of a machine that one round collects at most: their ids are in memory, and gone in one transaction."""


@dataclass(frozen=True, slots=True)
class Collected:
    """What one round has done."""

    cohorts: int
    """How many went."""

    is_full: bool
    """Whether a machine had as many as a round takes: there may be more."""


async def collect(database: Database) -> Collected:
    """Collect what is deserted in every machine, one round each."""
    machines = await database.read(versions.machine_ids)
    done = [await collect_machine(database, machine_id) for machine_id in machines]
    return Collected(sum(one.cohorts for one in done), any(one.is_full for one in done))


async def collect_machine(database: Database, machine_id: int) -> Collected:
    """Collect what is deserted in one machine, unless somebody else is about to."""
    keys = {"machine_id": machine_id, "limit": A_ROUND}

    async def deserted(connection: AsyncConnection) -> Sequence[int]:
        rows = await connection.execute(_SQL["deserted"], keys | {"canonical": True})
        return [row.id for row in rows]

    found = await database.read(deserted)
    if not await retire(database, machine_id, found, patient=False):
        return Collected(0, is_full=False)

    async def delete(connection: AsyncConnection) -> int:
        if not await locks.begin_collection(connection, machine_id):
            return 0
        rows = await connection.execute(_SQL["deserted"], keys | {"canonical": False})
        gone = [row.id for row in rows]
        await remove(connection, gone)
        return len(gone)

    gone = await database.transact(delete)
    return Collected(gone, is_full=gone > 0 and A_ROUND in (len(found), gone))


async def retire(
    database: Database, machine_id: int, cohorts: Sequence[int], *, patient: bool
) -> bool:
    """Let nobody arrive in these cohorts any more; return whether it was done.

    Args:
        database: a transaction for every few of them.
        machine_id: whose cohorts they are.
        cohorts: canonical ones; deserted, as far as one knows.
        patient: whether to wait for others who collect or deploy, rather than give up.
    """
    for start in range(0, len(cohorts), AT_ONCE):
        some = {"cohorts": list(cohorts[start : start + AT_ONCE])}

        async def work(connection: AsyncConnection, some: dict[str, list[int]] = some) -> bool:
            if patient:
                await locks.keep_collectors_out(connection, machine_id)
            elif not await locks.begin_collection(connection, machine_id):
                return False
            await locks.stop_machine(connection, machine_id)
            await connection.execute(_SQL["retire_cohorts"], some)
            await connection.execute(_SQL["close_edges"], some)
            return True

        if not await database.transact(work):
            return False
    return True


async def remove(connection: AsyncConnection, cohorts: Sequence[int]) -> None:
    """Delete retired cohorts that were found deserted by this transaction, which holds the collection lock."""
    if cohorts:
        await connection.execute(_SQL["delete_cohorts"], {"cohorts": list(cohorts)})
