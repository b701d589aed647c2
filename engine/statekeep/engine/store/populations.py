"""Gathering what routing is asked about: the cohorts of a version and the tree of their histories."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from statekeep.engine.routing.cohort import Cohort, HistoryNode, Population
from statekeep.engine.store.sql import statements
from statekeep.engine.store.versions import StoredVersion

_SQL = statements("routing.sql")


async def population(connection: AsyncConnection, version: StoredVersion) -> Population:
    """Return every cohort of a version that has actors, and what they lived through."""
    return await with_histories(connection, await cohorts(connection, version))


async def cohorts(connection: AsyncConnection, version: StoredVersion) -> Sequence[Cohort]:
    """Return every cohort of a version that has actors, counted now."""
    keys = {"machine_id": version.machine_id, "version_id": version.id}
    rows = await connection.execute(_SQL["population"], keys)
    return [
        Cohort(row.history_id, row.configuration_id, row.value, row.done, row.actors)
        for row in rows
    ]


async def with_histories(connection: AsyncConnection, cohorts: Sequence[Cohort]) -> Population:
    """Return the cohorts with the tree of their histories, which only ever grows."""
    histories = sorted({cohort.history_id for cohort in cohorts})
    nodes = await connection.execute(_SQL["ancestry"], {"histories": histories})
    tree = {
        node.id: HistoryNode(node.id, node.parent_id, node.event_type, node.depth) for node in nodes
    }
    return Population(tuple(cohorts), tree)
