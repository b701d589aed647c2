"""Applying a version to the actors of its parent: one transaction, all of it or nothing.

::

    deployment lock ─ evaluate, write decisions ─ machine lock ─ evaluate what is new ─ move ─ commit ─ count
                      (events go on)              (events of this machine wait)                (events go on)

Under the machine's lock nothing is done whose cost grows with the actors. One cohort always gets
the same decision, so all cohorts of the parent are decided beforehand, whether anybody is in them or
not, and under the lock only those that have come to be since. How many actors each
decision concerned is counted afterwards, on a snapshot from under the lock (``counting``).

Whether anybody is in a cohort matters for one thing only: a kind of move that the approved preview did not
show holds the deployment if it would happen to somebody. Where such a cohort looks deserted, it
is retired first (``collection``), so that an arrival shows as a new cohort, and we look again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, assert_never

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from statekeep.engine.ids import Namespace, PreviewId, VersionName
from statekeep.engine.routing.cohort import Cohort
from statekeep.engine.routing.decision import Move
from statekeep.engine.routing.evaluation import Decided, evaluate, hold_back, moves
from statekeep.engine.routing.policy import UnseenMoves
from statekeep.engine.routing.replay import Walk
from statekeep.engine.store import (
    collection,
    counting,
    locks,
    populations,
    previews,
    rulings,
    schema,
    versions,
)
from statekeep.engine.store.counting import Uncounted
from statekeep.engine.store.database import Database
from statekeep.engine.store.sql import statements
from statekeep.engine.store.versions import StoredVersion

_SQL = statements("routing.sql")

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
    epoch: int
    version_id: int
    preview_id: PreviewId
    approval: ApprovedBy
    migrated: int
    stayed: int
    """Actors that stayed, those that need a rescue not counted."""

    needs_rescue: int
    started_at: datetime
    at: datetime


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


@dataclass(frozen=True, slots=True)
class _Passed:
    """Nothing was applied yet: actors have only passed through these cohorts, or so it seems."""

    machine_id: int
    cohorts: Sequence[int]


class _RolledBack(Exception):
    """Ends the transaction; carries why."""

    def __init__(self, outcome: Held | _Passed) -> None:
        super().__init__()
        self.outcome = outcome


async def find(connection: AsyncConnection, version_id: int) -> Deployment | Uncounted | None:
    """Return the deployment of a version, or ``None``."""
    row = (await connection.execute(_query(schema.version.c.id == version_id))).one_or_none()
    return None if row is None else _deployment(row)


async def by_id(
    connection: AsyncConnection, namespace: Namespace, deployment_id: int
) -> tuple[Deployment | Uncounted, VersionName] | None:
    """Return a deployment of that namespace with the name of its version, or ``None``."""
    query = _query(schema.deployment.c.id == deployment_id, schema.version.c.namespace == namespace)
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

    async def uncounted(connection: AsyncConnection) -> list[Deployment | Uncounted]:
        rows = await connection.execute(_query(schema.deployment.c.migrated.is_(None)))
        return [_deployment(row) for row in rows]

    found = await database.read(uncounted)
    for deployment in found:
        await counted(database, deployment)
    return len(found)


async def apply(
    database: Database,
    namespace: Namespace,
    name: VersionName,
    preview_id: PreviewId,
    approval: ApprovedBy,
) -> Deployment | Held | NotShown | Busy:
    """Apply a proposed version; applying it again returns what the first time did."""
    wish = _Wish(namespace, name, preview_id, approval)
    for round_ in range(1, ROUNDS + 1):
        result = await _attempt(database, wish, patient=round_ < ROUNDS)
        match result:
            case _Passed(machine_id, cohorts):
                await collection.retire(database, machine_id, cohorts, patient=True)
            case Deployment() | Uncounted():
                return await counted(database, result)
            case Held() | NotShown() | Busy():
                return result
            case _:
                assert_never(result)
    raise AssertionError("the last round is not patient")


@dataclass(frozen=True, slots=True)
class _Wish:
    namespace: Namespace
    name: VersionName
    preview_id: PreviewId
    approval: ApprovedBy


async def _attempt(
    database: Database, wish: _Wish, *, patient: bool
) -> Deployment | Uncounted | Held | NotShown | Busy | _Passed:
    """Apply it in one transaction, and count.

    Args:
        database: two connections are taken.
        wish: what to apply.
        patient: whether to come back with what may be deserted, rather than look under the lock.
    """
    async with database.snapshot() as snapshot:

        async def work(
            connection: AsyncConnection,
        ) -> tuple[Deployment | Uncounted | NotShown | Busy, bool]:
            target = await versions.find(connection, wish.namespace, wish.name, for_update=True)
            if target is None or target.parent_id is None:
                return NotShown(), False
            if not await locks.begin_deployment(connection, target.machine_id):
                return Busy(), False
            done = await find(connection, target.id)
            if done is not None:
                return done, False
            approved = await previews.moves_shown(connection, target, wish.preview_id)
            if approved is None:
                return NotShown(), False
            await locks.keep_collectors_out(connection, target.machine_id)
            parent = await versions.by_id(connection, target.parent_id)
            deploying = _Deploying(connection, target, parent, approved, patient=patient)
            return await deploying.run(wish, snapshot), True

        try:
            result, is_new = await database.transact(work)
        except _RolledBack as rolled_back:
            return rolled_back.outcome
        if not is_new:
            return result
        assert isinstance(result, Uncounted)
        await counting.count(database, snapshot, result)
    return await _read(database, result.id)


async def _read(database: Database, deployment_id: int) -> Deployment:
    """Return a deployment that has been counted."""

    async def work(connection: AsyncConnection) -> Deployment:
        row = (await connection.execute(_query(schema.deployment.c.id == deployment_id))).one()
        deployment = _deployment(row)
        assert isinstance(deployment, Deployment)
        return deployment

    return await database.read(work)


class _Deploying:
    """One transaction that holds its machine's deployment and collection locks."""

    def __init__(
        self,
        connection: AsyncConnection,
        target: StoredVersion,
        parent: StoredVersion,
        approved: frozenset[Move],
        *,
        patient: bool,
    ) -> None:
        self._connection = connection
        self._target = target
        self._parent = parent
        self._approved = approved
        self._patient = patient

    async def run(self, wish: _Wish, snapshot: AsyncConnection) -> Uncounted:
        """Decide, stop the machine, decide the rest, move."""
        connection, target, parent = self._connection, self._target, self._parent
        started_at = (await connection.execute(sa.select(sa.func.clock_timestamp()))).scalar_one()
        walk = await populations.histories(connection, target.version, parent)
        decided = await self._decided(walk, await populations.cohorts(connection, parent))
        decided = await self._without_deserted(decided)
        deployment = await self._record(wish, started_at)
        landings = rulings.Landings(target.id)
        await rulings.write(connection, deployment.id, landings, decided)
        await versions.mark_applied(connection, target.id)
        await counting.prepare(snapshot)

        await locks.stop_machine(connection, target.machine_id)
        new = await populations.undecided(connection, parent, deployment.id)
        rest = await self._without_passed(await self._decided(walk, new))
        await rulings.write(connection, deployment.id, landings, rest)
        await counting.look(snapshot)
        await rulings.carry_out(connection, deployment.id, target, parent)
        await self._stamp(deployment.id)
        return deployment

    async def _decided(self, walk: Walk, cohorts: Sequence[Cohort]) -> list[Decided]:
        """Return the decisions; kinds of move that were not approved are still among them where they hold."""
        await populations.learn(self._connection, walk, cohorts)
        decided = evaluate(walk, cohorts)
        if self._holds:
            return list(decided)
        return [hold_back(one, self._approved) for one in decided]

    @property
    def _holds(self) -> bool:
        return self._target.version.policy.unseen_moves is UnseenMoves.HOLD

    async def _without_deserted(self, decided: list[Decided]) -> list[Decided]:
        """Return the decisions but those of an unseen kind, of which none concerns anybody now.

        Raises:
            _RolledBack: one does; or somebody might arrive there still.
        """
        unseen, others = self._parted(decided)
        if not unseen:
            return others
        places = await self._places(unseen)
        deserted = [place.id for place in places if not place.canonical]
        await collection.remove(self._connection, deserted)
        enterable = [place.id for place in places if place.canonical]
        if enterable and self._patient:
            raise _RolledBack(_Passed(self._target.machine_id, enterable))
        return others

    async def _without_passed(self, decided: list[Decided]) -> list[Decided]:
        """Return the decisions but those of an unseen kind, under the machine's lock.

        Raises:
            _RolledBack: as above.
        """
        unseen, others = self._parted(decided)
        if unseen and self._patient:
            raise _RolledBack(_Passed(self._target.machine_id, ()))
        if unseen:
            await self._places(unseen)
        return others

    def _parted(self, decided: list[Decided]) -> tuple[list[Decided], list[Decided]]:
        """Return the decisions of an unseen kind, and the others."""
        if not moves(decided) - self._approved:
            return [], decided
        unseen: list[Decided] = []
        others: list[Decided] = []
        for one in decided:
            is_unseen = moves([one]) - self._approved
            (unseen if is_unseen else others).append(one)
        return unseen, others

    async def _places(self, unseen: Sequence[Decided]) -> Sequence[Any]:
        """Return the rows of these cohorts, in none of which anybody is.

        Raises:
            _RolledBack: somebody is.
        """
        rows = await self._connection.execute(
            _SQL["inhabited"],
            {
                "machine_id": self._target.machine_id,
                "version_id": self._parent.id,
                "histories": [one.cohort.history_id for one in unseen],
                "configurations": [one.cohort.configuration_id for one in unseen],
            },
        )
        places = rows.all()
        there = {(p.history_id, p.configuration_id) for p in places if p.inhabited}
        held = moves(
            one for one in unseen if (one.cohort.history_id, one.cohort.configuration_id) in there
        )
        if held:
            raise _RolledBack(Held(held))
        return places

    async def _record(self, wish: _Wish, started_at: datetime) -> Uncounted:
        """Count the machine's deployments one further, and write this one down."""
        machine = schema.machine
        epoch = (
            await self._connection.execute(
                sa.update(machine)
                .where(machine.c.id == self._target.machine_id)
                .values(epoch=machine.c.epoch + 1)
                .returning(machine.c.epoch)
            )
        ).scalar_one()
        row = await self._connection.execute(
            insert(schema.deployment)
            .values(
                machine_id=self._target.machine_id,
                version_id=self._target.id,
                epoch=epoch,
                preview_id=wish.preview_id,
                approval=wish.approval.value,
                started_at=started_at,
                at=started_at,
            )
            .returning(schema.deployment.c.id)
        )
        return Uncounted(row.scalar_one(), epoch, self._target.machine_id, self._parent.id)

    async def _stamp(self, deployment_id: int) -> None:
        """Say when it happened: now, while no event can."""
        table = schema.deployment
        await self._connection.execute(
            sa.update(table).where(table.c.id == deployment_id).values(at=sa.func.clock_timestamp())
        )


def _query(*conditions: sa.ColumnElement[bool]) -> sa.Select[Any]:
    deployment, version = schema.deployment, schema.version
    return (
        sa.select(deployment, version.c.name, version.c.parent_id)
        .join(version, version.c.id == deployment.c.version_id)
        .where(*conditions)
    )


def _deployment(row: Any) -> Deployment | Uncounted:
    if row.migrated is None:
        return Uncounted(row.id, row.epoch, row.machine_id, row.parent_id)
    return Deployment(
        id=row.id,
        epoch=row.epoch,
        version_id=row.version_id,
        preview_id=PreviewId(row.preview_id),
        approval=ApprovedBy(row.approval),
        migrated=row.migrated,
        stayed=row.stayed,
        needs_rescue=row.needs_rescue,
        started_at=row.started_at,
        at=row.at,
    )
