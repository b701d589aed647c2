"""Gathering what routing is asked about: the cohorts of a version and the tree of their histories."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from sqlalchemy import TextClause
from sqlalchemy.ext.asyncio import AsyncConnection

from statekeep.engine.routing.cohort import Cohort, HistoryNode
from statekeep.engine.routing.evaluation import Decided, evaluate
from statekeep.engine.routing.replay import Walk
from statekeep.engine.routing.version import Version
from statekeep.engine.store.sql import statements
from statekeep.engine.store.versions import StoredVersion

_SQL = statements("routing.sql")

ROWS = 10_000
"""Rows of a large result that are made into values at a time."""


async def decided(
    connection: AsyncConnection, walk: Walk, parent: StoredVersion
) -> Sequence[Decided]:
    """Return what a version decides now of every cohort of its parent that has actors.

    Args:
        connection: any.
        walk: of that version, over what ``histories`` returned.
        parent: whose cohorts.
    """
    cohorts = await population(connection, parent)
    await learn(connection, walk, cohorts)
    return list(evaluate(walk, cohorts))


async def population(connection: AsyncConnection, version: StoredVersion) -> Sequence[Cohort]:
    """Return every cohort of a version that has actors, with their number."""
    keys = {"machine_id": version.machine_id, "version_id": version.id}
    return await _cohorts(connection, _SQL["population"], keys)


async def cohorts(connection: AsyncConnection, version: StoredVersion) -> Sequence[Cohort]:
    """Return every cohort of a version, not counted: actors may be there or come."""
    return await _cohorts(connection, _SQL["cohorts"], {"version_id": version.id})


async def newest(connection: AsyncConnection) -> int:
    """Return the highest id of a cohort: those that come to be from now on have higher ones."""
    found: int = (await connection.execute(_SQL["newest_cohort"])).scalar_one()
    return found


async def undecided(
    connection: AsyncConnection, version: StoredVersion, deployment_id: int, after: int
) -> Sequence[Cohort]:
    """Return the cohorts of a version with higher ids of which a deployment has written nothing, not counted."""
    keys = {"version_id": version.id, "deployment_id": deployment_id, "after": after}
    return await _cohorts(connection, _SQL["undecided"], keys)


async def histories(connection: AsyncConnection, version: Version, parent: StoredVersion) -> Walk:
    """Return a walk of ``version`` over the histories of all cohorts of its parent."""
    walk = Walk(version)
    await _add(connection, walk, _SQL["ancestry"], {"version_id": parent.id})
    return walk


async def trace(connection: AsyncConnection, walk: Walk, histories: Collection[int]) -> None:
    """Add these histories and all their beginnings, however much of them the walk knows."""
    await _add(connection, walk, _SQL["ancestry_of"], {"histories": sorted(histories)})


async def learn(connection: AsyncConnection, walk: Walk, cohorts: Iterable[Cohort]) -> None:
    """Add the histories that have come to be since: few, each a few events behind a known one."""
    found: dict[int, HistoryNode] = {}
    wanted = {cohort.history_id for cohort in cohorts if cohort.history_id not in walk}
    while wanted:
        rows = await connection.execute(_SQL["histories"], {"histories": sorted(wanted)})
        nodes = [HistoryNode(row.id, row.parent_id, row.event_type, row.depth) for row in rows]
        found |= {node.id: node for node in nodes}
        above = {node.parent_id for node in nodes if node.parent_id is not None}
        wanted = {id_ for id_ in above if id_ not in walk and id_ not in found}
    for node in sorted(found.values(), key=lambda node: node.depth):
        walk.add(node)


async def _add(
    connection: AsyncConnection, walk: Walk, statement: TextClause, keys: dict[str, Any]
) -> None:
    """Add the histories that a statement finds, parents first."""
    options = {"yield_per": ROWS}
    async with connection.stream(statement, keys, execution_options=options) as result:
        async for part in result.partitions():
            for id_, parent_id, event_type, depth in part:
                walk.add(HistoryNode(id_, parent_id, event_type, depth))


async def _cohorts(
    connection: AsyncConnection, statement: TextClause, keys: dict[str, int]
) -> Sequence[Cohort]:
    """Return the cohorts that a statement finds, each configuration's text in memory once.

    Not by a cursor: Postgres would count without its parallel workers.
    """
    result = await connection.execute(statement, keys)
    if not result.rowcount:
        return []
    texts = await connection.execute(_SQL["configurations"], {"version_id": keys["version_id"]})
    known = {row.id: (row.value, row.done) for row in texts}
    return [
        Cohort(history_id, configuration_id, *known[configuration_id], actors)
        for part in result.partitions(ROWS)
        for history_id, configuration_id, actors in part
    ]
