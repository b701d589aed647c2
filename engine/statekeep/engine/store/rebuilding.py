"""Making the index of the present anew, from the log: cohorts, edges, and who is in which cohort.

Events of a machine wait while its index is made. What comes out is what the log says: a cohort for
every place where somebody is, and the edges between those cohorts. The other edges are filled in again
when they are needed.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from statekeep.engine.errors import ChartUnstable
from statekeep.engine.statechart.interpreter import restore, step
from statekeep.engine.statechart.machine import Machine
from statekeep.engine.store import interning, locks, standings, takeover, versions
from statekeep.engine.store.catalogue import Catalogue
from statekeep.engine.store.database import Database
from statekeep.engine.store.round_trip import exchange
from statekeep.engine.store.sql import statements

_SQL = statements("index.sql")

ROWS = 20_000
"""Edges that one statement writes."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What was made."""

    machines: int
    cohorts: int
    edges: int
    misplaced: int
    """Actors that the index had elsewhere than the log; none, if nothing was wrong."""


async def rebuild(database: Database) -> Rebuilt:
    """Make the index of every machine anew, one transaction each.

    Raises:
        SemanticsDiffer: a version means something else to this release; nothing was made anew.
        SemanticsOutdated: a later release has taken one over; likewise.
    """
    await takeover.insist(database)
    catalogue = Catalogue()
    cohorts = edges = misplaced = 0
    machines = await database.read(versions.machine_ids)
    for machine_id in machines:

        async def work(
            connection: AsyncConnection, machine_id: int = machine_id
        ) -> tuple[int, int, int]:
            return await _rebuild(connection, catalogue, machine_id)

        found = await database.transact(work)
        cohorts, edges, misplaced = cohorts + found[0], edges + found[1], misplaced + found[2]
    return Rebuilt(len(machines), cohorts, edges, misplaced)


async def _rebuild(
    connection: AsyncConnection, catalogue: Catalogue, machine_id: int
) -> tuple[int, int, int]:
    keys = {"machine_id": machine_id}
    await locks.keep_collectors_out(connection, machine_id)
    await locks.stop_machine(connection, machine_id)
    await standings.gather(connection, machine_id)
    misplaced = (await connection.execute(_SQL["misplaced"], keys)).scalar_one()
    await connection.execute(_SQL["drop_edges_of_machine"], keys)
    await connection.execute(_SQL["retire_cohorts_of_machine"], keys)
    await connection.execute(_SQL["drop_cohorts_of_machine"], keys)
    cohorts = await connection.execute(_SQL["found_cohorts"])
    await connection.execute(_SQL["seat_actors"])
    return cohorts.rowcount, await _edges(connection, catalogue, machine_id), misplaced


async def _edges(connection: AsyncConnection, catalogue: Catalogue, machine_id: int) -> int:
    """Ask the interpreter about each pair of cohorts one event apart; return how many edges there are."""
    result = await connection.execute(_SQL["neighbours"], {"machine_id": machine_id})
    number = 0
    for part in result.partitions(ROWS):
        machines = {
            version_id: (await catalogue.version(connection, version_id)).version.machine
            for version_id in {row.version_id for row in part}
        }
        taken = [row for row in part if _leads(machines[row.version_id], row)]
        if taken:
            edges = {(row.id, row.event_type): row.target_id for row in taken}
            await exchange(connection, interning.edges(edges))
        number += len(taken)
    return number


def _leads(machine: Machine, row: Any) -> bool:
    """Return whether the event is handled there; a replay may have skipped it."""
    try:
        return step(machine, restore(machine, row.document), row.event_type).handled
    except ChartUnstable:
        return False
