"""Removing applied versions that nothing needs: no actor, no child, and nothing that the log says of anybody.

Actors never leave the log, and leave a version only by a deployment to one of its children. So a version without
children and without actors, whose own deployment decided about nobody, is not mentioned by any event or decision.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from statekeep.engine.ids import MachineName, Namespace, VersionName
from statekeep.engine.store import locks
from statekeep.engine.store.database import Database
from statekeep.engine.store.sql import statements

_SQL = statements("pruning.sql")


class Need(StrEnum):
    """What keeps a version."""

    ACTORS = "actors are on it"
    CHILDREN = "other versions come after it"
    DECISIONS = "its deployment decided about actors, and decisions are kept for ever"


@dataclass(frozen=True, slots=True)
class Candidate:
    """An applied version, and what keeps it."""

    id: int
    namespace: Namespace
    name: VersionName
    machine: MachineName
    machine_id: int
    need: Need | None
    """``None``: nothing needs it."""


async def candidates(
    connection: AsyncConnection, namespaces: Collection[Namespace] = ()
) -> Sequence[Candidate]:
    """Return the applied versions of the namespaces, or of all where none are named, by name."""
    rows = await connection.execute(_SQL["candidates"], {"namespaces": list(namespaces) or None})
    return [_candidate(row) for row in rows]


async def prune(database: Database, candidate: Candidate) -> bool:
    """Remove a version with all that belongs to it; return ``False`` if something needs it after all."""

    async def work(connection: AsyncConnection) -> bool:
        # Nobody may deploy to, spawn on or send to its machine until it is gone.
        if not await locks.begin_deployment(connection, candidate.machine_id):
            return False
        await locks.stop_machine(connection, candidate.machine_id)
        rows = await connection.execute(_SQL["candidates"], {"namespaces": [candidate.namespace]})
        now = next((row for row in rows if row.id == candidate.id), None)
        if now is None or _candidate(now).need is not None:
            return False
        keys = {"version_id": candidate.id}
        await connection.execute(_SQL["name_pruned"], keys)
        await connection.execute(_SQL["retire_cohorts"], keys)
        await connection.execute(_SQL["drop_cohorts"], keys)
        await connection.execute(_SQL["drop_decisions"], keys)
        await connection.execute(_SQL["drop_configurations"], keys)
        await connection.execute(_SQL["drop_deployment"], keys)
        await connection.execute(_SQL["drop_version"], keys)
        await connection.execute(_SQL["drop_machine"], {"machine_id": candidate.machine_id})
        return True

    return await database.transact(work)


def _candidate(row: sa.Row[tuple[object, ...]]) -> Candidate:
    fields = row._mapping
    needs = {
        Need.CHILDREN: fields["has_children"],
        Need.ACTORS: fields["has_actors"],
        Need.DECISIONS: fields["has_decisions"],
    }
    return Candidate(
        id=fields["id"],
        namespace=Namespace(fields["namespace"]),
        name=VersionName(fields["name"]),
        machine=MachineName(fields["machine"]),
        machine_id=fields["machine_id"],
        need=next((need for need, is_so in needs.items() if is_so), None),
    )
