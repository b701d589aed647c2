"""Applying a version to the actors of its parent: one transaction, all of it or nothing.

::

    deployment lock ─ evaluate, write decisions, count ─ machine lock ─ evaluate what is new ─ move ─ commit ─ tally
                      (events go on)                     (events of this machine wait)                (events go on)

``deploying`` is that transaction, ``counting`` what goes on beside it and after it. A kind of move that the approved
preview did not show ends it without a trace, or stays behind, as the version's policy says.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, assert_never

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from statekeep.engine.errors import SemanticsOutdated
from statekeep.engine.ids import Namespace, PreviewId, VersionName
from statekeep.engine.routing.decision import Move
from statekeep.engine.statechart import semantics
from statekeep.engine.store import (
    collection,
    counting,
    locks,
    previews,
    schema,
    versions,
)
from statekeep.engine.store.counting import Count, Uncounted
from statekeep.engine.store.database import Database
from statekeep.engine.store.deploying import Approval, Deploying, Passed, Unseen

ROUNDS = 4
"""How often we look for deserted cohorts before we look under the lock, where events wait for it."""


class ApprovedBy(StrEnum):
    """Who said yes."""

    MANUAL = "Manual"
    """Somebody named the preview's id."""

    AUTOMATIC = "Automatic"
    """The version's author, beforehand, to whatever it is."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """What the one application of a version did."""

    id: int
    number: int
    """In its namespace, from 1."""

    epoch: int
    version_id: int
    preview_id: PreviewId
    approval: ApprovedBy
    approved_by: str | None
    """Who named the preview, where that is known."""

    migrated: int
    stayed: int
    """Actors that stayed, those that need a rescue not counted."""

    needs_rescue: int
    started_at: datetime
    at: datetime


@dataclass(frozen=True, slots=True)
class AppliedBefore:
    """Nothing was applied now: it has been already, by whoever came first."""

    deployment: Deployment


@dataclass(frozen=True, slots=True)
class Held:
    """Nothing was applied: these kinds of move were not in the approved preview."""

    unseen: frozenset[Move]


@dataclass(frozen=True, slots=True)
class NotShown:
    """Nothing was applied: no preview of that id showed this content of the version."""


@dataclass(frozen=True, slots=True)
class Busy:
    """Nothing was applied: another deployment to this machine is under way."""


async def find(connection: AsyncConnection, version_id: int) -> Deployment | Uncounted | None:
    """Return the deployment of a version, or ``None``."""
    row = (await connection.execute(_query(schema.version.c.id == version_id))).one_or_none()
    return None if row is None else _deployment(row)


async def by_number(
    connection: AsyncConnection, namespace: Namespace, number: int
) -> tuple[Deployment | Uncounted, VersionName] | None:
    """Return a deployment of that namespace with the name of its version, or ``None``."""
    query = _query(schema.deployment.c.number == number, schema.version.c.namespace == namespace)
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else (_deployment(row), VersionName(row.name))


async def counted(database: Database, deployment: Deployment | Uncounted) -> Deployment:
    """Return a deployment with its numbers; where their count was broken off, it is made up for."""
    if isinstance(deployment, Deployment):
        return deployment
    await counting.recount(database, deployment)
    return await _read(database, deployment.id)


async def count_all(database: Database) -> int:
    """Make up for every count that was broken off; return how many there were."""

    async def uncounted(connection: AsyncConnection) -> list[Uncounted]:
        rows = await connection.execute(_query(schema.deployment.c.migrated.is_(None)))
        return [_uncounted(row) for row in rows]

    found = await database.read(uncounted)
    for deployment in found:
        await counting.recount(database, deployment)
    return len(found)


async def apply(
    database: Database,
    namespace: Namespace,
    name: VersionName,
    preview_id: PreviewId,
    approval: ApprovedBy,
    *,
    approver: str | None = None,
) -> Deployment | AppliedBefore | Held | NotShown | Busy:
    """Apply a proposed version, once: of several who do, one gets the ``Deployment`` and the others hear of it.

    Raises:
        SemanticsOutdated: a later release has taken its parent over; that one's operator deploys.
    """
    wish = _Wish(namespace, name, Approval(preview_id, approval.value, approver))
    for _ in range(ROUNDS - 1):
        try:
            return await _attempt(database, wish, patient=True)
        except _Again as again:
            await collection.retire(database, again.machine_id, again.cohorts, patient=True)
    return await _attempt(database, wish, patient=False)


@dataclass(frozen=True, slots=True)
class _Wish:
    namespace: Namespace
    name: VersionName
    approval: Approval


class _Again(Exception):
    """Nothing was applied yet: these cohorts are to be retired first."""

    def __init__(self, machine_id: int, cohorts: Sequence[int]) -> None:
        super().__init__()
        self.machine_id = machine_id
        self.cohorts = cohorts


async def _attempt(
    database: Database, wish: _Wish, *, patient: bool
) -> Deployment | AppliedBefore | Held | NotShown | Busy:
    """Apply it in one transaction, and count.

    Args:
        database: two connections are taken at a time.
        wish: what to apply.
        patient: whether to come back with what may be deserted, rather than look under the lock.

    Raises:
        _Again: there is such.
    """
    async with Count(database) as count:

        async def work(connection: AsyncConnection) -> _Done | NotShown | Busy:
            target = await versions.find(connection, wish.namespace, wish.name, for_update=True)
            if target is None or target.parent_id is None:
                return NotShown()
            # First, since whoever has just applied it lets go of its row a moment before the machine.
            if (before := await find(connection, target.id)) is not None:
                return _Done(before, is_new=False)
            if not await locks.begin_deployment(connection, target.machine_id):
                return Busy()
            approved = await previews.moves_shown(connection, target, wish.approval.preview_id)
            if approved is None:
                return NotShown()
            await locks.keep_collectors_out(connection, target.machine_id)
            parent = await versions.by_id(connection, target.parent_id)
            if parent.semantics > semantics.SEMANTICS:
                raise SemanticsOutdated(parent.semantics, semantics.SEMANTICS)
            deploying = Deploying(connection, target, parent, approved, patient=patient)
            try:
                new = await deploying.run(wish.approval, count)
            except Passed as passed:
                raise _Again(target.machine_id, passed.cohorts) from passed
            return _Done(new, is_new=True)

        try:
            result = await database.transact(work)
        except Unseen as unseen:
            return Held(unseen.kinds)
        match result:
            case _Done(Uncounted() as new, is_new=True):
                await count.finish(new)
                return await _read(database, new.id)
            case _Done(before):
                pass
            case NotShown() | Busy():
                return result
            case _:
                assert_never(result)
    return AppliedBefore(await counted(database, before))


@dataclass(frozen=True, slots=True)
class _Done:
    deployment: Deployment | Uncounted
    is_new: bool


async def _read(database: Database, deployment_id: int) -> Deployment:
    """Return a deployment that has been counted."""

    async def work(connection: AsyncConnection) -> Deployment:
        row = (await connection.execute(_query(schema.deployment.c.id == deployment_id))).one()
        deployment = _deployment(row)
        assert isinstance(deployment, Deployment)
        return deployment

    return await database.read(work)


def _query(*conditions: sa.ColumnElement[bool]) -> sa.Select[Any]:
    deployment, version = schema.deployment, schema.version
    return (
        sa.select(deployment, version.c.name, version.c.parent_id)
        .join(version, version.c.id == deployment.c.version_id)
        .where(*conditions)
    )


def _uncounted(row: Any) -> Uncounted:
    return Uncounted(row.id, row.epoch, row.machine_id, row.parent_id, row.position)


def _deployment(row: Any) -> Deployment | Uncounted:
    if row.migrated is None:
        return _uncounted(row)
    return Deployment(
        id=row.id,
        number=row.number,
        epoch=row.epoch,
        version_id=row.version_id,
        preview_id=PreviewId(row.preview_id),
        approval=ApprovedBy(row.approval),
        approved_by=row.approved_by,
        migrated=row.migrated,
        stayed=row.stayed,
        needs_rescue=row.needs_rescue,
        started_at=row.started_at,
        at=row.at,
    )
